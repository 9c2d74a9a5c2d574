"""The page that shows single responses: as they were scored, as text and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from tests.dashboard.conftest import Open, holding, response, rewritten, words

from ttc_bench.metrics.base import answer_digest
from ttc_bench.reporting.answers import FILTERS, SCORED, difference, side_by_side, why
from ttc_bench.types import Job, Message, Reading


def of(project: Path, name: str) -> pd.DataFrame:
    scores = pd.read_parquet(project / "data/08_reporting/all_scores.parquet")
    policy, variant = name.split(".")
    return scores[(scores["policy"] == policy) & (scores["variant"] == variant)]


def test_two_responses_stand_side_by_side_with_their_scores(
    measured: Path, open_page: Open
) -> None:
    first, second = "baseline.greedy", "self_consistency.majority"
    job = of(measured, first)["job_id"].iloc[2]
    page = open_page(measured, "answers", first=first, second=second, question=job)
    shown = [str(code.value) for code in page.code]
    for name in (first, second):
        assert response(measured, name, job)["text"] in shown
    samples = response(measured, second, job)["samples"]
    assert len(samples) == 4
    assert set(samples) <= set(shown)
    reward = of(measured, second).set_index("job_id").loc[job, "reward"]
    assert f"Reward {reward:.3f} by" in words(page)
    listed = page.dataframe[0].value.set_index("job_id")["asked"]
    assert listed.notna().all()
    asked = next(" ".join(text.split()) for text in shown if listed[job][:40] in text)
    assert asked.startswith(listed[job].removesuffix("…"))


def test_an_answer_below_the_whole_reward_is_told_with_what_was_expected() -> None:
    messages = [Message(role="user", content="6 times 7?")]
    job = Job(id="mine/2", benchmark="mine", task="t", messages=messages, references=["42"],
              reward_metric="normalised", max_tokens=8,
              reading=Reading(is_marked=True))  # fmt: skip
    wrong, right = (why(job, {"reward": reward}, "Answer: I66")[1] for reward in (0.0, 1.0))
    assert wrong == "Scored was: I66, which is not as expected: 42"
    assert right == "Scored was: I66"


def test_one_variant_stands_beside_itself(measured: Path, open_page: Open) -> None:
    name = "self_consistency.majority"
    page = open_page(measured, "answers", first=name, second=name)
    assert page.session_state["first"] == page.session_state["second"] == name
    assert "could not be made" not in words(page)
    assert words(page).count("4 candidates") == 2


@pytest.mark.parametrize("name", FILTERS)
def test_a_filter_shows_the_questions_that_it_names(
    name: str, measured: Path, open_page: Open
) -> None:
    sides = [of(measured, n)[list(SCORED)] for n in ("baseline.greedy", "tree_search.beam")]
    left = side_by_side(*sides)[FILTERS[name](side_by_side(*sides))]["job_id"].tolist()
    page = open_page(measured, "answers", second="tree_search.beam", show=name)
    if left:
        assert page.selectbox(key="question").options == left
    else:
        assert f"There is no question with: {name}." in words(page)


def test_filters_tell_right_from_wrong_and_failed() -> None:
    jobs = ["a", "b", "c", "d"]
    table = pd.DataFrame({"job_id": jobs, "benchmark": "x", "task": "t", "difficulty": None,
                          "latency_s": 1.0, "total_tokens": 1.0})  # fmt: skip
    first = table.assign(reward=[1.0, 1.0, 0.5, None], status=["ok", "ok", "ok", "failed"],
                         answer=["1", "2", "3", None])  # fmt: skip
    second = table.assign(reward=[1.0, 0.0, 1.0, 0.0], status="ok", answer=["1", "9", "8", "7"])
    both = side_by_side(first, second)

    def named(name: str) -> list[str]:
        return list(both[FILTERS[name](both)]["job_id"])

    assert named("first right, second wrong") == ["b"]
    assert named("first wrong, second right") == ["c"]
    assert named("both right") == ["a"]
    assert named("both wrong") == ["d"]
    assert named("answers differ") == ["b", "c", "d"]
    assert named("either failed") == ["d"]


def test_nothing_that_a_model_wrote_is_rendered(copied: Path, open_page: Open) -> None:
    evil = "<script>alert(1)</script> **bold** $x$ :material/home: ![i](http://x)"
    for name in ("responses", "scores"):
        file = copied / f"data/07_model_output/{name}/baseline.greedy.parquet"
        table = pd.read_parquet(file)
        table[[c for c in ("text", "reasoning") if c in table]] = evil
        table.to_parquet(file)
    file = copied / "data/08_reporting/all_scores.parquet"
    table = pd.read_parquet(file)
    table.loc[table["policy"] == "baseline", "answer"] = answer_digest(evil)
    table.to_parquet(file)
    page = open_page(copied, "answers", second="tree_search.beam")
    assert evil in [code.value for code in page.code]
    read_as_markdown = [*page.markdown, *page.caption, *page.info, *page.subheader]
    assert not [one for one in read_as_markdown if "script" in one.value]
    assert not page.get("html")


def damaged(project: Path, table: str, name: str, column: str, value: Any) -> None:
    """Put a value in all rows of a column of a stored table, whose type stays."""
    file = project / f"data/07_model_output/{table}/{name}.parquet"
    rewritten(file, lambda t: holding(column, value, t.schema.field(column).type)(t))


def test_a_damaged_column_is_told_and_costs_no_other(copied: Path, open_page: Open) -> None:
    name = "self_consistency.majority"
    for column, value in (("samples", ["a", None]), ("bill", "[1, 2]"), ("info", "7")):
        damaged(copied, "responses", name, column, value)
    damaged(copied, "traces", "tree_search.beam", "text", None)
    page = open_page(copied, "answers", first=name, second="tree_search.beam")
    told = [one.value.replace("\\", "").partition(" is damaged")[0] for one in page.info]
    job = page.selectbox(key="question").value
    of = f"of the response of {name} to {job}"
    assert told == [
        *(f"The column {column} {of}" for column in ("samples", "bill", "info")),
        f"The column text of the trace of the response of tree_search.beam to {job}",
    ]
    assert "could not be made" not in words(page)
    assert response(copied, name, job)["text"] in [code.value for code in page.code]


def test_a_column_of_lists_of_another_kind_is_told_by_its_file(
    copied: Path, open_page: Open
) -> None:
    name = "self_consistency.majority"
    file = f"data/07_model_output/responses/{name}.parquet"
    rewritten(copied / file, holding("samples", [1, 2], pa.list_(pa.int64())))
    told = f"{file} holds lists of numbers in its column samples; expected: lists of text."
    assert told in words(open_page(copied, "answers", second=name))


def test_lines_that_a_revision_changed_are_marked() -> None:
    assert difference("a\nb", "a\nc") == "  a\n- b\n+ c"
