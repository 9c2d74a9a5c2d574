"""Any metrics of the catalogue by variant, over any part of the questions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ttc_bench.reporting.pairing import Layout, range_of
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.plots.facets import variants_of
from ttc_bench.statistics import mean_intervals
from ttc_bench.types import GROUP, DataFrame

METRICS = ("reward", "latency_s", "ttft_s", "total_tokens", "flops", "usd")
"""What is shown where nothing else is asked for."""


STATISTICS: Mapping[str, float | None] = {"mean": None, "p50": 0.5, "p95": 0.95, "p99": 0.99}
"""How the values of a variant become one: by a quantile, or the mean with its interval."""


def metric_table(
    scores: DataFrame, metrics: Sequence[str], statistic: str, params: AggregateParams
) -> DataFrame:
    """Return a row per variant with one figure per metric, by the rules of the summary.

    Args:
        scores: Scores; those of a failed response are null, its reward is 0.
        metrics: Names of metrics.
        statistic: One of `STATISTICS`.
        params: Confidence and clusters of the intervals.

    Returns:
        `GROUP`, ``n``, ``n_valid``, then each metric; for the mean also its ``_low`` and ``_high``.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for (model, benchmark), part in scores.groupby(["model", "benchmark"], sort=True):
        counts, layout = _counts(part), Layout(part, params.min_clusters)
        figures = [_figures(layout, metric, statistic, params) for metric in metrics]
        for name in variants_of(part):
            row = dict(zip(GROUP, (model, benchmark, *name), strict=True)) | counts[name]
            rows.append({**row, **{k: v for own in figures for k, v in own[name].items()}})
    columns = [name for metric in metrics for name in _columns(metric, statistic)]
    return pd.DataFrame(rows, columns=[*GROUP, "n", "n_valid", *columns])


def _columns(metric: str, statistic: str) -> tuple[str, ...]:
    """Return the columns of a metric: of a mean with the ends of its interval."""
    is_mean = STATISTICS[statistic] is None
    return (metric, f"{metric}_low", f"{metric}_high") if is_mean else (metric,)


def _counts(part: DataFrame) -> dict[Any, dict[str, int]]:
    flags = part.assign(is_valid=(part["status"] == "ok"))
    counted = flags.groupby(["policy", "variant"])["is_valid"].agg(["size", "sum"])
    return {name: {"n": int(n), "n_valid": int(ok)} for name, n, ok in counted.itertuples()}


def _figures(
    layout: Layout, metric: str, statistic: str, params: AggregateParams
) -> dict[Any, dict[str, float | None]]:
    """Return the figures of a metric, by variant and column."""
    import numpy as np

    by_name = layout.values(metric)
    share = STATISTICS[statistic]
    if share is not None:
        known = {name: own[~np.isnan(own)] for name, own in by_name.items()}
        return {
            name: {metric: float(np.quantile(own, share)) if len(own) else None}
            for name, own in known.items()
        }
    ends = mean_intervals(
        np.column_stack(list(by_name.values())), layout.codes, params.confidence, range_of(metric)
    )
    columns = _columns(metric, statistic)
    return {
        name: {c: None if np.isnan(v) else float(v) for c, v in zip(columns, own, strict=True)}
        for name, *own in zip(by_name, *ends, strict=True)
    }


def plotted_intervals(scores: DataFrame, params: AggregateParams) -> DataFrame:
    """Return the means that plots show as rows of the table ``intervals``."""
    import pandas as pd

    parts = []
    for metric in ("reward", "latency_s"):
        ends = {metric: "mean", f"{metric}_low": "mean_low", f"{metric}_high": "mean_high"}
        table = metric_table(scores, [metric], "mean", params)
        parts.append(table[[*GROUP, *ends]].rename(columns=ends).assign(metric=metric))
    return pd.concat(parts, ignore_index=True)
