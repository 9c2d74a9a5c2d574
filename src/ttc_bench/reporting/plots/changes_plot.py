"""Forest plot: the change of each variant between two runs, with its interval."""

from __future__ import annotations

from typing import Any, NamedTuple

from ttc_bench.reporting.colours import colour
from ttc_bench.reporting.plots.base import (
    FAINT,
    INK,
    Picture,
    canvas,
    finish,
    label,
    name_rows,
    say,
    styled,
    variants_of,
)
from ttc_bench.reporting.row_dicts import row_dicts
from ttc_bench.types import DataFrame

TITLE = "What changed between two runs"

NOTHING = "Nothing can be compared."


class Axis(NamedTuple):
    """A metric whose change is drawn: its column, the text along the axis, whether relative."""

    metric: str
    title: str
    relative: bool


AXES = (
    Axis("reward", "change of mean reward, after minus before", False),
    Axis("latency_s", "change of mean latency (% of before)", True),
    Axis("total_tokens", "change of mean tokens (% of before)", True),
)


class Place(NamedTuple):
    """The panels of one model pair and benchmark: title and rows."""

    title: str
    part: DataFrame


def places(changes: DataFrame) -> list[Place]:
    """Return one place per model pair and benchmark."""
    found = []
    key = ["model_before", "model_after", "benchmark"]
    for (before, after, benchmark), part in changes.groupby(key, sort=True):
        models = "" if before == after else f", {before} to {after}"
        found.append(Place(f"{benchmark}{models}", part))
    return found


def points(place: Place, axis: Axis) -> list[dict[str, Any]]:
    """Return the rows of a metric with ``value, low, high`` in the unit of the axis."""
    import pandas as pd

    found = []
    for row in row_dicts(place.part[place.part["metric"] == axis.metric]):
        scale = 100 / row["mean_before"] if axis.relative and row["mean_before"] else 1.0
        if pd.isna(row["difference"]) or (axis.relative and not row["mean_before"]):
            continue
        low, high = (
            None if pd.isna(row[f"difference_{end}"]) else scale * row[f"difference_{end}"]
            for end in ("low", "high")
        )
        found.append({**row, "value": scale * row["difference"], "low": low, "high": high})
    return found


@styled
def still(changes: DataFrame) -> Any:
    """Return the forest plot, drawn with Matplotlib: a row of panels per benchmark."""
    found = places(changes)
    names = variants_of(changes)
    figure, axes = canvas(len(found), len(AXES), (4.6, 0.27 * len(names) + 1.2))
    if not found:
        for own in axes[0]:
            own.set_axis_off()
        say(axes[0][0], NOTHING)
    for place, line in zip(found, axes, strict=False):
        for axis, own in zip(AXES, line, strict=True):
            _forest(own, place, axis, names)
            own.set_title(place.title if axis is AXES[0] else "")
            name_rows(own, names, shown=axis is AXES[0])
            own.tick_params(axis="y", length=0)
    return figure


def _forest(axes: Any, place: Place, axis: Axis, names: list[tuple[str, str]]) -> None:
    axes.axvline(0, color=FAINT, lw=1.2, zorder=1)
    axes.set_ylim(-len(names) + 0.4, 0.6)
    axes.grid(False, axis="y")
    axes.set_xlabel(axis.title)
    for row in points(place, axis):
        name = (row["policy"], row["variant"])
        y = -names.index(name)
        decided = row["verdict"] in ("better", "worse")
        if row["low"] is not None:
            axes.plot([row["low"], row["high"]], [y, y], lw=2, color=colour(name[0]),
                      alpha=1.0 if decided else 0.45, solid_capstyle="butt")  # fmt: skip
        axes.plot(row["value"], y, "o", ms=6.5, mew=1.2, mec=INK if decided else colour(name[0]),
                  mfc=colour(name[0]) if decided else "white", zorder=3)  # fmt: skip
    low, high = axes.get_xlim()
    reach = max(abs(low), abs(high), 1e-3)
    axes.set_xlim(-reach, reach)


def interactive(changes: DataFrame) -> Any:
    """Return the forest plot, drawn with Plotly."""
    from plotly.subplots import make_subplots

    found = places(changes)
    names = variants_of(changes)
    titles = [p.title if axis is AXES[0] else " " for p in found for axis in AXES] or [NOTHING]
    figure = make_subplots(
        rows=max(len(found), 1), cols=len(AXES), shared_yaxes=True, subplot_titles=titles
    )
    for y, place in enumerate(found, start=1):
        for x, axis in enumerate(AXES, start=1):
            for row in points(place, axis):
                figure.add_trace(_dot(row), row=y, col=x)
            figure.update_xaxes(title=axis.title, zeroline=True, zerolinecolor=FAINT, row=y, col=x)
            figure.update_yaxes(
                categoryorder="array", categoryarray=[label(n) for n in names[::-1]], row=y, col=x
            )
    return finish(figure, TITLE, (24 * len(names) + 160) * max(len(found), 1))


def _dot(row: dict[str, Any]) -> Any:
    import plotly.graph_objects as go

    name = label((row["policy"], row["variant"]))
    decided = row["verdict"] in ("better", "worse")
    bounds = (
        {}
        if row["low"] is None
        else {"array": [row["high"] - row["value"]], "arrayminus": [row["value"] - row["low"]]}
    )
    return go.Scatter(
        x=[row["value"]],
        y=[name],
        error_x=bounds,
        mode="markers",
        marker={
            "color": colour(row["policy"]),
            "size": 9,
            "symbol": "circle" if decided else "circle-open",
        },
        name=name,
        hovertemplate=f"{name}<br>%{{x:+.4g}}<br>{row['verdict']}, {row['n_pairs']} pairs"
        "<extra></extra>",
        showlegend=False,
    )


PICTURE = Picture(
    name="changes_plot",
    title=TITLE,
    caption="Each point is a variant: after minus before, with its interval. Filled points are"
    " decided by a test that is corrected for the number of variants; hollow ones are not.",
    tables=("run_changes",),
    still=still,
    interactive=interactive,
)
