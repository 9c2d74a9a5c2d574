"""Nothing that a rater says is lost, sides are blind and even, and a sheet finds its way back."""

from __future__ import annotations

import math
import multiprocessing
import sqlite3
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import KedroRun
from tests.ratings.support import VARIANTS, rate, rating
from tests.reporting.support import scores

from ttc_bench.errors import DataError, UserError
from ttc_bench.metrics.base import answer_digest
from ttc_bench.pipelines.aggregate.nodes import collect_scores
from ttc_bench.ratings.pairs import (
    Question,
    answers_left,
    count_left,
    next_answer,
    next_pair,
    questions_of,
)
from ttc_bench.ratings.sheet import hand_out, read, read_back, waiting, write
from ttc_bench.ratings.standing import NO_ANSWER, digests_of, standing
from ttc_bench.ratings.store import Grading, PairRating, Ratings, rater_of
from ttc_bench.ratings.summary import agreement, grades, strengths
from ttc_bench.reporting.sheet import as_text, csv_text, from_text


@pytest.fixture
def address(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/deep/ratings.db"


@pytest.fixture
def questions() -> list[Question]:
    answers = {name: f"answer of {name}" for name in VARIANTS}
    same = dict.fromkeys(VARIANTS, "all alike")
    rows = [
        {
            "model": "target", "benchmark": "crm_sim", "job_id": f"crm_sim/{number}",
            "policy": name.split(".")[0], "variant": name.split(".")[1], "status": "ok",
            "text": (same if number == 0 else answers)[name],
        }
        for number in range(8)
        for name in VARIANTS
    ]  # fmt: skip
    return questions_of(pd.DataFrame(rows))


def test_raters_at_the_same_time_lose_nothing(tmp_path: Path, address: str) -> None:
    context = multiprocessing.get_context("spawn")
    start = context.Barrier(2)
    raters = [
        context.Process(target=rate, args=(tmp_path, name, 40, start)) for name in ("ann", "bo")
    ]
    for process in raters:
        process.start()
    for process in raters:
        process.join(300)
    assert [process.exitcode for process in raters] == [0, 0]
    entered = [len(Ratings(f"sqlite:///{tmp_path}/{number}.db").rows()) for number in range(20)]
    assert entered == [2] * 20
    rows = Ratings(address).rows()
    assert Counter(rows["rater"]) == {"ann": 40, "bo": 40}
    assert rows["id"].is_unique
    assert rows["rated_at"].notna().all()


def test_the_last_rating_of_a_rater_alone_is_taken_back(address: str) -> None:
    ratings = Ratings(address)
    for rater, number in (("ann", 1), ("bo", 1), ("ann", 2), ("bo", 2)):
        ratings.add(rating(rater, number))
    assert ratings.undo("ann")
    assert [*zip(ratings.rows()["rater"], ratings.rows()["job_id"], strict=True)] == [
        ("ann", "crm_sim/1"), ("bo", "crm_sim/1"), ("bo", "crm_sim/2"),
    ]  # fmt: skip
    assert not Ratings(address).undo("carol")


@pytest.mark.parametrize(
    "bad", ["nosuch://x", "no address", "", "postgresql+nosuch://u@h/d", "sqlite://h:p/d"]
)
def test_a_database_that_is_none_is_one_line(bad: str) -> None:
    with pytest.raises(UserError, match=r"human_evaluation\.database") as raised:
        Ratings(bad).rows()
    assert "\n" not in raised.value.message


def test_a_file_that_is_no_database_or_cannot_be_made_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("this is a letter, and a long one, too " * 40)
    (tmp_path / "other.db").touch()
    with sqlite3.connect(tmp_path / "other.db") as other:
        other.execute("create table pairs_rated (name text)")
    for name in ("text", ".", "text/below/it.db", "other.db"):
        ratings = Ratings(f"sqlite:///{tmp_path}/{name}")
        for use in (lambda r: r.rows(), lambda r: r.add(rating("ann", 1)), lambda r: r.undo("a")):
            with pytest.raises(UserError, match=r"human_evaluation\.database") as raised:
                use(ratings)
            assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("column", "value", "told"),
    [
        ("preference", "Left", "preference is 'Left': allowed are left, right, tie, both bad"),
        ("preference", None, "preference is None"),
        ("rater", None, "rater is None"),
        ("rater", " ann", "'ann' is how it is kept"),
        ("right", VARIANTS[0], "nothing is compared"),
        ("seconds", "long", "seconds is 'long'"),
        ("seconds", -1, "seconds is -1"),
        ("seed", "x", "seed is 'x'"),
        ("job_id", "", "job_id is ''"),
        ("left_answer", b"7", "left_answer is b'7'"),
        ("rated_at", "yesterday", "yesterday"),
    ],
)
def test_a_row_that_somebody_wrote_by_hand_is_told_with_its_number(
    column: str, value: object, told: str, tmp_path: Path
) -> None:
    ratings = Ratings(f"sqlite:///{tmp_path}/ratings.db")
    for number in (1, 2):
        ratings.add(judged("ann", number, "text", "other"))
    with sqlite3.connect(tmp_path / "ratings.db") as by_hand:
        by_hand.execute(f'update pairs_rated set "{column}" = ? where id = 2', (value,))
    with pytest.raises(UserError, match=r"human_evaluation\.database") as raised:
        ratings.rows()
    assert told in raised.value.message
    assert "\n" not in raised.value.message
    assert column == "rated_at" or "table pairs_rated, row 2" in raised.value.message


def test_a_database_that_was_replaced_or_removed_is_entered_anew(tmp_path: Path) -> None:
    path, ratings = tmp_path / "ratings.db", Ratings(f"sqlite:///{tmp_path}/ratings.db")
    ratings.add(rating("ann", 1))
    path.rename(tmp_path / "kept.db")
    Ratings(f"sqlite:///{path}").add(rating("bo", 7))
    ratings.add(rating("ann", 2))
    assert Ratings(f"sqlite:///{path}").rows()["rater"].tolist() == ["bo", "ann"]
    path.unlink()
    with pytest.raises(UserError, match="no such table"):
        ratings.add(rating("ann", 3))
    ratings.add(rating("ann", 3))
    assert ratings.rows()["job_id"].tolist() == ["crm_sim/3"]


def test_a_rater_sees_each_pair_that_differs_once_and_sides_by_chance(
    questions: list[Question],
) -> None:
    assert len(questions) == 7, "answers that are all alike need no rater"
    rated, shown = Ratings("sqlite://").rows(), []
    while (pair := next_pair(questions, rated, "ann", seed=0)) is not None:
        shown.append(pair)
        own = rating("ann", 0, left=pair.left, right=pair.right)
        row = {**vars(own), "job_id": pair.question.job_id}
        rated = pd.concat([rated, pd.DataFrame([row])], ignore_index=True)
    pairs = [(p.question.job_id, frozenset((p.left, p.right))) for p in shown]
    assert len(pairs) == len(set(pairs)) == 21
    assert 4 <= sum(p.left < p.right for p in shown) <= 17, "no side is a name's own"
    assert next_pair(questions, rated, "bo", seed=0) is not None
    counts = Counter(frozenset((p.left, p.right)) for p in shown[:9])
    assert max(counts.values()) <= 4, "ratings are spread over pairs, not spent on one"


def ask(job: str) -> str:
    return f"question {job}"


def test_a_sheet_tells_no_name_and_comes_back_as_ratings(
    questions: list[Question], tmp_path: Path
) -> None:
    ratings = Ratings("sqlite://")
    handed = hand_out(ratings, questions, "ann", 5, 0, ask)
    text = handed.drop(columns=["left", "right"]).to_csv()
    assert not any(name in text for name in VARIANTS)
    write(handed, tmp_path / "sheet.csv")
    filled = read(tmp_path / "sheet.csv")
    assert filled.to_dict("list") == handed.to_dict("list")
    filled["preference"] = ["left", "Right ", "tie", " Both  BAD", ""]
    blank = pd.DataFrame([dict.fromkeys(filled.columns, " ")])
    filled = pd.concat([blank, filled.iloc[:2], blank, filled.iloc[2:]], ignore_index=True)
    back = read_back(ratings, filled)
    assert [one.preference for one in back] == ["left", "right", "tie", "both bad"]
    key = ratings.rows("handed")
    for one, (_, row) in zip(back, key.iterrows(), strict=False):
        assert (one.left, one.right, one.job_id) == (row["left"], row["right"], row["job_id"])
        assert one.rater == "ann"
    ratings.add_all(back)
    assert read_back(ratings, filled) == [], "what was read once is not counted twice"
    filled.loc[filled["pair"] == handed["pair"][4], "preference"] = "left"
    assert [one.preference for one in read_back(ratings, filled)] == ["left"]


def test_a_second_sheet_holds_other_pairs_under_other_numbers(questions: list[Question]) -> None:
    ratings = Ratings("sqlite://")
    sheets = [hand_out(ratings, questions, "ann", 15, 0, ask) for _ in range(3)]
    assert [len(one) for one in sheets] == [15, 6, 0]
    rows = ratings.rows("handed")
    pairs = [(row["job_id"], frozenset((row["left"], row["right"]))) for _, row in rows.iterrows()]
    assert len(set(pairs)) == len(pairs) == 21
    assert not set(sheets[0]["pair"]) & set(sheets[1]["pair"])
    assert len(hand_out(ratings, questions, "bo", 30, 0, ask)) == 21


EARLIER = """
create table pairs_rated (id integer primary key, rater varchar, model varchar, benchmark varchar,
    job_id varchar, "left" varchar, "right" varchar, preference varchar, seconds float,
    seed integer, rated_at timestamp default current_timestamp);
insert into pairs_rated (rater, model, benchmark, job_id, "left", "right", preference, seconds,
    seed) values ('ann', 'target', 'crm_sim', 'crm_sim/1', 'baseline.greedy', 'cascade.agreement',
    'left', 1.5, 7);
"""
"""A database as it was before ratings noted which answers they are of."""


def test_a_database_of_an_earlier_version_goes_on(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "ratings.db") as earlier:
        earlier.executescript(EARLIER)
    for number in (2, 3):
        Ratings(f"sqlite:///{tmp_path}/ratings.db").add(judged("bo", number, "text", "other"))
    rows = Ratings(f"sqlite:///{tmp_path}/ratings.db").rows()
    assert rows["rater"].tolist() == ["ann", "bo", "bo"]
    assert rows["left_answer"].isna().tolist() == [True, False, False]
    stands = standing(rows, {})
    assert (len(stands.counted), stands.changed, stands.unchecked) == (3, 0, 1)


def judged(rater: str, number: int, left: str, right: str) -> PairRating:
    noted = {"left_answer": answer_digest(left), "right_answer": answer_digest(right)}
    return replace(rating(rater, number), **noted)


def test_what_was_said_of_an_answer_that_has_changed_does_not_count() -> None:
    ratings = Ratings("sqlite://")
    ratings.add_all([judged("ann", n, "text", "other") for n in range(4)])
    now = dict.fromkeys(range(4), ("text", "other"))
    now |= {1: ("Text", "other"), 2: ("text", "")}
    stored = pd.DataFrame(
        [
            {"model": "target", "benchmark": "crm_sim", "job_id": f"crm_sim/{n}",
             "policy": name.split(".")[0], "variant": name.split(".")[1],
             "status": "ok" if text else "failed", "text": text or None}
            for n, texts in now.items() if n != 3
            for name, text in zip(VARIANTS, texts, strict=False)
        ]
    )  # fmt: skip
    stands = standing(ratings.rows(), digests_of(stored))
    assert stands.counted["job_id"].tolist() == ["crm_sim/0", "crm_sim/3"], "3 is stored no more"
    assert (stands.changed, stands.unchecked) == (2, 0)
    assert [line[:9] for line in stands.lines()] == ["2 ratings"]
    open_again = questions_of(stored)
    assert [one.job_id for one in open_again] == ["crm_sim/0", "crm_sim/1"]
    pair = next_pair(open_again, stands.counted, "ann", seed=0)
    assert pair is not None
    assert pair.question.job_id == "crm_sim/1", "it is judged anew"
    assert set(pair.digests) == {answer_digest("Text"), answer_digest("other")}


def test_who_judges_the_same_again_counts_once_by_the_last() -> None:
    one, other = VARIANTS[:2]
    ratings = Ratings("sqlite://")
    ratings.add_all([
        rating("ann", 1, "left"),
        rating("bo", 1, "left"),
        rating("ann", 2, "tie"),
        rating("ann", 1, "left", left=other, right=one),
    ])  # fmt: skip
    stands = standing(ratings.rows(), {})
    assert stands.counted["id"].tolist() == [2, 3, 4]
    assert (stands.repeated, stands.changed) == (1, 0)
    assert strengths(stands.counted, 0, 0.95)["n"].tolist() == [3, 3]
    grade = Grading("ann", "target", "crm_sim", "crm_sim/1", one, 1, None, None, None, 1.0)
    ratings.add_all([grade, replace(grade, correct=5), replace(grade, variant=other)])
    graded = standing(ratings.rows("gradings"), {}).counted
    assert graded["correct"].tolist() == [5, 1]


def test_a_pair_on_a_sheet_is_shown_to_its_rater_nowhere_else(questions: list[Question]) -> None:
    ratings = Ratings("sqlite://")
    sheet = hand_out(ratings, questions, "ann", 20, 0, ask)
    on_sheets = ratings.rows("handed")
    assert len(waiting(on_sheets, ratings.rows(), "ann")) == 20
    (left,) = _offered(questions, ratings, "ann")
    assert left not in [_pair(row) for _, row in on_sheets.iterrows()]
    assert len(_offered(questions, ratings, "bo")) == 21, "others judge it as before"
    ratings.add_all(read_back(ratings, sheet.assign(preference=["left"] * 12 + [""] * 8)))
    assert len(waiting(on_sheets, ratings.rows(), "ann")) == 8
    assert _offered(questions, ratings, "ann") == [left]
    back = ratings.rows()
    assert back["left_answer"].tolist() == on_sheets["left_answer"].tolist()[:12]


def _pair(row: Mapping[str, str]) -> tuple[str, frozenset[str]]:
    return row["job_id"], frozenset((row["left"], row["right"]))


def _offered(
    questions: list[Question], ratings: Ratings, rater: str
) -> list[tuple[str, frozenset[str]]]:
    """Every pair that a rater is shown, who judges until there is none."""
    rated, shown = ratings.rows(), []
    while (pair := next_pair(questions, rated, rater, 0, ratings.rows("handed"))) is not None:
        row = vars(rating(rater, 0, left=pair.left, right=pair.right))
        rated = pd.concat(
            [rated, pd.DataFrame([{**row, "job_id": pair.question.job_id}])], ignore_index=True
        )
        shown.append(_pair(rated.iloc[-1].to_dict()))
    return shown


def test_every_fault_of_a_sheet_is_told_with_its_row(questions: list[Question]) -> None:
    ratings = Ratings("sqlite://")
    handed = hand_out(ratings, questions, "ann", 5, 0, ask)
    handed["preference"] = ["leftt", "", "", "", ""]
    handed.loc[4, "pair"] = "17"
    handed.loc[3, "pair"] = handed.loc[2, "pair"]
    with pytest.raises(DataError) as raised:
        read_back(ratings, handed)
    first, second, third = raised.value.message.splitlines()
    assert first.startswith("row 2: 'leftt' is no preference. Did you mean 'left'")
    assert "row 5" in second
    assert "twice" in second
    assert "row 6: no pair '17'" in third
    with pytest.raises(DataError, match="no column preference"):
        read_back(ratings, handed.drop(columns="preference"))


@given(st.text())
def test_no_cell_is_computed_and_each_comes_back_as_it_was(cell: str) -> None:
    shown = as_text(cell)
    assert shown[:1] not in tuple("=+-@\t\r\n＝＋－＠")
    assert shown.lstrip()[:1] not in tuple("=+-@")
    assert from_text(shown) == cell


def test_texts_of_a_table_are_guarded_and_numbers_are_not() -> None:
    text = csv_text(
        pd.DataFrame(
            {
                "=1+1": ["=cmd|' /C calc'!A0", "@SUM(A1)", None, "plain, text"],
                "loss": [-1.5, math.nan, 2.0, -0.25],
                "n": pd.Series([-3, None, 0, 7], dtype="Int64"),
            }
        )
    )
    assert text.splitlines() == [
        "'=1+1,loss,n", "'=cmd|' /C calc'!A0,-1.5,-3", "'@SUM(A1),,", ",2.0,0",
        '"plain, text",-0.25,7',
    ]  # fmt: skip


@given(st.lists(st.text(st.characters(codec="utf-8")), min_size=3))
def test_what_models_wrote_passes_through_a_file(
    tmp_path_factory: pytest.TempPathFactory, cells: list[str]
) -> None:
    path = tmp_path_factory.mktemp("sheet") / "sheet.csv"
    handed = pd.DataFrame({"pair": [str(n) for n in range(len(cells))], "left": cells})
    write(handed, path)
    back = read(path)
    assert back["pair"].tolist() == handed["pair"].tolist()


def test_a_file_of_another_spreadsheet_is_read_and_what_is_none_is_a_line(tmp_path: Path) -> None:
    path = tmp_path / "sheet.csv"
    for comma in ",;\t":
        path.write_text(f"pair{comma}preference\r\n1{comma}NA\r\n", encoding="utf-8-sig")
        assert read(path).to_dict("list") == {"pair": ["1"], "preference": ["NA"]}
    path.write_text("Pair, Preference \n\n1,left\n")
    assert read(path).to_dict("list") == {"pair": ["", "1"], "preference": ["", "left"]}
    path.write_text("pair,preference,,\n1,left,,see below\n")
    assert read(path).to_dict("list") == {"pair": ["1"], "preference": ["left"]}
    twice = b"pair,preference,Preference\n1,,left\n"
    for content in (b"\xff\xfe\x00\x01", b"", b'a,b\n"1', b"pair\n1,2,3\n4,5,6,7\n", twice):
        path.write_bytes(content)
        with pytest.raises(DataError) as raised:
            read(path)
        assert "\n" not in raised.value.message
    with pytest.raises(DataError, match="is there already"):
        write(pd.DataFrame(), path)
    with pytest.raises(DataError, match="No such file"):
        read(tmp_path / "away.csv")


def test_one_rater_has_one_name() -> None:
    assert rater_of("  Ann \t Lee ") == "Ann Lee"
    for name in ("", " \n ", "a" * 61, "a\0b", "\ud800"):
        with pytest.raises(UserError) as raised:
            rater_of(name)
        assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("rater", ""), ("rater", " ann"), ("preference", "Left"), ("preference", None),
        ("right", VARIANTS[0]), ("seconds", math.nan), ("seconds", -1.0), ("seconds", math.inf),
        ("seed", 2**70), ("seed", 1.5), ("seed", True), ("job_id", ""), ("model", "\ud800"),
    ],
)  # fmt: skip
def test_what_is_no_rating_is_refused_before_it_is_kept(field: str, value: object) -> None:
    with pytest.raises((ValueError, UserError)):
        PairRating(**{**vars(rating("ann", 1)), field: value})  # type: ignore[arg-type]


def test_all_ratings_of_a_sheet_are_kept_or_none(address: str) -> None:
    ratings = Ratings(address)
    broken = rating("ann", 2)
    object.__setattr__(broken, "seed", None)
    object.__setattr__(broken, "rater", object())
    with pytest.raises(UserError):
        ratings.add_all([rating("ann", 1), broken])
    assert ratings.rows().empty


def table(ratings: list[PairRating]) -> pd.DataFrame:
    return pd.DataFrame([vars(one) for one in ratings])


def test_people_agree_with_a_reward_that_says_what_they_say() -> None:
    rewards = collect_scores(
        scores("baseline", "greedy", [1.0] * 12), scores("cascade", "agreement", [0.0] * 12)
    )
    ann = [rating("ann", n) for n in range(12)]
    bo = [rating("bo", n, "right", left=VARIANTS[1], right=VARIANTS[0]) for n in range(12)]
    rows = agreement(table([*ann, *bo]), rewards).set_index("measure")
    assert rows.loc["krippendorff", "value"] == 1.0, "sides were swapped, answers were not"
    assert (rows.loc["with", "value"], rows.loc["with", "n"]) == (1.0, 24)
    assert rows.loc["left_share", "value"] == 0.5
    strong = strengths(table([*ann, *bo]), 0, 0.95).set_index("variant")
    assert strong.loc["baseline.greedy", "win_rate"] == 1.0
    assert strong.loc["baseline.greedy", "strength_low"] > 0
    assert strong.loc["cascade.agreement", "losses"] == 24


def test_a_response_without_a_text_is_no_answer_whatever_its_status() -> None:
    """So a foreign or damaged one may be."""
    rows = [{"model": "m", "benchmark": "b", "job_id": "b/1", "policy": "p", "variant": name,
             "status": "ok", "text": text}
            for name, text in (("one", "1"), ("two", "2"), ("none", None))]  # fmt: skip
    for stored in (pd.DataFrame(rows), pd.DataFrame(rows).convert_dtypes(dtype_backend="pyarrow")):
        (question,) = questions_of(stored)
        assert set(question.answers) == {"p.one", "p.two"}
        assert digests_of(stored)["m", "b", "b/1", "p.none"] == NO_ANSWER


def test_questions_of_two_benchmarks_are_two_even_where_their_ids_are_one() -> None:
    rewards = collect_scores(
        scores("baseline", "greedy", [1.0] * 4), scores("cascade", "agreement", [0.0] * 4)
    )
    turned = rewards.assign(benchmark="other", reward=1 - rewards["reward"])
    said = [rating(rater, n) for n in range(4) for rater in ("ann", "bo")]
    elsewhere = [replace(one, benchmark="other", preference="right") for one in said]
    both = pd.concat([rewards, turned], ignore_index=True)
    rows = agreement(table([*said, *elsewhere]), both).set_index("measure")
    assert (rows.loc["with", "value"], rows.loc["with", "n"]) == (1.0, 16)
    assert (rows.loc["cohen", "value"], rows.loc["cohen", "n"]) == (1.0, 8)


def test_grades_are_means_with_intervals_and_none_is_out_of_range(address: str) -> None:
    ratings = Ratings(address)
    for number, grade in enumerate((1, 3, 5, None)):
        place = ("ann", "target", "crm_sim", f"crm_sim/{number}", VARIANTS[0])
        ratings.add(Grading(*place, grade, None, 5, None, 2.0))
    rows = grades(ratings.rows("gradings"), 0.95).set_index("criterion")
    assert set(rows.index) == {"correct", "safe"}
    assert (rows.loc["correct", "mean"], rows.loc["correct", "n"]) == (3.0, 3)
    with pytest.raises(ValueError, match="from 1 to 5"):
        Grading(*place, 6, None, None, None, 2.0)


def test_the_pipeline_sums_up_what_is_there(kedro_run: KedroRun, project: Path) -> None:
    folder = project / "data/08_reporting"
    folder.mkdir(parents=True, exist_ok=True)
    collect_scores(
        scores("baseline", "greedy", [1.0] * 12), scores("cascade", "agreement", [0.0] * 12)
    ).to_parquet(folder / "all_scores.parquet")
    result = kedro_run("--pipeline=human_evaluation")
    assert result.exit_code == 0, result.output
    assert "No pair has been rated yet" in result.output
    ratings = Ratings(f"sqlite:///{project}/data/ratings.db")
    for number in range(12):
        ratings.add(rating("ann", number))
    result = kedro_run("--pipeline=human_evaluation")
    assert result.exit_code == 0, result.output
    assert "12 comparisons by 1 rater." in result.output
    strong = pd.read_parquet(folder / "human/strengths.parquet")
    assert set(strong["variant"]) == {"baseline.greedy", "cascade.agreement"}
    (run,) = mlflow.search_runs(
        search_all_experiments=True,
        order_by=["start_time desc"],
        max_results=1,
        output_format="list",
    )
    logged, (first, *_) = run.data.metrics, strong.to_dict("records")
    for figure in ("win_rate", "strength", "strength_low", "strength_high"):
        name = f"human/target/{first['variant']}/{figure}"
        assert logged[name] == pytest.approx(float(first[figure]))
    agreed = pd.read_parquet(folder / "human/agreement.parquet").set_index("measure")
    name = "human/target/with/reward/value"
    assert logged[name] == agreed.loc["with", "value"] == 1.0


@pytest.mark.parametrize("n_handed", [0, 3])
def test_what_is_left_counts_down_to_nothing(n_handed: int, questions: list[Question]) -> None:
    columns = list(PairRating.__annotations__)
    pairs, graded = pd.DataFrame(columns=columns), pd.DataFrame(columns=[*Grading.__annotations__])
    handed = pd.DataFrame([vars(rating("ann", number + 1)) for number in range(n_handed)],
                          columns=columns)  # fmt: skip
    n_pairs = len(questions) * math.comb(len(VARIANTS), 2)
    assert count_left(questions, pairs, "ann") == n_pairs
    for left in range(n_pairs - n_handed, -1, -1):
        assert count_left(questions, pairs, "ann", handed) == left
        pair = next_pair(questions, pairs, "ann", 1, handed)
        assert (pair is None) == (left == 0)
        if pair is not None:
            one = PairRating("ann", *pair.question.place, pair.left, pair.right, "tie", 1.0, 1)
            pairs = pd.DataFrame([*pairs.to_dict("records"), vars(one)])
    assert count_left(questions, pairs, "bo", handed) == n_pairs, "each rater has an own"
    for left in range(len(questions) * len(VARIANTS), -1, -1):
        assert len(answers_left(questions, graded, "ann")) == left
        answer = next_answer(questions, graded, "ann", 1)
        assert (answer is None) == (left == 0)
        if answer is not None:
            grade = Grading("ann", *answer[0].place, answer[1], 3, None, None, None, 1.0)
            graded = pd.DataFrame([*graded.to_dict("records"), vars(grade)])
