"""worf_sim: samples, WorFBench's format, canonical plans, scores."""

import re

import pytest

from ttc_bench.benchmarks import BENCHMARKS, Prompting
from ttc_bench.benchmarks.sim.samples import SimParams
from ttc_bench.types import Job

WORF = BENCHMARKS["worf_sim"]
PARAMS = SimParams(count=60)
SAMPLES = WORF.load(PARAMS)


def job(index: int = 0) -> Job:
    return WORF.render(SAMPLES[index], Prompting(), PARAMS)


def test_split_is_spread_and_deterministic() -> None:
    assert len(WORF.load(SimParams())) >= 400
    assert WORF.load(PARAMS) == SAMPLES
    assert len({(s.task, s.difficulty) for s in SAMPLES[:9]}) == 9


def test_gold_plans_have_worfbenchs_format() -> None:
    for sample in SAMPLES:
        lines = str(sample.references[0]).split("\n")
        assert lines[0] == "Node:"
        assert all(re.fullmatch(r"\d+: .+", line) for line in lines[1:-1])
        assert re.fullmatch(r"Edge:( \((START|\d+),(END|\d+)\))+", lines[-1])


def test_prompts_have_worfbenchs_shape() -> None:
    for sample in SAMPLES:
        assert sample.messages[-1].content.startswith("Task: ")
        assert "\nThe action list you can take: " in sample.messages[-1].content


def test_hard_plans_have_parallel_branches() -> None:
    hard = [s for s in SAMPLES if s.difficulty == "hard"]
    gold = [str(s.references[0]).rsplit("\n", 1)[-1] for s in hard]
    branching = [len(re.findall(r"\(", g)) - g.count("START") for g in gold]
    assert all(b >= 4 for b in branching)
    assert any(len(re.findall(r"\((\d+),", g)) > len(set(re.findall(r"\((\d+),", g))) for g in gold)


def test_renumbered_plans_are_equal_answers() -> None:
    one = "Node:\n1: a\n2: b\nEdge: (START,1) (START,2) (1,END) (2,END)"
    two = "Node:\n1: b\n2: a\nEdge: (START,2) (START,1) (2,END) (1,END)"
    other = "Node:\n1: a\n2: b\nEdge: (START,1) (1,2) (2,END)"
    assert WORF.parse(one, job()) == WORF.parse(two, job())
    assert WORF.parse(one, job()) != WORF.parse(other, job())
    assert WORF.parse("nothing", job()) is None


def test_gold_scores_one_and_a_broken_plan_less() -> None:
    for i, sample in enumerate(SAMPLES[:6]):
        gold = str(sample.references[0])
        assert WORF.score(gold, job(i))["reward"] == pytest.approx(1.0)
        fewer = re.sub(r" \(\d+,\w+\)", "", gold)
        assert (WORF.score(fewer, job(i))["reward"] or 0) < 1.0


def test_shots_show_plans() -> None:
    rendered = WORF.render(SAMPLES[0], Prompting(shots=1, chain_of_thought=False), PARAMS)
    assert rendered.messages[2].content.startswith("Node:\n")
