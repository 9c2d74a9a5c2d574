"""How fast every variant is beside the baseline's decoding, and beside every other variant."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from itertools import combinations
from typing import Any

from ttc_bench.reporting.comparisons import SIDES
from ttc_bench.reporting.pairing import Layout, Name
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.row_dicts import Row, row_dicts, typed_table
from ttc_bench.statistics import level_of_each
from ttc_bench.statistics.decision import cost_word
from ttc_bench.statistics.speed import Ratio, relative_speed, speed
from ttc_bench.types import BASELINE, DataFrame

ENDS = ("", "_low", "_high")

COLUMNS = {
    **dict.fromkeys(("model", "benchmark", *SIDES), "string"),
    "n_pairs": "Int64",
    **{f"speed{end}": "Float64" for end in ENDS},
    "verdict": "string",
    "ttft_n_pairs": "Int64",
    **{f"ttft_ratio{end}": "Float64" for end in ENDS},
    "ttft_verdict": "string",
}
"""``speed`` is how many times as fast a is as b, with its interval; ``ttft_ratio`` is a's time to
first token over b's. Each verdict is that of every cost
(`ttc_bench.statistics.decision.cost_word`), here of seconds: a is ``cheaper`` or ``dearer`` where
the interval excludes 1, else ``undecided``."""

TIMED = {"speed": ("latency_s", 1), "ttft_ratio": ("ttft_s", -1)}
"""The time that each ratio of the scores is of, and the power of the ratio that is a speed: how
many times as fast the variant is as its control."""

DRIFT = (
    "Variants ran at different times, on a machine that drifts: which one is faster is told by its"
    " speed beside its own controls, in the verdicts, and not by these means."
)
"""What is said where plain means of times stand side by side."""

Times = dict[Name, tuple[Any, Any]]
"""Seconds of each variant and of its own control, by job; NaN where they were not measured."""

Speeds = dict[tuple[Name, Name], Ratio]
"""How many times as fast the first side is as the second."""

Family = Callable[[Times, float], Speeds]
"""Speeds whose intervals hold at once, at a confidence."""


def speeds(all_scores: DataFrame, params: AggregateParams) -> DataFrame:
    """Return how many times as fast variants are as the baseline, and as each other.

    Against the baseline each variant has a control beside its own jobs; two variants are compared
    by the ratio of their ratios, for they ran at different times. Each is a family whose intervals
    hold at once, for whole answers and for first tokens apart. Columns: `COLUMNS`.
    """
    return _table(all_scores, params, (_beside_baseline, _among))


def baseline_speeds(all_scores: DataFrame, params: AggregateParams) -> DataFrame:
    """Return the rows of `speeds` that are beside the baseline: all that a verdict rests on.

    Of 22 variants there are 231 pairs, which cost ten times as much.
    """
    return _table(all_scores, params, (_beside_baseline,))


def _table(all_scores: DataFrame, params: AggregateParams, families: Sequence[Family]) -> DataFrame:
    rows = [
        {"model": model, "benchmark": benchmark, **row}
        for (model, benchmark), part in all_scores.groupby(["model", "benchmark"], sort=True)
        for row in _rows(Layout(part, params.min_clusters), params.confidence, families)
    ]
    return typed_table(rows, COLUMNS)


def _rows(
    layout: Layout, confidence: float, families: Sequence[Family]
) -> Iterator[dict[str, Any]]:
    """Yield a row per variant against the baseline, then one per pair of variants."""
    times = [timed(layout, ratio) for ratio in TIMED]
    for family in families:
        whole, firsts = (family(own, confidence) for own in times)
        for sides, ratio in whole.items():
            first = firsts.get(sides, Ratio(math.nan, math.nan, math.nan, 0)).inverse()
            yield {
                **dict(zip(SIDES, (*sides[0], *sides[1]), strict=True)),
                **_figures("speed", ratio),
                "n_pairs": ratio.n_pairs,
                "verdict": cost_word(ratio.inverse()),
                **_figures("ttft_ratio", first),
                "ttft_n_pairs": first.n_pairs,
                "ttft_verdict": cost_word(first) if first.n_pairs else None,
            }


def _figures(name: str, ratio: Ratio) -> dict[str, float]:
    ends = (ratio.ratio, ratio.low, ratio.high)
    return {f"{name}{end}": value for end, value in zip(ENDS, ends, strict=True)}


def timed(layout: Layout, ratio: str) -> Times:
    """Return the times behind a ratio, of the variants that have any beside a control."""
    import numpy as np

    metric, power = TIMED[ratio]
    if f"control_{metric}" not in layout.part:
        return {}
    own, control = (layout.values(name) for name in (metric, f"control_{metric}"))
    if ratio in layout.part:
        # The times of another machine are not told, and the ratio of two of them is: that counts.
        for name, ratios in layout.values(ratio).items():
            is_ratio = np.isnan(own[name] + control[name]) & (ratios > 0)
            own[name][is_ratio], control[name][is_ratio] = 1.0, ratios[is_ratio] ** power
    # What took no time that a clock can tell has no ratio.
    measured = {name: (own[name] > 0) & (control[name] > 0) for name in sorted(own)}
    return {
        name: (np.where(both, own[name], np.nan), np.where(both, control[name], np.nan))
        for name, both in measured.items()
        if both.any()
    }


def _beside_baseline(times: Times, confidence: float) -> Speeds:
    """Return the speed of each variant beside the controls of its own jobs."""
    level = level_of_each(confidence, len(times))
    return {(name, BASELINE): speed(own, other, level) for name, (own, other) in times.items()}


def _among(times: Times, confidence: float) -> Speeds:
    """Return the speed of the second of each pair of variants beside the first.

    The baseline is in none: beside it each has its control, and a speed that rests on that.
    """
    pairs = list(combinations((name for name in times if name != BASELINE), 2))
    level = level_of_each(confidence, len(pairs))
    return {
        (second, first): relative_speed(times[second], times[first], level)
        for first, second in pairs
    }


def speeds_of(speeds: DataFrame) -> dict[tuple[Any, ...], Row]:
    """Return the speed of each variant beside the baseline, by `group_key`."""
    return {
        (row["model"], row["benchmark"], row["policy_a"], row["variant_a"]): row
        for row in row_dicts(speeds)
        if (row["policy_b"], row["variant_b"]) == BASELINE
    }
