"""Scatter: mean reward against mean cost of every variant, with the frontier."""

from __future__ import annotations

from typing import Any

from ttc_bench.reporting.budgets import ALL, COSTS, Cost
from ttc_bench.reporting.colours import colour, marker
from ttc_bench.reporting.plots.base import (
    FAINT,
    INK,
    Picture,
    canvas,
    finish,
    label,
    log_axis,
    panels,
    say,
    styled,
    variants_of,
    web_canvas,
)
from ttc_bench.reporting.plots.labels import place_labels
from ttc_bench.reporting.row_dicts import row_dicts
from ttc_bench.types import DataFrame

TITLE = "Quality against cost"

SHOWN = 2
"""Costs that are drawn: the first ones of `COSTS` that are known."""


def costs_of(frontier: DataFrame) -> list[str]:
    """Return the costs that are drawn."""
    known = set(frontier["cost_metric"])
    return [name for name in COSTS if name in known][:SHOWN]


@styled
def still(frontier: DataFrame, intervals: DataFrame) -> Any:
    """Return the scatter, drawn with Matplotlib: one row of panels per model and cost."""
    whole = frontier[frontier["level"] == ALL]
    found, rows, columns = panels(whole)
    costs = costs_of(whole)
    figure, axes = canvas(rows * len(costs), columns, (6.6, 4.4))
    if not found:
        say(axes[0][0], "No response is valid, so nothing has a quality.")
    labelled = []
    for panel in found:
        for number, name in enumerate(costs):
            own = axes[panel.row * len(costs) + number][panel.column]
            own.set_title(panel.title)
            points = panel.of(whole)
            points = points[points["cost_metric"] == name]
            if points.empty:
                say(own, f"The cost in {COSTS[name].name} is not known here.")
                continue
            bounds = panel.of(intervals)
            _points(own, points, bounds[bounds["metric"] == "reward"], COSTS[name])
            labelled.append((own, points, COSTS[name]))
    figure.draw_without_rendering()
    for own, points, cost in labelled:
        _names(own, points, cost)
    return figure


def _points(axes: Any, points: DataFrame, bounds: DataFrame, cost: Cost) -> None:
    import pandas as pd

    order = variants_of(points)
    by_name = {(r["policy"], r["variant"]): r for r in row_dicts(bounds)}
    log_axis(axes)
    axes.set_xlabel(f"mean {_unit(cost)} of a response (log scale)")
    axes.set_ylabel("mean reward")
    steps = points[points["on_frontier"].astype(bool)].sort_values("cost")
    axes.step(steps["cost"] * cost.factor, steps["quality"], where="post", color=FAINT, lw=1.4)
    for row in row_dicts(points):
        name = (row["policy"], row["variant"])
        x, leading = row["cost"] * cost.factor, bool(row["on_frontier"])
        bound = by_name.get(name)
        if bound and pd.notna(bound["mean_low"]):
            axes.plot([x, x], [bound["mean_low"], bound["mean_high"]], lw=0.9, alpha=0.3,
                      color=colour(name[0]))  # fmt: skip
        axes.scatter(
            x,
            row["quality"],
            s=58 if leading else 34,
            marker=marker(order, name),
            color=colour(name[0]),
            edgecolor=INK if leading else "white",
            lw=1.1 if leading else 0.5,
            zorder=4 if leading else 3,
        )
    axes.margins(x=0.14, y=0.08)


def _names(axes: Any, points: DataFrame, cost: Cost) -> None:
    """Write the names: first those on the frontier, then all others that find a free place."""
    leading = points["on_frontier"].astype(bool)
    ordered = row_dicts(points[leading]) + row_dicts(
        points[~leading].sort_values("quality", ascending=False)
    )
    place_labels(
        axes,
        [
            (
                label((row["policy"], row["variant"])),
                row["cost"] * cost.factor,
                row["quality"],
                colour(row["policy"]),
                bool(row["on_frontier"]),
            )
            for row in ordered
        ],
    )


def _unit(cost: Cost) -> str:
    return "GFLOP" if cost.letter == "F" else cost.name


def interactive(frontier: DataFrame, intervals: DataFrame) -> Any:
    """Return the scatter, drawn with Plotly; a menu chooses the cost."""
    whole = frontier[frontier["level"] == ALL]
    found, rows, columns = panels(whole)
    costs = [name for name in COSTS if name in set(whole["cost_metric"])]
    figure = web_canvas(found, rows, columns, shared_yaxes=True)
    shown: list[str] = []
    for name in costs:
        for panel in found:
            points, bounds = panel.of(whole), panel.of(intervals)
            bounds = bounds[bounds["metric"] == "reward"]
            for trace in _traces(points[points["cost_metric"] == name], COSTS[name], bounds):
                trace.visible = name == costs[0]
                figure.add_trace(trace, row=panel.row + 1, col=panel.column + 1)
                shown.append(name)
    figure.update_xaxes(type="log")
    figure.update_yaxes(title="mean reward", col=1)
    buttons = [
        {
            "label": f"mean {_unit(COSTS[name])}",
            "method": "update",
            "args": [{"visible": [other == name for other in shown]}],
        }
        for name in costs
    ]
    if buttons:
        figure.update_layout(updatemenus=[{"buttons": buttons, "x": 1, "y": 1.16}])
    return finish(figure, TITLE, 480 * max(rows, 1))


def _traces(points: DataFrame, cost: Cost, bounds: DataFrame) -> list[Any]:
    import plotly.graph_objects as go

    steps = points[points["on_frontier"].astype(bool)].sort_values("cost")
    line = go.Scatter(
        x=(steps["cost"] * cost.factor).tolist(),
        y=steps["quality"].tolist(),
        mode="lines",
        line={"shape": "hv", "color": FAINT},
        hoverinfo="skip",
        showlegend=False,
    )
    by_name = {(r["policy"], r["variant"]): r for r in row_dicts(bounds)}
    dots = []
    for row in row_dicts(points):
        name = label((row["policy"], row["variant"]))
        bound = by_name.get((row["policy"], row["variant"]))
        place = "on the frontier" if row["on_frontier"] else f"dominated by {row['dominated_by']}"
        dots.append(
            go.Scatter(
                x=[row["cost"] * cost.factor],
                y=[row["quality"]],
                error_y=_error(bound),
                mode="markers+text" if row["on_frontier"] else "markers",
                text=[name],
                textposition="top left",
                marker={"color": colour(row["policy"]), "size": 12 if row["on_frontier"] else 8},
                name=name,
                hovertemplate=f"{name}<br>{_unit(cost)} %{{x:.4g}}<br>reward %{{y:.3f}}<br>{place}"
                f"<br>{row['n']} responses<extra></extra>",
                showlegend=False,
            )
        )
    return [line, *dots]


def _error(bound: Any) -> dict[str, Any]:
    import pandas as pd

    # One response has a mean and no interval.
    if bound is None or pd.isna(bound["mean_low"]):
        return {}
    above, below = bound["mean_high"] - bound["mean"], bound["mean"] - bound["mean_low"]
    return {"array": [above], "arrayminus": [below], "thickness": 0.6}


PICTURE = Picture(
    name="quality_vs_cost",
    title=TITLE,
    caption="Each point is a variant by its means; thin bars are intervals of the mean reward. The"
    " stepped line is the frontier: nothing else is as good for less. Up and left is better.",
    tables=("frontier", "intervals"),
    still=still,
    interactive=interactive,
)
