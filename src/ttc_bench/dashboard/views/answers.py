"""Any response: what was asked, what came back, and why it has its score; two side by side."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from ttc_bench.benchmarks.base import question_of
from ttc_bench.dashboard import parts
from ttc_bench.dashboard.store import Place, Store
from ttc_bench.dashboard.views import page, told
from ttc_bench.errors import DataError
from ttc_bench.reporting import answers, stored_response
from ttc_bench.reporting.row_dicts import Row, row_dicts
from ttc_bench.reporting.scopes import Scope
from ttc_bench.reporting.sheet import counted_as, known, number
from ttc_bench.types import BASELINE, DataFrame, Job

LATER = (
    "This is what the run shown answered, letter by letter. How it came about (calls, candidates,"
    " steps) is kept of the latest run that gave the same answer, and may have been otherwise in"
    " the run shown."
)
"""What is told of a response of an earlier run."""


@page("answers", title="Answers", rank=2)
def show_answers(store: Store) -> None:
    """Show two variants on one question; everything that models wrote is shown as text alone."""
    import streamlit as st

    scope = parts.scope(store)
    names = parts.variant_names(store, scope)
    baseline = ".".join(BASELINE)
    with st.container(horizontal=True):
        first = parts.choice("First", names, "first", every=False)
        others = [name for name in names if name != baseline] or names
        second = parts.choice("Second", [*others, *names[:1]], "second", every=False)
        kept = parts.choice("Show questions with", list(answers.FILTERS), "show", every=False)
    table = answers.side_by_side(*(_scores(store, scope, str(name)) for name in (first, second)))
    table = table[answers.FILTERS[str(kept)](table)]
    if table.empty:
        raise DataError(f"There is no question with: {kept}.")
    question = _question(store, table)
    job: Job | None = None
    # What was measured is shown without its question, too.
    with told("answers"):
        job = _job(store, question)
        _asked(job)
    sides = {"first": str(first), "second": str(second)}
    for (side, name), column in zip(sides.items(), st.columns(2), strict=True):
        with column, told("answers"):
            _side(store, scope, question, job, name, side)


def _scores(store: Store, scope: Scope, name: str) -> DataFrame:
    policy, _, variant = name.partition(".")
    where = {**vars(scope), "policy": policy, "variant": variant}
    return store.table("all_scores", answers.SCORED, where)


def _question(store: Store, table: DataFrame) -> str:
    """Return the question that is chosen, by a click in the table or by its name."""
    import streamlit as st

    ids = table["job_id"].tolist()
    shown = table.assign(asked=table["job_id"].map(_beginnings(store)).astype("string"))
    # The text is as wide as all numbers: behind it they are out of sight.
    columns = ["reward_first", "reward_second", "latency_s_first", "latency_s_second",
               "total_tokens_first", "total_tokens_second", "asked", "task",
               "difficulty"]  # fmt: skip
    with st.expander(f"{counted_as(len(ids), 'question')}: click one to read it", expanded=True):
        parts.table(
            shown[["job_id", *(name for name in columns if shown[name].notna().any())]],
            height=220,
            key="questions",
            on_select=lambda: _take(ids),
            selection_mode="single-row",
        )
        parts.downloads(table, "questions")
    return str(parts.choice("Question", ids, "question", every=False))


def _beginnings(store: Store) -> dict[str, str]:
    """Return how the questions of the run begin, by their ids, of those that are stored still."""
    if "question" not in store.columns("all_scores"):
        return {}
    try:
        texts = _texts(store, store.place("jobs"))
    except DataError:
        return {}
    asked = store.table("all_scores", ("job_id", "question"), distinct=True)
    pairs = zip(asked["job_id"], asked["question"], strict=True)
    return {job: texts[question] for job, question in pairs if question in texts}


@lru_cache(maxsize=2)
def _texts(store: Store, _: Place) -> dict[str, str]:
    return {question_of(job): answers.beginning(job) for job in store.jobs()}


def _take(ids: list[str]) -> None:
    """Make the row that was clicked the question."""
    import streamlit as st

    rows = st.session_state["questions"]["selection"]["rows"]
    if rows and rows[0] < len(ids):
        st.session_state["question"] = ids[rows[0]]


def _job(store: Store, name: str) -> Job:
    """Return a question as it was asked in the run.

    Raises:
        DataError: If another one is stored under its id by now.
    """
    job = store.job(name)
    if "question" in store.columns("all_scores"):
        asked = store.table("all_scores", ("question",), {"job_id": name}, distinct=True)
        if question_of(job) not in set(asked["question"]):
            raise DataError(
                f"The question {name} of this run is not stored any more: another one has its id"
                f" now. {store.stored_questions()}"
            )
    return job


def _asked(job: Job) -> None:
    import streamlit as st

    with st.expander("What was asked", expanded=True):
        for message in job.messages:
            st.caption(message.role)
            _text(message.content)
        st.caption("Gold answer")
        _text(answers.gold(job))


def _text(text: str) -> None:
    """Show a text as it is: nothing in it is executed, or rendered as anything else."""
    import streamlit as st

    st.code(text, language=None, wrap_lines=True)


def _side(store: Store, scope: Scope, question: str, job: Job | None, name: str, side: str) -> None:
    """Show the response of one variant, which may be that of the other side, too."""
    import streamlit as st

    policy, _, variant = name.partition(".")
    where = {"model": scope.model, "policy": policy, "variant": variant, "job_id": question}
    st.markdown(f"#### {parts.plain(name)}")
    responses = row_dicts(store.table("stored_responses", where=where))
    scores = row_dicts(store.table("all_scores", where=where))
    if not responses or not scores:
        st.text("It was not asked this question, or its response is not stored here.")
        return
    response, score = responses[-1], scores[-1]
    _figures(score)
    if not answers.is_of(response, score):
        st.text("What it answered then is not stored any more: a later run answered otherwise.")
        return
    if store.run is not None:
        st.caption(LATER)
    _response(store, where, response, score, job)
    # What is wrong with one column costs no other.
    with told("answers"):
        _candidates(response, job, side)
    _bill(response)


def _bill(response: Row) -> None:
    """Show the calls, and what the policy noted, if anything."""
    import streamlit as st

    # Read by its sign first: what is damaged is told within.
    has_notes = known(response.get("info")) and response["info"] != "{}"
    with st.expander("Calls, and what the policy noted" if has_notes else "Calls"):
        with told("answers"):
            parts.table(answers.calls(response))
        with told("answers"):
            if has_notes:
                st.json(stored_response.noted(response), expanded=False)


def _response(
    store: Store, where: dict[str, str], response: Row, score: Row, job: Job | None
) -> None:
    """Show what was answered, why it has its score, and what became of its parts."""
    import streamlit as st

    text = response["text"] if isinstance(response["text"], str) else None
    if isinstance(reasoning := response.get("reasoning"), str):
        st.caption("Hidden reasoning")
        _text(reasoning)
    st.caption("Response")
    _text("(none)" if text is None else text)
    st.caption("Why it has its score")
    st.text("\n".join(answers.why(job, score, text)))
    with told("answers"):
        _trace(store, where)


def _traced(store: Store, where: dict[str, str]) -> DataFrame:
    """Return the trace of a response; where none is stored, an empty one."""
    import pandas as pd

    if not store.parts("stored_traces"):
        return pd.DataFrame()
    return store.table("stored_traces", where=where).sort_values("place")


def _trace(store: Store, where: dict[str, str]) -> None:
    """Show what became of tokens, parts, steps or rounds."""
    import streamlit as st

    trace = stored_response.trace(row_dicts(_traced(store, where)))
    kinds = {row["kind"] for row in trace}
    if kinds & {"token", "part"}:
        st.caption(answers.legend(trace))
        st.html(answers.tokens_html(trace))
    if "step" in kinds:
        st.caption("Steps with their scores, each below the one it goes on from: + kept, - dropped")
        st.code(answers.tree_text(trace), language="diff", wrap_lines=True)
    if "round" in kinds:
        st.caption("Rounds; a revision as its difference to the draft before it")
        for state, text in answers.rounds(trace):
            st.caption(state)
            st.code(text, language="diff" if state == "revision" else None, wrap_lines=True)


def _figures(score: Row) -> None:
    import streamlit as st

    shown: dict[str, Any] = {
        "reward": number(score["reward"], "{:.2f}"),
        "seconds": number(score["latency_s"], "{:.3g}"),
        "tokens": number(score["total_tokens"], "{:.0f}"),
        "GFLOP": number(score["flops"], "{:.3g}", 1e-9),
    }
    with st.container(horizontal=True):
        for label, value in shown.items():
            st.metric(label, value, width="content")
    if reason := answers.unmeasured(score, "latency_s"):
        st.caption(parts.plain(f"No seconds: {reason}."))


def _candidates(response: Row, job: Job | None, side: str) -> None:
    """Show what the policy chose from, with votes and scores."""
    import streamlit as st

    table = answers.candidates(response, job)
    if table.empty:
        return
    st.caption(counted_as(len(table), "candidate"))
    st.text("\n".join(answers.chosen(response, job)))
    unknown = ("answer", "votes", "reward") if job is None else ()
    parts.table(table.drop(columns=["text", *unknown]))
    with st.expander("Their texts"):
        as_difference = st.toggle("as differences to the one before", key=f"difference_{side}")
        before: str | None = None
        for row in row_dicts(table):
            st.caption(f"{row['sample']}")
            if as_difference and before is not None:
                st.code(answers.difference(before, row["text"]), language="diff", wrap_lines=True)
            else:
                _text(row["text"])
            before = row["text"]
