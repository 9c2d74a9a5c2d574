"""Violins: how a metric is spread over the responses of each variant."""

from __future__ import annotations

from typing import Any

from ttc_bench.reporting.colours import colour
from ttc_bench.reporting.drawing.figure import INK, Axis, Dot, Dots, Figure, Panel, Violin
from ttc_bench.reporting.pairing import Name
from ttc_bench.reporting.plots import plot
from ttc_bench.reporting.plots.facets import (
    facets,
    interval,
    valid,
    variant_axis,
    variants_of,
)
from ttc_bench.reporting.row_dicts import full_name, row_dicts
from ttc_bench.reporting.speeds import DRIFT
from ttc_bench.types import GROUP, DataFrame

CAPTION = (
    "Small dots are valid responses; the ringed dot is their mean, the bar its interval. Farther {}"
    " is {}."
)


@plot(
    "quality_violins",
    in_catalog=True,
    title="Quality by variant",
    caption=CAPTION.format("right", "better"),
    tables=("all_scores", "intervals"),
    rank=1,
)
def quality_violins(scores: DataFrame, intervals: DataFrame) -> Figure:
    """Return how rewards are spread."""
    axis = Axis("reward of a response (the benchmark's own)", limits=(0.0, 1.0))
    return _violins(scores, intervals, "reward", axis, "{:.3f}")


@plot(
    "latency_violins",
    in_catalog=True,
    title="Latency by variant",
    caption=f"{CAPTION.format('left', 'faster')} {DRIFT}",
    tables=("all_scores", "intervals"),
    rank=2,
)
def latency_violins(scores: DataFrame, intervals: DataFrame) -> Figure:
    """Return how latencies are spread."""
    axis = Axis("latency of a response (s, log scale)", scale="decades")
    return _violins(scores, intervals, "latency_s", axis, "{:.3g} s")


def _violins(scores: DataFrame, intervals: DataFrame, metric: str, axis: Axis, form: str) -> Figure:
    names, values = variants_of(scores), _values(scores, metric, axis)
    means = intervals[intervals["metric"] == metric]
    panels = [
        Panel(
            facet.row,
            facet.column,
            facet.title,
            axis,
            variant_axis(names),
            [
                *(
                    _violin(values.get((facet.model, facet.benchmark, *name)), name)
                    for name in names
                ),
                Dots(_means(facet.of(means), form), along="x", width=1.6, bar_colour=INK),
            ],
        )
        for facet in facets(scores)
    ]
    return Figure(panels, (6.2, 0.3 * len(names) + 1.0))


def _values(scores: DataFrame, metric: str, axis: Axis) -> dict[Any, DataFrame]:
    """Return jobs and values of the valid responses, by `GROUP`."""
    own = valid(scores[[*GROUP, "job_id", "status", metric]])
    own = own.assign(value=own[metric].astype("Float64").astype("float64")).dropna(subset="value")
    if axis.scale == "decades":
        own = own[own["value"] > 0]
    return dict(iter(own.groupby(list(GROUP), sort=False)))


def _violin(own: DataFrame | None, name: Name) -> Violin:
    values: Any = [] if own is None else own["value"].to_numpy()
    ids = [] if own is None else own["job_id"].astype(str).tolist()
    return Violin(".".join(name), values, ids, colour(name[0]))


def _means(means: DataFrame, form: str) -> list[Dot]:
    return [_mean(row, form) for row in row_dicts(means[means["mean"].notna()])]


def _mean(row: dict[str, Any], form: str) -> Dot:
    name, text = full_name(row), form.format(row["mean"])
    ends = interval(row["mean_low"], row["mean_high"])
    hover = f"{name}<br>mean {text}"
    if ends:
        hover += f"<br>interval {form.format(ends[0])} to {form.format(ends[1])}"
    tint = colour(row["policy"])
    return Dot(row["mean"], name, name, tint, hover, ends, size=5.5, value=text)
