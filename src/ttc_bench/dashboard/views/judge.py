"""People judge: two answers side by side whose makers are not told, or one by its criteria."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache, partial

from ttc_bench.dashboard import parts, runs
from ttc_bench.dashboard.store import Place, Store
from ttc_bench.dashboard.views import page, told
from ttc_bench.errors import DataError, UserError
from ttc_bench.params import parse_params
from ttc_bench.ratings.pairs import (
    ANSWERED,
    Pair,
    Question,
    answers_left,
    count_left,
    next_answer,
    next_pair,
    questions_of,
)
from ttc_bench.ratings.params import HumanEvaluationParams
from ttc_bench.ratings.sheet import waiting
from ttc_bench.ratings.standing import Digests, digests_of, standing
from ttc_bench.ratings.store import (
    CRITERIA,
    GRADES,
    Grading,
    PairRating,
    Preference,
    Ratings,
    rater_of,
)
from ttc_bench.ratings.summary import agreement, lines, strengths
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.types import DataFrame

KEYS: dict[Preference, tuple[str, str]] = {
    "left": ("Left is better", "1"),
    "right": ("Right is better", "2"),
    "tie": ("Equal", "3"),
    "both bad": ("Both bad", "4"),
}
"""What the buttons say, and the keys that press them."""

DONE = "You have judged all that there is. Thank you."

COME_BACK = "they come back by `kedro sheet read`."

NOT_DONE = "not done"
"""Where the session keeps what the next page is to tell: a button acts before its page is made."""

UNKEPT = "unkept"
"""Where it keeps the grades of the last answer, which are shown again where they were not kept."""


@page("judge", title="Judge", rank=4, of_run=False)
def judge(store: Store) -> None:
    """Show what is to be judged next, and what all raters said so far."""
    import streamlit as st

    params = parse_params(
        HumanEvaluationParams, store.parameters("human_evaluation"), "human_evaluation"
    )
    ratings = _database(params.address(store.folder))
    st.caption(parts.plain(f"{runs.last_line(store)} Judged is what each variant answered last."))
    if message := st.session_state.pop(NOT_DONE, ""):
        st.warning(parts.plain(message))
    with st.container(horizontal=True):
        name = st.text_input("Your name", key="rater", bind="query-params")
        mode = parts.choice("Judge", ["pairs", "single answers"], "mode", every=False)
    with told("judge"):
        judged = _pairs if mode == "pairs" else _gradings
        judged(store, ratings, rater_of(name), params.seed)
    if st.toggle("Show what all raters said so far: names of variants, no single rating"):
        _summary(store, ratings, params.seed)


@lru_cache(maxsize=4)
def _database(address: str) -> Ratings:
    return Ratings(address)


def _pairs(store: Store, ratings: Ratings, rater: str, seed: int) -> None:
    import streamlit as st

    # First, for to read ratings makes their database: where there is nothing to judge it is none.
    questions, digests = _questions(store)
    rated, on_sheets = ratings.rows(), ratings.rows("handed")
    counted, handed = (standing(table, digests).counted for table in (rated, on_sheets))
    pair = next_pair(questions, counted, rater, seed, handed)
    own = int((rated["rater"] == rater).sum())
    if pair is None:
        st.success(DONE)
    else:
        _asked(store, pair.question)
        for title, name, column in zip(("Left", "Right"), pair[1:3], st.columns(2), strict=True):
            with column:
                st.markdown(f"#### {title}")
                st.code(pair.question.answers[name], language=None, wrap_lines=True)
        begun = _clock(f"{rater}/{own}/{pair.seed}")
        with st.container(horizontal=True):
            for preference, (label, key) in KEYS.items():
                rate = partial(_rate, ratings, rater, pair, preference, begun)
                st.button(label, key=preference, shortcut=key, on_click=rate)
    _undo(ratings, rater, "pairs", rated, count_left(questions, counted, rater, handed))
    if n_waiting := len(waiting(on_sheets, rated, rater)):
        st.caption(f"{counted_as(n_waiting, 'pair')} on your sheets, not shown here: {COME_BACK}")


def _gradings(store: Store, ratings: Ratings, rater: str, seed: int) -> None:
    import streamlit as st

    questions, digests = _questions(store)
    counted = standing(graded := ratings.rows("gradings"), digests).counted
    answer = next_answer(questions, counted, rater, seed)
    own = int((graded["rater"] == rater).sum())
    if answer is None:
        st.success(DONE)
    else:
        question, name = answer
        _asked(store, question)
        st.code(question.answers[name], language=None, wrap_lines=True)
        begun = _clock(f"{rater}/grades/{own}/{question.place}/{name}")
        with st.form("grades"):
            # By names of their own they are empty for each answer.
            keys = {one: f"{one}/{own}/{question.place}/{name}" for one in CRITERIA}
            grades = range(GRADES[0], GRADES[1] + 1)
            chosen = st.session_state.get(UNKEPT, {})
            for criterion, key in keys.items():
                first = grades.index(chosen[key]) if chosen.get(key) else None
                st.radio(criterion, grades, first, horizontal=True, key=key)
            keep = partial(_grade, ratings, rater, question, name, begun, keys)
            st.form_submit_button("Keep", on_click=keep)
    _undo(ratings, rater, "gradings", graded, len(answers_left(questions, counted, rater)))


def _undo(ratings: Ratings, rater: str, kind: str, rated: DataFrame, left: int) -> None:
    """Offer to take back the last one, and tell how many are judged and how many are left."""
    import streamlit as st

    own = rated.loc[rated["rater"] == rater, "id"].tolist()
    with st.container(horizontal=True):
        take_back = partial(_take_back, ratings, rater, kind, max(own, default=0))
        st.button("Take the last one back", shortcut="u", disabled=not own, on_click=take_back)
        st.caption(f"{len(own)} judged by you. {left} left to judge here.")


def _rate(ratings: Ratings, rater: str, pair: Pair, preference: Preference, begun: float) -> None:
    place, spent = pair.question.place, max(0.0, time.time() - begun)
    sides = pair.left, pair.right
    with _told_next("Your last rating was not kept"):
        ratings.add(PairRating(rater, *place, *sides, preference, spent, pair.seed, *pair.digests))


def _grade(
    ratings: Ratings,
    rater: str,
    question: Question,
    name: str,
    begun: float,
    keys: Mapping[str, str],
) -> None:
    """Keep the grades of the answer that was shown: by now others may have made another the next.

    Args:
        ratings: The database.
        rater: Who grades.
        question: What was asked.
        name: ``policy.variant`` of the answer.
        begun: When it was first shown.
        keys: Where the session keeps the grade of each criterion.
    """
    import streamlit as st

    correct, complete, safe, helpful = grades = [st.session_state.get(key) for key in keys.values()]
    spent, digest = max(0.0, time.time() - begun), question.digest(name)
    st.session_state[UNKEPT] = dict(zip(keys.values(), grades, strict=True))
    with _told_next("Your last grades were not kept"):
        if not any(grades):
            raise UserError("no criterion has one.")
        ratings.add(Grading(rater, *question.place, name, correct, complete, safe, helpful, spent,
                            digest))  # fmt: skip


def _take_back(ratings: Ratings, rater: str, kind: str, number: int) -> None:
    """Take back what the page called the last one: in another window there may be a later one."""
    with _told_next("Nothing was taken back"):
        if not ratings.undo(rater, kind, number):
            raise UserError("it was taken back before, in another window.")


@contextmanager
def _told_next(what: str) -> Iterator[None]:
    """Have the page that is made next tell what went wrong."""
    import streamlit as st

    try:
        yield
    except UserError as error:
        st.session_state[NOT_DONE] = f"{what}: {error.message}"


def _clock(what: str) -> float:
    """Return when it was first shown, on the clock of `time.time`."""
    import streamlit as st

    shown: tuple[str, float] = st.session_state.get("shown", ("", 0.0))
    if shown[0] != what:
        shown = (what, time.time())
        st.session_state["shown"] = shown
    return shown[1]


def _asked(store: Store, question: Question) -> None:
    import streamlit as st

    with st.expander("What was asked", expanded=True):
        for message in store.job(question.job_id).messages:
            st.caption(message.role)
            st.code(message.content, language=None, wrap_lines=True)


def _questions(store: Store) -> tuple[list[Question], Digests]:
    """Return the questions, and the digests of all answers; kept until these are written anew."""
    names = ("stored_responses", "stored_scores", "jobs")
    return _read_questions(store, *map(store.place, names))


@lru_cache(maxsize=4)
def _read_questions(store: Store, *_: Place) -> tuple[list[Question], Digests]:
    questions = questions_of(store.answers())
    responses = store.table("stored_responses", ANSWERED)
    if not questions and questions_of(responses):
        raise DataError(
            "There is nothing to judge now: two variants answered differently, but the questions"
            f" that they were asked are not stored any more. {store.stored_questions()}"
        )
    if not questions:
        raise DataError("There is nothing to judge: no two variants answered a question"
                        " differently.")  # fmt: skip
    return questions, _digests(store, store.place("stored_responses"))


@lru_cache(maxsize=4)
def _digests(store: Store, _: Place) -> Digests:
    """Return which answers are stored; where there is nothing to judge, too."""
    return digests_of(store.table("stored_responses", ANSWERED))


def _summary(store: Store, ratings: Ratings, seed: int) -> None:
    import streamlit as st

    confidence = parts.aggregate_params(store).confidence
    digests = _digests(store, store.place("stored_responses"))
    rated = ratings.rows()
    counts = standing(rated, digests)
    strong = strengths(counts.counted, seed, confidence)
    agreed = agreement(counts.counted, store.table("all_scores"))
    told = lines(strong, agreed, counts.counted["rater"].nunique())
    st.text("\n".join([*told, *counts.lines()]))
    parts.downloads(rated, "ratings")
