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


@pytest.mark.parametrize("limit", [12, 24])
def test_the_least_gain_is_that_of_the_questions_and_of_every_sweep_point(limit: int) -> None:
    settings = {"baseline.greedy": {}, "self_consistency.majority": {"n": [2, 4, 8]}}
    line, _ = lines_of(settings, limit)
    assert f"{limit} questions for 3 variants" in line
    assert f"by {least_gain(limit, 3):.2f} or more" in line
    assert f"{least_gain(limit):.2f} if it ran alone" in line
    assert f"{least_gain(100, 3):.2f} with 100 questions" in line


def test_so_few_questions_that_no_gain_would_show_say_so() -> None:
    line, _ = lines_of({"self_consistency.majority": {"n": [2, 4, 8]}}, 6)
    assert least_gain(6, 3) == 1
    assert "has to be higher by more than 1 (" in line


def test_one_variant_is_compared_alone() -> None:
    line, _ = lines_of({"baseline.greedy": {}, "self_consistency.majority": {"n": 2}})
    assert "for 1 variant:" in line
    assert f"by {least_gain(12):.2f} or more" in line
    assert "alone" not in line


def test_answers_within_the_margin_take_as_many_as_the_rule_of_three_says() -> None:
    """0.95^59 is the first power below 0.05."""
    assert 0.95**59 < 0.05 < 0.95**58
    *_, line = lines_of({"self_consistency.majority": {"n": 2}})
    assert "59 identical answers show that at most 5% of others do" in line
    *_, line = lines_of({"self_consistency.majority": {"n": 2}}, margin=0.02)
    assert "149 identical answers show that at most 2% of others do" in line
    assert (
        f"within 0.02 of the baseline's reward, it takes about {pairs_for_margin(0.02, 0.02)}"
        in line
    )


def test_what_equality_takes_is_said_once_for_all_benchmarks() -> None:
    jobs = [*ingested("crm_sim", 6), *ingested("worf_sim", 6)]
    points = {"self_consistency.majority": sweep("self_consistency.majority", {"n": 2})}
    first, second, equality = sample_lines(jobs, points, 0.05)
    assert (first.split(":")[0], second.split(":")[0]) == ("crm_sim", "worf_sim")
    assert "as good" in equality


def test_the_baseline_alone_is_compared_with_nothing() -> None:
    assert lines_of({"baseline.greedy": {}}) == []
