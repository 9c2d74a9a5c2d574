"""Samples become jobs: nothing dropped, nothing of the scored side shown as an example."""

from __future__ import annotations

import pytest

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.errors import UserError
from ttc_bench.pipelines.ingest_benchmarks.nodes import ingest, merge, prompting_of

SIMULATED = ("crm_sim", "worf_sim")


@pytest.mark.parametrize("name", SIMULATED)
def test_limit_takes_the_first_samples_and_every_job_is_unique(name: str) -> None:
    jobs = ingest(name, [name], 20, {}, {})
    assert len({job.id for job in jobs}) == 20
    assert jobs[:5] == ingest(name, [name], 5, {}, {})


def test_a_benchmark_that_is_not_selected_has_no_jobs() -> None:
    assert ingest("crm_sim", ["worf_sim"], 5, {}, {}) == []


@pytest.mark.parametrize("name", SIMULATED)
def test_few_shot_examples_come_from_the_train_side(name: str) -> None:
    """No example question is a scored question, and the question asked comes last."""
    benchmark = BENCHMARKS[name]
    plain = ingest(name, [name], None, {}, {})
    scored = {job.messages[-1].content for job in plain}
    for job, bare in zip(ingest(name, [name], 30, {"shots": 2}, {}), plain, strict=False):
        users = [m.content for m in job.messages if m.role == "user"]
        answers = [m.content for m in job.messages if m.role == "assistant"]
        assert len(users) == 3
        assert len(answers) == 2
        assert users[-1] == bare.messages[-1].content
        assert not scored & set(users[:-1])
        assert all(benchmark.parse(answer, job) is not None for answer in answers)


@pytest.mark.parametrize("name", SIMULATED)
def test_prompting_changes_what_is_asked(name: str) -> None:
    with_thought = ingest(name, [name], 1, {"chain_of_thought": True}, {})[0]
    without = ingest(name, [name], 1, {"chain_of_thought": False, "max_tokens": 7}, {})[0]
    assert with_thought.prompting["chain_of_thought"] is True
    assert without.prompting["chain_of_thought"] is False
    assert without.max_tokens == 7


def test_a_benchmark_can_have_prompt_settings_of_its_own() -> None:
    prompting = {"shots": 1, "crm_sim": {"shots": 2, "stop": ["###"]}}
    assert prompting_of("crm_sim", prompting).shots == 2
    assert prompting_of("crm_sim", prompting).stop == ("###",)
    assert prompting_of("worf_sim", prompting).shots == 1


def test_merge_keeps_every_job_once_in_the_order_selected() -> None:
    crm = ingest("crm_sim", ["crm_sim"], 3, {}, {})
    worf = ingest("worf_sim", ["worf_sim"], 2, {}, {})
    assert merge(["worf_sim", "crm_sim"], crm, worf) == worf + crm


def test_unknown_benchmark_is_told() -> None:
    with pytest.raises(UserError, match="'crm_sim'"):
        merge(["crm_simm"])
