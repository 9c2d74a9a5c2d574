"""Every variant against the baseline and against every other, job by job."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

from ttc_bench.reporting.pairing import (
    Layout,
    Name,
    are_identical,
    range_of,
    spec_of,
)
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.statistics import Comparison, compare, judge, pairs_needed
from ttc_bench.statistics.decision import quality
from ttc_bench.types import BASELINE, DataFrame

INTERVAL_METRICS = ("reward", "flops", "total_tokens")
"""Metrics by which all variants are compared with each other; for time, see `speeds`."""

SIDES = ("policy_a", "variant_a", "policy_b", "variant_b")

FIGURES = {
    "difference": "Float64",
    "difference_low": "Float64",
    "difference_high": "Float64",
    "p_value": "Float64",
    "p_adjusted": "Float64",
    "test": "string",
    "effect_size": "Float64",
    "effect": "string",
    "n_needed": "Int64",
    "verdict": "string",
}
"""Columns of what a comparison says."""

COLUMNS = {
    "model": "string",
    "benchmark": "string",
    "metric": "string",
    **dict.fromkeys(SIDES, "string"),
    "cluster": "string",
    "n_pairs": "Int64",
    "n_clusters": "Int64",
    **FIGURES,
}


def comparisons(all_scores: DataFrame, params: AggregateParams) -> DataFrame:
    """Return paired comparisons of all variants of each model and benchmark.

    A pair is one job that both sides answered. Jobs of one task type may resemble each other:
    where a benchmark has at least ``min_clusters`` of these, they are the clusters
    (column ``cluster`` is ``task``), and what intervals say holds for further task types too.
    With fewer task types a cluster method promises more than it keeps, so each job is its own
    cluster (``job``) and the statement is about further jobs of the same task types.

    One row per model, benchmark, metric and pair, a minus b: first all against the baseline, one
    family whose intervals hold at once; then all others, a second family. Columns: ``model,
    benchmark, metric, policy_a, variant_a, policy_b, variant_b, cluster, n_pairs, n_clusters,
    difference, difference_low, difference_high, p_value, p_adjusted, test, effect_size, effect,
    n_needed, verdict``; see `ttc_bench.statistics.Comparison`. A reward is identical, as good,
    better or worse (`ttc_bench.statistics.decision.quality`), a cost cheaper, dearer or as good
    (`ttc_bench.statistics.judge`), and either may be undecided.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for (model, benchmark), part in all_scores.groupby(["model", "benchmark"], sort=True):
        rows += [{"model": model, "benchmark": benchmark, **row} for row in _compare(part, params)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _compare(part: DataFrame, params: AggregateParams) -> Iterator[dict[str, Any]]:
    layout = Layout(part, params.min_clusters)
    others = sorted(set(layout.names) - {BASELINE})
    first = [(name, BASELINE) for name in others if BASELINE in layout.names]
    second = [(b, a) for a, b in combinations(others, 2)]
    families = [compare_pairs(layout, pairs, INTERVAL_METRICS, params) for pairs in (first, second)]
    for metric in INTERVAL_METRICS:
        for rows in families:
            yield from (row for row in rows if row["metric"] == metric)


def compare_pairs(
    layout: Layout,
    pairs: Sequence[tuple[Name, Name]],
    metrics: Sequence[str],
    params: AggregateParams,
) -> list[dict[str, Any]]:
    """Return one row per metric and pair, first minus second; see `comparisons`.

    The pairs are one family per metric: all of its intervals hold at once.

    Args:
        layout: Scores of one model and benchmark.
        pairs: Which (policy, variant) are compared.
        metrics: Columns of the scores.
        params: How sure to be.
    """
    import numpy as np

    if not pairs:
        return []
    codes, settings = layout.codes, params.comparing()
    answers, rows = layout.answers(), []
    for metric in metrics:
        table = layout.values(metric)
        first, second = (np.column_stack([table[pair[side]] for pair in pairs]) for side in (0, 1))
        low, high = range_of(metric)
        family = compare(first, second, codes, settings, high - low)
        heard = first
        if metric == "reward":
            heard = np.where(layout.answered_by_either(pairs), first, np.nan)
        spreads = compare(heard, second, codes, settings, high - low)
        for place, (pair, comparison) in enumerate(zip(pairs, family, strict=True)):
            own, base = heard[:, place], second[:, place]
            scale, higher_is_better = _scale(metric, base)
            if metric == "reward":
                same = are_identical(answers, *pair)
                word: str = quality(own, base, same, comparison, settings, codes).word
            else:
                word = judge(comparison, scale, higher_is_better, settings)
            needed = pairs_needed(spreads[place], scale, settings, comparison.n_pairs)
            named = dict(zip(SIDES, (*pair[0], *pair[1]), strict=True))
            figures = _figures(comparison, word, needed)
            rows.append({"metric": metric, "cluster": layout.cluster, **named, **figures})
    return rows


def _figures(comparison: Comparison, verdict: str, needed: int | None) -> dict[str, Any]:
    """Return what a comparison says, as columns."""
    return {
        "n_pairs": comparison.n_pairs,
        "n_clusters": comparison.n_clusters,
        "difference": comparison.difference,
        "difference_low": comparison.low,
        "difference_high": comparison.high,
        "p_value": comparison.p_value,
        "p_adjusted": comparison.p_adjusted,
        "test": comparison.test if comparison.n_pairs else None,
        "effect_size": comparison.effect_size,
        "effect": comparison.effect if comparison.effect_size is not None else None,
        "n_needed": needed if verdict == "undecided" else None,
        "verdict": verdict,
    }


def _scale(metric: str, values: Any) -> tuple[float, bool]:
    """Return the width of a metric's range, else its mean size, and its direction."""
    import numpy as np

    low, high = range_of(metric)
    size = high - low
    if not np.isfinite(size):
        known = values[~np.isnan(values)]
        size = float(np.abs(known).mean()) if len(known) else 0.0
    # What has no good end of its own is a cost here: fewer tokens for the same answer.
    return size, bool(spec_of(metric).higher_is_better)
