"""Floors are what an answer scores that never looked at the question."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest
from tests.conftest import ingested
from tests.metrics.support import make_job

from ttc_bench.benchmarks import BENCHMARKS, Prompting
from ttc_bench.benchmarks.selection import stratified
from ttc_bench.metrics.benchmark import score_texts
from ttc_bench.reporting.budgets import ALL
from ttc_bench.reporting.floors import floors, gold_answer
from ttc_bench.reporting.table import coverage_line
from ttc_bench.types import Job


def jobs_of(name: str, limit: int, **source: str) -> list[Job]:
    benchmark = BENCHMARKS[name]
    params = benchmark.params(**source)
    samples = stratified(benchmark.load(params), limit, seed=0)
    return [benchmark.render(sample, Prompting(), params) for sample in samples]


def test_one_answer_that_suits_most_questions_is_the_constant() -> None:
    jobs = [make_job(id=f"b/{i}", references=("yes",) if i < 3 else ("no",)) for i in range(4)]
    whole = floors(jobs).set_index("task").loc[ALL]
    assert whole["constant"] == pytest.approx(0.75)
    assert whole["constant_answer"] == "Answer: yes"


def test_without_repeated_answers_a_shuffled_one_scores_nothing() -> None:
    jobs = [make_job(id=f"b/{i}", references=(f"id{i}",)) for i in range(5)]
    assert floors(jobs)["shuffled"].tolist() == [0.0, 0.0]


def test_a_task_of_one_question_has_no_shuffled_answer() -> None:
    assert floors([make_job(id="b/0")])["shuffled"].isna().all()
    whole = floors([make_job(id=f"b/{task}", task=task) for task in "ab"])
    assert whole.set_index("task").loc[ALL, "constant_by_task"] is pd.NA, "it is its own answer"


@pytest.mark.parametrize("name", ["crm_sim", "worf_sim"])
def test_a_gold_answer_in_the_form_of_its_rule_scores_full(name: str) -> None:
    jobs = jobs_of(name, 20)
    scored = score_texts({(job.id, gold_answer(job)): job for job in jobs})
    assert [row["reward"] for row in scored.values()] == pytest.approx([1.0] * len(jobs))


def test_the_floor_of_the_whole_lies_between_those_that_know_less_and_more() -> None:
    table = floors(jobs_of("crm_sim", 60))
    whole = table.set_index("task").loc[ALL]
    assert whole["constant"] <= whole["constant_by_task"]
    assert whole["n_jobs"] == table[table["task"] != ALL]["n_jobs"].sum()


def test_the_table_says_what_of_a_source_is_covered() -> None:
    line = coverage_line(floors(ingested("crm_sim", 24)), "crm_sim")
    assert line == "24 of the 480 questions of the source, from its 10 types."
    assert coverage_line(floors([make_job()]), "crmarena") == "", "jobs of an older file"


def test_one_sentence_scores_a_quarter_of_crmarena(shared: Path) -> None:
    jobs = jobs_of("crmarena", 220, path=str(shared / "benchmarks" / "crmarena_pro_b2b.json"))
    whole = floors(jobs).set_index("task").loc[ALL]
    assert 0.2 < whole["constant"] < 0.35
    assert 0.3 < whole["constant_by_task"] < 0.6
