"""How fast every variant is beside the baseline's decoding, and beside every other variant."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from ttc_bench.reporting.comparisons import SIDES
from ttc_bench.reporting.pairing import Name, jobs_of, values_by_variant
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.row_dicts import Row, row_dicts
from ttc_bench.statistics.decision import cost_word
from ttc_bench.statistics.speed import Ratio, relative_speed, speed
from ttc_bench.types import BASELINE, DataFrame

COLUMNS = {
    **dict.fromkeys(("model", "benchmark", *SIDES), "string"),
    "n_pairs": "Int64",
    **dict.fromkeys(("speed", "speed_low", "speed_high"), "Float64"),
    "verdict": "string",
}
"""``speed`` is how many times as fast a is as b, with its interval. ``verdict`` is that of every
cost (`ttc_bench.statistics.decision.cost_word`), here of seconds: a is ``cheaper`` or ``dearer``
where the interval excludes 1, else ``undecided``."""

Times = dict[Name, tuple[Any, Any]]
"""Seconds of each variant and of its own control, by job; NaN where they were not measured."""


def speeds(all_scores: DataFrame, params: AggregateParams) -> DataFrame:
    """Return how many times as fast variants are as the baseline, and as each other.

    Against the baseline each variant has a control beside its own jobs; two variants are compared
    by the ratio of their ratios, for they ran at different times. Each is a family whose intervals
    hold at once. Columns: `COLUMNS`.
    """
    import pandas as pd

    rows = [
        {"model": model, "benchmark": benchmark, **row}
        for (model, benchmark), part in all_scores.groupby(["model", "benchmark"], sort=True)
        for row in _speeds(_times(part, params), params.confidence)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _times(part: DataFrame, params: AggregateParams) -> Times:
    """Return the times of the variants that have any beside a control."""
    import numpy as np

    if "control_latency_s" not in part:
        return {}
    jobs = jobs_of(part, params.min_clusters)
    names = ("latency_s", "control_latency_s")
    own, control = (values_by_variant(part, name, jobs) for name in names)
    if "speed" in part:
        # The times of another machine are not told, and the ratio of two of them is: that counts.
        for name, ratios in values_by_variant(part, "speed", jobs).items():
            is_ratio = np.isnan(own[name] + control[name])
            own[name] = np.where(is_ratio, 1.0, own[name])
            control[name] = np.where(is_ratio, ratios, control[name])
    measured = {name: ~np.isnan(own[name] + control[name]) for name in sorted(own)}
    return {name: (own[name], control[name]) for name, both in measured.items() if both.any()}


def _speeds(times: Times, confidence: float) -> Iterator[dict[str, Any]]:
    pairs = list(combinations(times, 2))
    alone, among = (1 - (1 - confidence) / max(1, len(family)) for family in (times, pairs))
    for name, (own, control) in times.items():
        yield _row((name, BASELINE), speed(own, control, alone))
    for first, second in pairs:
        yield _row((second, first), relative_speed(times[second], times[first], among))


def _row(sides: Sequence[Name], ratio: Ratio) -> dict[str, Any]:
    return {
        **dict(zip(SIDES, (*sides[0], *sides[1]), strict=True)),
        "n_pairs": ratio.n_pairs,
        "speed": ratio.ratio,
        "speed_low": ratio.low,
        "speed_high": ratio.high,
        "verdict": cost_word(ratio.inverse()),
    }


def speeds_of(speeds: DataFrame) -> dict[tuple[Any, ...], Row]:
    """Return the speed of each variant beside the baseline, by `group_key`."""
    return {
        (row["model"], row["benchmark"], row["policy_a"], row["variant_a"]): row
        for row in row_dicts(speeds)
        if (row["policy_b"], row["variant_b"]) == BASELINE
    }
