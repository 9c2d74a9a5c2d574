"""Columns are called, explained and rounded for people, from the catalogue of metrics."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.metrics.base import all_metrics
from ttc_bench.reporting.labels import PARTS, definition, label, natural, rounding


def test_every_metric_has_a_name_of_its_own_without_underscores() -> None:
    names = [spec.name for spec in all_metrics()]
    labels = [label(f"{name}{part}") for name in names for part in ("", *PARTS)]
    assert len(set(labels)) == len(labels)
    assert not [text for text in labels if "_" in text]
    assert all(definition(f"{name}{part}") for name in names for part in ("", *PARTS))


@pytest.mark.parametrize(
    ("column", "text"),
    [
        ("reward_low", "Reward, lower end"), ("latency_s_first", "Latency (s), first"),
        ("ttft_s", "TTFT (s)"), ("flops", "FLOPs"), ("usd", "US$"), ("pass_at_4", "pass@4"),
        ("total_tokens_per_s", "Total tokens/s"), ("job_id", "Question"), ("policy", "Policy"),
    ],
)  # fmt: skip
def test_names_are_those_of_the_field(column: str, text: str) -> None:
    assert label(column).casefold() == text.casefold()


@given(st.floats(1e-6, 1e12))
def test_no_figure_loses_what_it_says_or_has_digits_that_nobody_reads(value: float) -> None:
    form = rounding([value, value / 3])
    assert form is not None
    text = form % value
    assert float(text) == pytest.approx(value, rel=5e-3)
    assert len(text) <= 10


def test_whole_numbers_stay_whole_and_nothing_has_no_format() -> None:
    assert rounding([24, 1036]) == "%d"
    assert rounding([1036.3333, 2.5]) == "%.0f"
    assert rounding([None, float("nan")]) is None


def test_ids_are_sorted_as_people_count() -> None:
    ids = ["crm_sim/11", "crm_sim/2", "crm_sim/10", "a[k=10]", "a[k=2]", "a[p=0.5]", "a[p=0.25]"]
    assert sorted(ids, key=natural) == [
        "a[k=2]", "a[k=10]", "a[p=0.25]", "a[p=0.5]", "crm_sim/2", "crm_sim/10", "crm_sim/11",
    ]  # fmt: skip
