"""The page that shows single responses: as they were scored, as text and nothing else."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from tests.dashboard.conftest import Open, holding, response, rewritten, words

from ttc_bench.benchmarks import benchmark_of
from ttc_bench.dashboard.store import opened
from ttc_bench.metrics.base import REPLAYED, answer_digest
from ttc_bench.policies.voting import vote
from ttc_bench.reporting.answers import (
    FILTERS,
    SCORED,
    candidates,
    chosen,
    difference,
    side_by_side,
    unmeasured,
    why,
)
from ttc_bench.types import Job, Message, Reading


def of(project: Path, name: str) -> pd.DataFrame:
    scores = pd.read_parquet(project / "data/08_reporting/all_scores.parquet")
    policy, variant = name.split(".")
    return scores[(scores["policy"] == policy) & (scores["variant"] == variant)]


def test_two_responses_stand_side_by_side_with_their_scores(
    measured: Path, open_page: Open
) -> None:
    first, second = "baseline.greedy", "self_consistency.majority"
    job = of(measured, first)["job_id"].iloc[1]
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


def of_another_run(project: Path) -> None:
    """Store other questions, as a run does that fails right after it began."""
    jobs = project / "data/05_model_input/jobs.jsonl"
    lines = [json.loads(line) for line in jobs.read_text().splitlines()]
    others = [{**line, "id": f"mine/{place}", "benchmark": "mine"}
              for place, line in enumerate(lines)]  # fmt: skip
    jobs.write_text("\n".join(map(json.dumps, others)) + "\n")


def with_another_question(project: Path) -> None:
    """Store other questions under the ids of those that were asked, as another seed does."""
    jobs = project / "data/05_model_input/jobs.jsonl"
    lines = [json.loads(line) for line in jobs.read_text().splitlines()]
    for place, line in enumerate(lines):
        line |= {"question": f"{place}:another"}
        line["messages"] = [{"role": "user", "content": "Another?"}]
    jobs.write_text("\n".join(map(json.dumps, lines)) + "\n")


@pytest.mark.parametrize("change", [of_another_run, with_another_question])
def test_questions_of_another_run_take_nothing_away_that_was_measured(
    change: Any, copied: Path, open_page: Open
) -> None:
    first, second = "self_consistency.majority", "tree_search.beam"
    job = of(copied, first)["job_id"].iloc[1]
    whole = open_page(copied, "answers", first=first, second=second, question=job)
    change(copied)
    page = open_page(copied, "answers", first=first, second=second, question=job)
    assert not page.exception
    assert "could not be made" not in words(page)
    assert [one.value for one in page.metric] == [one.value for one in whole.metric]
    shown = [str(code.value) for code in page.code]
    for name in (first, second):
        assert response(copied, name, job)["text"] in shown
    assert set(response(copied, first, job)["samples"]) <= set(shown)
    asked = [str(code.value) for code in whole.code[:3]]
    assert [code.value for code in whole.code if code.value not in asked] == [
        code for code in shown if code not in asked
    ], "steps and candidates are all there"
    assert page.selectbox(key="question").options == whole.selectbox(key="question").options
    (told,) = (one.value.replace("\\", "") for one in page.info)
    assert job in told
    assert "the run that was begun last (" in told
    assert "The command of the earlier run, given again, brings its own back" in told


def test_rewards_stand_before_texts_of_any_length(measured: Path, open_page: Open) -> None:
    page = open_page(measured, "answers", second="self_consistency.majority")
    columns = list(page.dataframe[0].value.columns)
    assert columns[:3] == ["job_id", "reward_first", "reward_second"]
    numbers = [columns.index(name) for name in columns if name.endswith(("_first", "_second"))]
    assert max(numbers) < columns.index("asked")


MINE = Job(id="mine/2", benchmark="mine", task="t", references=["42"], max_tokens=8,
           messages=[Message(role="user", content="6 times 7?")],
           reward_metric="normalised", reading=Reading(is_marked=True))  # fmt: skip


@pytest.mark.parametrize("seed", range(20))
def test_the_candidate_that_won_is_told_with_how_a_tie_was_settled(seed: int) -> None:
    dice = random.Random(seed)
    texts = [dice.choice(["Answer: 1", "Answer: 2", "Answer: 3", "no idea"])
             for _ in range(dice.randint(1, 8))]  # fmt: skip
    result = vote([benchmark_of(MINE).parse(text, MINE) for text in texts])
    row = {"text": texts[result.index], "samples": texts, "info": json.dumps({"votes": 1})}
    told = chosen(row, MINE)
    assert told[0] == f"Candidate {result.index + 1} is the response."
    is_tie = result.votes > 0 and result.votes == result.runner_up
    assert ("in a tie the answer that came first wins" in told[1]) == is_tie
    assert (f"{result.votes} of {len(texts)} vote" in told[1]) == (result.votes > 0)
    assert chosen({**row, "info": "{}"}, MINE) == told[:1], "no vote decided it"
    assert chosen(row, None) == told[:1]
    assert chosen({**row, "text": "of the large model"}, MINE)[0].startswith("None of them is")


def test_answers_of_several_parts_are_told_to_be_in_alphabetical_order(
    measured: Path, open_page: Open
) -> None:
    (job,) = (one for one in opened(measured).jobs() if one.task == "case_routing")
    text = "Answer: Gina, Adam, Gina"
    row = {"text": text, "samples": [text], "info": "{}"}
    assert candidates(row, job)["answer"].tolist() == ["Adam, Gina, Gina"]
    assert any("in alphabetical order" in told for told in chosen(row, job))
    assert not any("order" in told for told in chosen({**row, "samples": ["Answer: Gina"]}, job))


def test_a_time_that_is_not_known_has_its_reason(copied: Path, open_page: Open) -> None:
    file = copied / "data/08_reporting/all_scores.parquet"
    table = pd.read_parquet(file)
    assert "No seconds" not in words(open_page(copied, "answers"))
    replayed = json.dumps({REPLAYED.reason: ["latency_s"]})
    table.assign(latency_s=pd.Series(dtype="Float64"), null_reasons=replayed).to_parquet(file)
    assert f"No seconds: {REPLAYED.reason}." in words(open_page(copied, "answers"))


@pytest.mark.parametrize("kept", [None, pd.NA, "[", "[1]", "7", '{"x": 3}', "{}"])
def test_without_a_reason_a_response_from_the_journal_has_no_time_all_the_same(kept: Any) -> None:
    score = {"latency_s": None, "null_reasons": kept}
    assert unmeasured({**score, "replayed": True}, "latency_s") == REPLAYED.reason
    assert unmeasured({**score, "replayed": pd.NA}, "latency_s") == ""
    assert unmeasured({**score, "replayed": True, "latency_s": 0.5}, "latency_s") == ""


def test_what_no_policy_noted_is_left_out(measured: Path, open_page: Open) -> None:
    page = open_page(measured, "answers", second="self_consistency.majority")
    titles = [one.label for one in page.expander]
    assert (titles.count("Calls"), titles.count("Calls, and what the policy noted")) == (1, 1)
    (noted,) = page.json
    assert json.loads(noted.value)["samples"] == 4
