"""What a sample can show is told from its questions and from the variants that are compared."""

from __future__ import annotations

import pytest
from tests.conftest import ingested

from ttc_bench.hooks.sample_size import sample_lines
from ttc_bench.pipelines.generate.params import sweep
from ttc_bench.statistics import least_gain
from ttc_bench.statistics.decision import pairs_for_margin


def lines_of(
    settings: dict[str, dict[str, object]], limit: int = 12, margin: float = 0.05
) -> list[str]:
    points = {name: sweep(name, own) for name, own in settings.items()}
    return list(sample_lines(ingested("crm_sim", limit), points, margin))


@pytest.mark.parametrize("limit", [6, 12])
def test_the_least_gain_is_that_of_the_questions_and_of_every_sweep_point(limit: int) -> None:
    settings = {"baseline.greedy": {}, "self_consistency.majority": {"n": [2, 4, 8]}}
    (line,) = lines_of(settings, limit)
    assert f"{limit} questions, 3 variants" in line
    assert f"a gain of {least_gain(limit, 3):.2f} and more" in line
    assert f"({least_gain(limit):.2f} by a variant alone)" in line
    assert f"by 100 questions one of {least_gain(100, 3):.2f}" in line


def test_one_variant_is_compared_alone() -> None:
    (line,) = lines_of({"baseline.greedy": {}, "self_consistency.majority": {"n": 2}})
    assert "1 variants against" not in line
    assert "1 variant against" in line
    assert "alone" not in line


def test_answers_within_the_margin_take_as_many_as_the_rule_of_three_says() -> None:
    """0.95^59 is the first power below 0.05."""
    assert 0.95**59 < 0.05 < 0.95**58
    (line,) = lines_of({"self_consistency.majority": {"n": 2}})
    assert "at most 5% of answers differ takes 59 identical ones" in line
    (line,) = lines_of({"self_consistency.majority": {"n": 2}}, margin=0.02)
    assert "at most 2% of answers differ takes 149 identical ones" in line
    assert f"within 0.02 of the baseline's about {pairs_for_margin(0.02, 0.02)} where" in line


def test_the_baseline_alone_is_compared_with_nothing() -> None:
    assert lines_of({"baseline.greedy": {}}) == []
