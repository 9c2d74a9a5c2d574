"""Nothing that a rater says is lost, sides are blind and even, and a sheet finds its way back."""

from __future__ import annotations

import multiprocessing
from collections import Counter
from multiprocessing.synchronize import Barrier
from pathlib import Path

import pandas as pd
import pytest
from tests.conftest import KedroRun
from tests.reporting.support import scores

from ttc_bench.errors import DataError, UserError
from ttc_bench.pipelines.aggregate.nodes import collect_scores
from ttc_bench.ratings.pairs import Question, next_pair, questions_of
from ttc_bench.ratings.sheet import read_sheet, sheet
from ttc_bench.ratings.store import Grading, PairRating, Preference, Ratings
from ttc_bench.ratings.summary import agreement, grades, strengths

VARIANTS = ("baseline.greedy", "cascade.agreement", "early_exit.fixed_layer")


def rating(rater: str, number: int, preference: Preference = "left", **sides: str) -> PairRating:
    left, right = sides.get("left", VARIANTS[0]), sides.get("right", VARIANTS[1])
    return PairRating(
        rater, "target", "crm_sim", f"crm_sim/{number}", left, right, preference, 1.5, 7
    )


def rate(folder: Path, rater: str, count: int, start: Barrier) -> None:
    """Rate in one database, after entering many new ones at the same moment as others."""
    for number in range(20):
        start.wait(60)
        Ratings(f"sqlite:///{folder}/{number}.db").add(rating(rater, number))
    ratings = Ratings(f"sqlite:///{folder}/deep/ratings.db")
    for number in range(count):
        ratings.add(rating(rater, number))


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


@pytest.mark.parametrize("bad", ["nosuch://x", "no address", "postgresql+nosuch://u@h/d"])
def test_a_database_that_is_none_is_one_line(bad: str) -> None:
    with pytest.raises(UserError, match=r"human_evaluation\.database") as raised:
        Ratings(bad).rows()
    assert "\n" not in raised.value.message


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


def test_a_sheet_tells_no_name_and_comes_back_as_ratings(questions: list[Question]) -> None:
    rated = Ratings("sqlite://").rows()
    handed, key = sheet(questions, rated, "ann", 5, 0, lambda job: f"question {job}")
    text = handed.drop(columns=["left", "right"]).to_csv()
    assert not any(name in text for name in VARIANTS)
    handed["preference"] = ["left", "Right ", "tie", "both bad", ""]
    back = read_sheet(handed, key, "ann")
    assert [one.preference for one in back] == ["left", "right", "tie", "both bad"]
    for one, (_, row) in zip(back, key.iterrows(), strict=False):
        assert (one.left, one.right, one.job_id) == (row["left"], row["right"], row["job_id"])
    handed["preference"] = ["leftt", "", "", "", ""]
    handed.loc[4, "pair"] = "ann-0-9"
    handed.loc[3, "pair"] = handed.loc[2, "pair"]
    with pytest.raises(DataError) as raised:
        read_sheet(handed, key, "ann")
    first, second, third = raised.value.message.splitlines()
    assert first.startswith("row 2: 'leftt' is no preference. Did you mean 'left'")
    assert "row 5" in second
    assert "twice" in second
    assert "row 6: no pair 'ann-0-9'" in third


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
    assert "12 comparisons by 1 raters" in result.output
    strong = pd.read_parquet(folder / "human/strengths.parquet")
    assert set(strong["variant"]) == {"baseline.greedy", "cascade.agreement"}
