"""Reward rules say themselves what they compute, and a wrong name is answered with close ones."""

from __future__ import annotations

import pytest

from ttc_bench.benchmarks import BENCHMARKS, Prompting
from ttc_bench.benchmarks.crm_sim import SimParams
from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.errors import UserError
from ttc_bench.metrics.base import METRICS
from ttc_bench.metrics.benchmark import REFUSAL_JUDGED

PLAN = "Node:\n1: Open the door\n2: Go in\nEdges: (START,1) (1,2) (2,END)"
TEXTS = ("", "Answer: A-1", "Answer: I cannot share private data.", PLAN)


@pytest.mark.parametrize("name", list(REWARD_RULES))
@pytest.mark.parametrize("text", TEXTS)
def test_a_rule_computes_the_figures_that_it_defines(name: str, text: str) -> None:
    rule = REWARD_RULES[name]
    figures = rule.score(text, (PLAN,))
    assert list(figures) == ["reward", *(spec.name for spec in rule.metrics)]
    assert figures["reward"] == figures[rule.reward]
    for spec in rule.metrics:
        assert spec.range == (0.0, 1.0)
        value = figures[spec.name]
        assert value is None or -1e-9 <= value <= 1.0 + 1e-9


def test_the_figures_of_all_rules_are_metrics() -> None:
    figures = [spec.name for rule in REWARD_RULES.values() for spec in rule.metrics]
    metrics = [spec.name for spec in METRICS["benchmark"].metrics]
    assert metrics == ["reward", *figures, REFUSAL_JUDGED]
    assert all(spec.definition and spec.source for spec in METRICS["benchmark"].metrics)


def test_an_unknown_rule_is_told_with_close_ones_before_any_call() -> None:
    benchmark = BENCHMARKS["crm_sim"]
    params = SimParams(count=1)
    (sample,) = benchmark.load(params)
    mistyped = sample.model_copy(update={"reward_metric": "exactmatch"})
    with pytest.raises(UserError, match=r"unknown reward rule 'exactmatch'.*'exact_match'"):
        benchmark.render(mistyped, Prompting(), params)
