"""Heat map: the mean reward of each variant on each task."""

from __future__ import annotations

from typing import Any

from ttc_bench.reporting.colours import SEQUENTIAL
from ttc_bench.reporting.plots.base import (
    Panel,
    Picture,
    canvas,
    each,
    finish,
    label,
    name_rows,
    panels,
    styled,
    valid,
    variants_of,
    web_canvas,
)
from ttc_bench.types import DataFrame

TITLE = "Quality by variant and task"


@styled
def still(scores: DataFrame) -> Any:
    """Return the heat map, drawn with Matplotlib; a cell without a valid response is a dash."""
    found, rows, columns = panels(scores)
    names = variants_of(scores)
    widest = max((scores.groupby("benchmark")["task"].nunique().tolist()), default=1)
    size = (0.62 * widest + 3.0, 0.3 * len(names) + 1.9)
    figure, axes = canvas(rows, columns, size)
    image = None
    for panel, own in each(axes, found, "No response was scored."):
        cells = grid(panel, scores, names)
        image = own.imshow(cells.to_numpy(), cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
        own.grid(False)
        own.set_xticks(range(cells.shape[1]), cells.columns, rotation=40, ha="right")
        name_rows(own, names, shown=panel.column == 0, step=1)
        own.tick_params(length=0)
        own.spines[:].set_visible(False)
        for (y, x), value in _cells(cells):
            known = value == value  # noqa: PLR0124
            ink = "white" if known and value < 0.5 else "#222222"
            own.text(x, y, f"{value:.2f}" if known else "–", ha="center", va="center",
                     size=8, color=ink)  # fmt: skip
    if image is not None:
        figure.colorbar(image, ax=axes, label="mean reward", shrink=0.6, pad=0.02)
    return figure


def grid(panel: Panel, scores: DataFrame, names: list[tuple[str, str]]) -> DataFrame:
    """Return the mean reward of valid responses, variants by tasks; NaN where there is none."""
    own = panel.of(scores)
    tasks = sorted(set(own["task"]))
    known = valid(own).assign(reward=lambda table: table["reward"].astype("float64"))
    table = known.pivot_table(
        index=["policy", "variant"], columns="task", values="reward", aggfunc="mean", observed=True
    )
    return table.reindex(index=names, columns=tasks).astype("float64")


def _cells(cells: DataFrame) -> Any:
    import numpy as np

    return np.ndenumerate(cells.to_numpy())


def interactive(scores: DataFrame) -> Any:
    """Return the heat map, drawn with Plotly."""
    import plotly.graph_objects as go

    found, rows, columns = panels(scores)
    names = variants_of(scores)
    figure = web_canvas(found, rows, columns, shared_yaxes=True)
    for panel in found:
        cells = grid(panel, scores, names)
        figure.add_trace(
            go.Heatmap(
                z=cells.to_numpy(),
                x=list(cells.columns),
                y=[label(name) for name in names],
                coloraxis="coloraxis",
                texttemplate="%{z:.2f}",
                hovertemplate="%{y}<br>%{x}<br>mean reward %{z:.3f}<extra></extra>",
            ),
            row=panel.row + 1,
            col=panel.column + 1,
        )
        figure.update_yaxes(autorange="reversed", row=panel.row + 1, col=panel.column + 1)
    figure.update_layout(
        coloraxis={"colorscale": SEQUENTIAL, "cmin": 0, "cmax": 1, "colorbar_title": "mean reward"}
    )
    return finish(figure, TITLE, (26 * len(names) + 240) * max(rows, 1))


PICTURE = Picture(
    name="task_heatmap",
    title=TITLE,
    caption="Mean reward over valid responses; brighter is better, a dash has none. With few"
    " responses per cell these are hints, not findings.",
    tables=("all_scores",),
    still=still,
    interactive=interactive,
)
