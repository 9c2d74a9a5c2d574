"""Violins: how a metric is spread over the responses of each variant."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from ttc_bench.reporting.colours import colour
from ttc_bench.reporting.plots.base import (
    FAINT,
    INK,
    canvas,
    each,
    finish,
    label,
    log_axis,
    name_rows,
    numbers,
    panels,
    styled,
    valid,
    variants_of,
    web_canvas,
)
from ttc_bench.types import DataFrame

MOST_DOTS = 300
"""Responses per variant that are shown one by one."""


@dataclass(frozen=True)
class Axis:
    """The metric and its axis.

    Attributes:
        metric: Column of the scores.
        title: Text along the axis.
        form: How a value is written.
        log: Whether the axis is logarithmic.
        limits: Ends of the metric's range, if it has both.
    """

    metric: str
    title: str
    form: str
    log: bool = False
    limits: tuple[float, float] | None = None


def still(axis: Axis) -> Any:
    """Return the function that draws scores and intervals with Matplotlib."""

    @styled
    def draw(scores: DataFrame, intervals: DataFrame) -> Any:
        found, rows, columns = panels(scores)
        names = variants_of(scores)
        height = 0.3 * len(names) + 1.0
        figure, axes = canvas(rows, columns, (6.2, height))
        for panel, own in each(axes, found, "No response was scored."):
            if axis.log:
                log_axis(own)
            means = panel.of(intervals)
            means = means[means["metric"] == axis.metric]
            own.set_ylim(-len(names) + 0.4, 0.6)
            own.grid(False, axis="y")
            own.set_xlabel(axis.title)
            for place, name in enumerate(names):
                _violin(own, -place, _of(panel.of(scores), name, axis), name, axis)
                _mean(own, -place, means, name, axis)
            name_rows(own, names, shown=panel.column == 0)
            own.tick_params(axis="y", length=0)
            if axis.limits:
                own.set_xlim(axis.limits[0] - 0.03, axis.limits[1] + 0.03)
        return figure

    return draw


def _of(scores: DataFrame, name: tuple[str, str], axis: Axis) -> Any:
    own = valid(scores)
    own = own[(own["policy"] == name[0]) & (own["variant"] == name[1])]
    values = numbers(own[axis.metric])
    return values[values > 0] if axis.log else values


def _violin(axes: Any, place: float, values: Any, name: tuple[str, str], axis: Axis) -> None:
    import numpy as np

    if not len(values):
        axes.text(
            0.01,
            place,
            "no valid response",
            transform=axes.get_yaxis_transform(),
            color=FAINT,
            va="center",
            style="italic",
            size=8,
        )
        return
    if len(values) > 2 and np.ptp(values) > 0:
        grid, height = _density(values, axis)
        axes.fill_between(
            grid,
            place - 0.4 * height,
            place + 0.4 * height,
            color=colour(name[0]),
            alpha=0.28,
            lw=0,
        )
    if len(values) <= MOST_DOTS:
        # A fixed scatter, so that the same run gives the same picture.
        shift = (np.arange(len(values)) * 0.618 % 1 - 0.5) * 0.42
        axes.scatter(values, place + shift, s=5, color=colour(name[0]), alpha=0.55, lw=0)


def _density(values: Any, axis: Axis) -> tuple[Any, Any]:
    """Return a grid and the density there by a Gaussian kernel (Silverman), its peak at 1."""
    import numpy as np

    data = np.log10(values) if axis.log else values
    width = max(1.06 * data.std() * len(data) ** -0.2, 0.02)
    low, high = data.min() - 2 * width, data.max() + 2 * width
    if axis.limits:
        # Right and wrong answers are two heaps, not a slope between them.
        width = min(width, 0.06 * (axis.limits[1] - axis.limits[0]))
        low, high = data.min() - 2 * width, data.max() + 2 * width
        low, high = max(low, axis.limits[0]), min(high, axis.limits[1])
    grid = np.linspace(low, high, 160)
    unique, count = np.unique(data, return_counts=True)
    density = (count * np.exp(-0.5 * ((grid[:, None] - unique) / width) ** 2)).sum(axis=1)
    return (10**grid if axis.log else grid), density / density.max()


def _mean(axes: Any, place: float, means: DataFrame, name: tuple[str, str], axis: Axis) -> None:
    import pandas as pd

    row = means[(means["policy"] == name[0]) & (means["variant"] == name[1])]
    if row.empty or pd.isna(row["mean"].iloc[0]):
        return
    mean, low, high = (row[key].iloc[0] for key in ("mean", "mean_low", "mean_high"))
    if pd.notna(low) and pd.notna(high):
        axes.plot([low, high], [place, place], color=INK, lw=1.6, solid_capstyle="butt")
    axes.plot(mean, place, "o", ms=5.5, color=colour(name[0]), mec=INK, mew=1.0)
    axes.annotate(
        axis.form.format(mean),
        (1.01, place),
        xycoords=axes.get_yaxis_transform(),
        va="center",
        size=8.5,
        color=INK,
        annotation_clip=False,
    )


def interactive(axis: Axis, title: str) -> Any:
    """Return the function that draws scores and intervals with Plotly."""

    def draw(scores: DataFrame, intervals: DataFrame) -> Any:
        import plotly.graph_objects as go

        found, rows, columns = panels(scores)
        names = variants_of(scores)
        figure = web_canvas(found, rows, columns, shared_yaxes=True)
        for panel in found:
            place = {"row": panel.row + 1, "col": panel.column + 1}
            for name in names:
                own = valid(panel.of(scores))
                own = own[(own["policy"] == name[0]) & (own["variant"] == name[1])]
                own = own[own[axis.metric].notna()]
                few = len(own) <= MOST_DOTS
                trace = go.Violin(
                    x=numbers(own[axis.metric]),
                    y=[label(name)] * len(own),
                    text=own["job_id"].astype(str).tolist(),
                    orientation="h",
                    name=label(name),
                    line_color=colour(name[0]),
                    points="all" if few else False,
                    pointpos=0,
                    jitter=0.5,
                    marker_size=3,
                    meanline_visible=True,
                    spanmode="hard",
                    showlegend=False,
                )
                figure.add_trace(trace, **place)
            figure.add_trace(_means(panel.of(intervals), axis), **place)
            figure.update_yaxes(
                categoryorder="array", categoryarray=[label(n) for n in names[::-1]], **place
            )
            figure.update_xaxes(title=axis.title, type="log" if axis.log else "linear", **place)
        return finish(figure, title, (30 * len(names) + 140) * max(rows, 1))

    return draw


def _means(intervals: DataFrame, axis: Axis) -> Any:
    """Return the means and their intervals as points with error bars."""
    import plotly.graph_objects as go

    rows = intervals[intervals["metric"] == axis.metric]
    mean, low, high = (rows[name].astype(float) for name in ("mean", "mean_low", "mean_high"))
    return go.Scatter(
        x=mean.tolist(),
        y=[label(name) for name in zip(rows["policy"], rows["variant"], strict=True)],
        error_x={"array": (high - mean).tolist(), "arrayminus": (mean - low).tolist()},
        mode="markers",
        marker={"color": INK, "size": 6},
        name="mean and interval",
        showlegend=False,
    )
