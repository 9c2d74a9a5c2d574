"""Samples become jobs: nothing dropped, nothing of the scored side shown as an example."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tests.conftest import ingested

from ttc_bench.benchmarks import BENCHMARKS, Prompting
from ttc_bench.benchmarks.sim.samples import SimParams
from ttc_bench.errors import UserError
from ttc_bench.pipelines.ingest_benchmarks.nodes import ingest, merge
from ttc_bench.pipelines.ingest_benchmarks.params import prompting_of
from ttc_bench.types import Job

SIMULATED = ("crm_sim", "worf_sim")
PLAN = "Node:\n1: Search.\n2: Count.\nEdges: (START,1) (1,2) (2,END)"


@pytest.mark.parametrize("name", SIMULATED)
def test_a_higher_limit_adds_jobs_and_every_job_is_unique(name: str) -> None:
    jobs = ingested(name, 20)
    assert len({job.id for job in jobs}) == 20
    assert jobs[:5] == ingested(name, 5)


def test_a_benchmark_that_is_not_selected_has_no_jobs() -> None:
    assert ingest("crm_sim", ["worf_sim"], 5, Prompting(), SimParams(), seed=0) == []


@pytest.mark.parametrize("name", SIMULATED)
def test_few_shot_examples_come_from_the_train_side(name: str) -> None:
    """No example question is a scored question, and the question asked comes last."""
    benchmark = BENCHMARKS[name]
    plain = ingested(name, None)
    scored = {job.messages[-1].content for job in plain}
    asked = {job.id: job for job in plain}
    for job in ingested(name, 30, {"shots": 2}):
        bare = asked[job.id]
        users = [m.content for m in job.messages if m.role == "user"]
        answers = [m.content for m in job.messages if m.role == "assistant"]
        assert len(users) == 3
        assert len(answers) == 2
        assert users[-1] == bare.messages[-1].content
        assert not scored & set(users[:-1])
        assert all(benchmark.parse(answer, job) is not None for answer in answers)


def test_an_example_that_is_itself_scored_is_told(tmp_path: Path) -> None:
    """A train file that holds scored samples would give answers away."""

    def record(question: str, name: str) -> dict[str, object]:
        said = zip(("system", "user", "assistant"), ("You plan.", question, PLAN), strict=True)
        turns = [{"role": role, "content": content} for role, content in said]
        return {"source": "os", "conversations": turns, "target": "graph", "id": name}

    files = {"scored": [record(q, q) for q in "ab"], "leaking": [record("b", "x")],
             "apart": [record("c", "y")]}  # fmt: skip
    for name, records in files.items():
        (tmp_path / f"{name}.json").write_text(json.dumps(records))

    def jobs(train: str) -> list[Job]:
        source = {"path": str(tmp_path / "scored.json"), "train_path": str(tmp_path / train)}
        return ingested("worfbench", 1, {"shots": 1}, source)

    with pytest.raises(UserError, match="example x is also a scored sample"):
        jobs("leaking.json")
    assert [m.content for m in jobs("apart.json")[0].messages if m.role == "user"] == ["c", "a"]


@pytest.mark.parametrize("name", SIMULATED)
def test_prompting_changes_what_is_asked(name: str) -> None:
    with_thought = ingested(name, 1, {"chain_of_thought": True})[0]
    without = ingested(name, 1, {"chain_of_thought": False, "max_tokens": 7})[0]
    assert with_thought.prompting["chain_of_thought"] is True
    assert without.prompting["chain_of_thought"] is False
    assert without.max_tokens == 7


def test_a_benchmark_can_have_prompt_settings_of_its_own() -> None:
    prompting = {"shots": 1, "crm_sim": {"shots": 2, "stop": ["###"]}}
    assert prompting_of("crm_sim", prompting).shots == 2
    assert prompting_of("crm_sim", prompting).stop == ("###",)
    assert prompting_of("worf_sim", prompting).shots == 1


def test_merge_keeps_every_job_once_in_the_order_selected() -> None:
    crm = ingested("crm_sim", 3)
    worf = ingested("worf_sim", 2)
    assert merge(["worf_sim", "crm_sim"], crm, worf) == worf + crm
