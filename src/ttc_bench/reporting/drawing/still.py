"""Still figures, drawn with Matplotlib."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from ttc_bench.reporting.colours import SEQUENTIAL, legible
from ttc_bench.reporting.drawing.density import MOST_DOTS, density
from ttc_bench.reporting.drawing.figure import (
    FAINT,
    INK,
    Axis,
    Cells,
    Dot,
    Dots,
    Figure,
    Line,
    Panel,
    Violin,
)
from ttc_bench.reporting.drawing.labels import place_labels

MOST_CHOICES = 2
"""Views of one place that are drawn below each other."""

DASHES = {"solid": "-", "dash": "--", "dot": ":"}

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "axes.labelcolor": INK,
    # Names of models, tasks and scores are text, never formulas.
    "text.parse_math": False,
}
"""Matplotlib settings of every figure."""


def draw(figure: Figure) -> Any:
    """Return a Matplotlib figure of what is described."""
    from matplotlib import rc_context

    with rc_context(STYLE):
        panels = [panel for panel in figure.panels if panel.choice < MOST_CHOICES]
        views = 1 + max((panel.choice for panel in panels), default=0)
        drawn, grid = _canvas(panels, views, figure.size)
        placed = [(panel, grid[panel.row * views + panel.choice][panel.column]) for panel in panels]
        if not placed:
            _say(grid[0][0], figure.empty)
        for panel, axes in placed:
            _panel(axes, panel)
        if figure.colour_title:
            image = next(axes.images[0] for _, axes in placed if axes.images)
            drawn.colorbar(image, ax=grid, label=figure.colour_title, shrink=0.6, pad=0.02)
        drawn.draw_without_rendering()  # Where labels find room is known once all has its place,
        drawn.set_layout_engine("none")  # and all stays there: each drawing would lay it out anew.
        for panel, axes in placed:
            guides = [mark for mark in panel.marks if isinstance(mark, Line) and not mark.name]
            for mark in panel.marks:
                if isinstance(mark, Dots) and mark.named:
                    place_labels(axes, mark.dots, guides)
    return drawn


def _canvas(panels: Sequence[Panel], views: int, size: tuple[float, float]) -> tuple[Any, Any]:
    """Return an empty figure and its axes, of shape (rows * views, columns), at least one."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure as Canvas

    rows = views * (1 + max((panel.row for panel in panels), default=0))
    columns = 1 + max((panel.column for panel in panels), default=0)
    canvas = Canvas(figsize=(size[0] * columns, size[1] * rows), dpi=130, layout="constrained")
    FigureCanvasAgg(canvas)
    canvas.set_facecolor("white")
    return canvas, canvas.subplots(rows, columns, squeeze=False)


def _say(axes: Any, text: str) -> None:
    axes.set_axis_off()
    axes.text(0.02, 0.5, text, transform=axes.transAxes, color=FAINT, va="center")


def _panel(axes: Any, panel: Panel) -> None:
    axes.set_title(panel.title)
    if not panel.marks:
        _say(axes, panel.empty)
        return
    _scale(axes, panel.x, [n for m in panel.marks if isinstance(m, Line) for n in m.x])
    axes.set(xlabel=panel.x.title, ylabel=panel.y.title)
    _names(axes, panel)
    for mark in panel.marks:
        DRAW[type(mark)](axes, panel, mark)
    if any(isinstance(mark, Dots) and mark.named for mark in panel.marks):
        axes.margins(x=0.14, y=0.08)
    if panel.x.limits:
        axes.set_xlim(panel.x.limits[0] - 0.03, panel.x.limits[1] + 0.03)
    if panel.x.centred:
        reach = max(*map(abs, axes.get_xlim()), 1e-3)
        axes.set_xlim(-reach, reach)
        axes.axvline(0, color=FAINT, lw=1.2, zorder=1)
    _ticks(axes, panel.x)
    _end_names(axes, [m for m in panel.marks if isinstance(m, Line) and m.name])


def _scale(axes: Any, axis: Axis, places: Sequence[float]) -> None:
    if axis.scale == "decades":
        axes.set_xscale("log")
    if axis.scale == "doublings":
        axes.set_xscale("log", base=2)
        axes.set_xticks([2**power for power in range(int(max(places)).bit_length())])


def _ticks(axes: Any, axis: Axis) -> None:
    """Set the ticks of a logarithmic axis whose ends are final: several, however short it is."""
    from matplotlib.ticker import AutoLocator, FuncFormatter, LogLocator, NullLocator

    if axis.scale == "linear":
        return
    if axis.scale == "decades":
        low, high = axes.get_xlim()
        decades = LogLocator(subs=(1.0, 2.0, 5.0) if high < 1e4 * low else (1.0,), numticks=12)
        axes.xaxis.set_major_locator(decades if high > 8 * low else AutoLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())


def _names(axes: Any, panel: Panel) -> None:
    """Write the categories; panels to the right share the rows of the first."""
    if panel.y.names:
        shown = panel.y.names if panel.column == 0 else [""] * len(panel.y.names)
        axes.set_yticks(range(len(panel.y.names)), shown)
        axes.set_ylim(len(panel.y.names) - 0.4, -0.6)
        axes.tick_params(axis="y", length=0)
        axes.grid(visible=False, axis="y")
        for tick, colour in zip(axes.get_yticklabels(), panel.y.colours, strict=False):
            tick.set_color(legible(colour))
    if panel.x.names:
        axes.set_xticks(range(len(panel.x.names)), panel.x.names, rotation=40, ha="right")


def _dots(axes: Any, panel: Panel, mark: Dots) -> None:
    for dot in mark.dots:
        x, y = _at(panel.x, dot.x), _at(panel.y, dot.y)
        if dot.interval:
            across = [x, x] if mark.along == "y" else [y, y]
            ends = (dot.interval, across) if mark.along == "x" else (across, dot.interval)
            axes.plot(
                *ends,
                lw=mark.width,
                color=mark.bar_colour or dot.colour,
                alpha=mark.opacity * (1.0 if dot.strong else 0.45),
                solid_capstyle="butt",
            )
        _dot(axes, x, y, dot)
        if dot.value:
            _at_edge(axes, y, dot.value, INK, size=8.5)


def _dot(axes: Any, x: float, y: float, dot: Dot) -> None:
    edge = INK if dot.strong else "white" if dot.filled else dot.colour
    axes.plot(
        x,
        y,
        dot.marker,
        ms=dot.size,
        mew=1.1 if dot.strong or not dot.filled else 0.5,
        mec=edge,
        mfc=dot.colour if dot.filled else "white",
        zorder=4 if dot.strong else 3,
    )


def _at(axis: Axis, place: Any) -> float:
    return list(axis.names).index(place) if isinstance(place, str) else place


def _at_edge(axes: Any, y: float, text: str, colour: str, **look: Any) -> None:
    """Write at the right edge of a panel, at a height."""
    axes.annotate(text, (1.01, y), xycoords=axes.get_yaxis_transform(), va="center", color=colour,
                  annotation_clip=False, **look)  # fmt: skip


def _line(axes: Any, _: Panel, mark: Line) -> None:
    if not mark.name:
        where = "steps-post" if mark.steps else "default"
        axes.plot(mark.x, mark.y, DASHES[mark.dash], drawstyle=where, color=mark.colour, lw=1.4)
        return
    if mark.band and mark.low:
        axes.fill_between(mark.x, mark.low, mark.high, color=mark.colour, alpha=0.1, lw=0)
    axes.plot(mark.x, mark.y, DASHES[mark.dash], color=mark.colour, lw=2, marker="o", ms=3.5)


def _end_names(axes: Any, lines: Sequence[Line]) -> None:
    """Write the names of curves at their ends, apart from each other."""
    low, high = axes.get_ylim()
    rising = sorted(lines, key=lambda line: (line.y[-1], line.name))
    heights = spread([line.y[-1] for line in rising], 0.06 * (high - low))
    for line, y in zip(rising, heights, strict=True):
        _at_edge(axes, y, line.name, legible(line.colour), size=9, weight="bold")


def spread(ends: Sequence[float], gap: float) -> list[float]:
    """Return heights of labels, at least ``gap`` apart and near their values, which rise."""
    places: list[float] = []
    for value in ends:
        places.append(value if not places else max(value, places[-1] + gap))
    over = (places[-1] - ends[-1]) / 2 if places else 0.0
    return [place - over for place in places]


def _violin(axes: Any, panel: Panel, mark: Violin) -> None:
    import numpy as np

    row = _at(panel.y, mark.y)
    if not len(mark.values):
        axes.text(0.01, row, "no valid response", transform=axes.get_yaxis_transform(),
                  color=FAINT, va="center", style="italic", size=8)  # fmt: skip
        return
    if len(mark.values) > 2 and np.ptp(mark.values) > 0:
        places, height = density(mark.values, panel.x)
        edges = row - 0.4 * height, row + 0.4 * height
        axes.fill_between(places, *edges, color=mark.colour, alpha=0.28, lw=0)
    if len(mark.values) <= MOST_DOTS:
        # A fixed scatter, so that the same run gives the same figure.
        shift = (np.arange(len(mark.values)) * 0.618 % 1 - 0.5) * 0.42
        axes.scatter(mark.values, row + shift, s=5, color=mark.colour, alpha=0.55, lw=0)


def _cells(axes: Any, _: Panel, mark: Cells) -> None:
    import numpy as np

    axes.imshow(mark.values, cmap=SEQUENTIAL, vmin=0, vmax=1, aspect="auto")
    axes.grid(visible=False)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    for (y, x), value in np.ndenumerate(mark.values):
        text = "–" if np.isnan(value) else f"{value:.2f}"
        ink = "white" if value < 0.5 else INK
        axes.text(x, y, text, ha="center", va="center", size=8, color=ink)


DRAW: dict[type, Callable[[Any, Panel, Any], None]] = {
    Dots: _dots,
    Line: _line,
    Violin: _violin,
    Cells: _cells,
}
"""How each kind of mark is drawn."""
