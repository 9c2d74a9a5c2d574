"""Scatter: mean reward against mean cost of every variant, with the frontier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ttc_bench.reporting.budgets import ALL, COSTS, Cost
from ttc_bench.reporting.colours import colour, marker
from ttc_bench.reporting.drawing.figure import FAINT, Axis, Dot, Dots, Figure, Line, Panel
from ttc_bench.reporting.pairing import Name
from ttc_bench.reporting.plots import plot
from ttc_bench.reporting.plots.facets import Facet, facets, interval, variants_of
from ttc_bench.reporting.row_dicts import row_dicts
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.types import DataFrame


@plot(
    "quality_vs_cost",
    in_catalog=True,
    title="Quality against cost",
    caption="Each point is a variant by its means; thin bars are intervals of the mean reward. The"
    " stepped line is the frontier: nothing else is as good for less. Up and left is better. Where"
    " not every name stands beside its point, those of the frontier and the baseline do; the legend"
    " names all. Seconds are at one pace: each variant's beside its own controls, in those of the"
    " baseline, so that they differ from plain means where the machine drifted.",
    tables=("frontier", "intervals"),
    rank=0,
)
def quality_vs_cost(frontier: DataFrame, intervals: DataFrame) -> Figure:
    """Return the means of all variants, one view per cost that is known."""
    whole = frontier[frontier["level"] == ALL].dropna(subset=["cost", "quality"])
    rewards = intervals[intervals["metric"] == "reward"]
    costs = [name for name in COSTS if name in set(whole["cost_metric"])]
    panels = [
        _panel(facet, points[points["cost_metric"] == name], facet.of(rewards), choice, COSTS[name])
        for facet in facets(whole)
        for points in (facet.of(whole),)
        for choice, name in enumerate(costs)
    ]
    return Figure(panels, (6.6, 4.4), "No response is valid, so nothing has a quality.")


def _panel(
    facet: Facet, points: DataFrame, rewards: DataFrame, choice: int, cost: Cost
) -> Panel:  # fmt: skip
    unit = cost.unit
    steps = points[points["on_frontier"].astype(bool)].sort_values("cost")
    line = Line(
        (steps["cost"] * cost.factor).tolist(), steps["quality"].tolist(), FAINT, steps=True
    )
    dots = Dots(_dots(points, rewards, cost), along="y", width=0.9, opacity=0.5, named=True)
    return Panel(
        facet.row,
        facet.column,
        facet.title,
        Axis(f"mean {unit} of a response (log scale)", scale="decades"),
        Axis("mean reward"),
        [] if points.empty else [line, dots],
        f"The cost in {cost.name} is not known here.",
        choice,
        f"mean {unit}",
    )


def _dots(points: DataFrame, rewards: DataFrame, cost: Cost) -> list[Dot]:
    """Return a dot per variant: first those on the frontier, then the others from the best."""
    by_name = {(row["policy"], row["variant"]): row for row in row_dicts(rewards)}
    order = variants_of(points)
    ranked = points.sort_values("quality", ascending=False)
    leading = ranked["on_frontier"].astype(bool)
    rows = row_dicts(ranked[leading]) + row_dicts(ranked[~leading])
    return [_dot(row, by_name, order, cost) for row in rows]


def _dot(
    row: dict[str, Any], rewards: Mapping[Name, Any], order: Sequence[Name], cost: Cost
) -> Dot:  # fmt: skip
    key = row["policy"], row["variant"]
    name, x, leading = ".".join(key), row["cost"] * cost.factor, bool(row["on_frontier"])
    place = "on the frontier" if leading else f"dominated by {row['dominated_by']}"
    reward = rewards.get(key)
    return Dot(
        x,
        row["quality"],
        name,
        colour(row["policy"]),
        f"{name}<br>{cost.unit} {x:.4g}<br>reward {row['quality']:.3f}<br>{place}"
        f"<br>{counted_as(row['n'], 'response')}",
        interval(reward["mean_low"], reward["mean_high"]) if reward else None,
        marker=marker(order, key),
        strong=leading,
        size=7.6 if leading else 5.8,
    )
