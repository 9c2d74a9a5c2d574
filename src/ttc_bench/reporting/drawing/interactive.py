"""Interactive figures, drawn with Plotly."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ttc_bench.reporting.colours import SEQUENTIAL, on_dark
from ttc_bench.reporting.drawing.density import MOST_DOTS
from ttc_bench.reporting.drawing.figure import (
    CHALK,
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

PIXELS = 110
"""Height of an inch of a still figure."""

SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond",
           "v": "triangle-down", "P": "cross"}  # fmt: skip
"""Plotly's names of Matplotlib's markers."""


def draw(figure: Figure, title: str) -> Any:
    """Return a Plotly figure of what is described."""
    from plotly.subplots import make_subplots

    first = [panel for panel in figure.panels if panel.choice == 0]
    rows = 1 + max((panel.row for panel in first), default=0)
    drawn = make_subplots(
        rows=rows,
        cols=1 + max((panel.column for panel in first), default=0),
        shared_yaxes=True,
        subplot_titles=[panel.title or " " for panel in first] or [figure.empty],
    )
    if not first:
        drawn.update_xaxes(visible=False)
        drawn.update_yaxes(visible=False)
    choices = []
    for panel in figure.panels:
        place = {"row": panel.row + 1, "col": panel.column + 1}
        for trace in (trace for mark in panel.marks for trace in TRACES[type(mark)](panel, mark)):
            trace.visible = panel.choice == 0
            drawn.add_trace(trace, **place)
            choices.append(panel.choice)
        if panel.choice == 0:
            _axes(drawn, panel, place)
    _once_in_legend(drawn)
    _menu(drawn, figure, choices)
    drawn.update_layout(
        template="plotly_white",
        title=title,
        height=(PIXELS * figure.size[1] + 40) * rows,
        font={"color": INK, "size": 12},
        hoverlabel={"namelength": -1},
    )
    if figure.colour_title:
        bar = {"title": {"text": figure.colour_title}}
        drawn.update_layout(
            coloraxis={"colorscale": SEQUENTIAL, "cmin": 0, "cmax": 1, "colorbar": bar}
        )
    return drawn


def _axes(drawn: Any, panel: Panel, place: Mapping[str, int]) -> None:
    """Draw the axes of a panel; names go from the top down, a title stands in the first column."""
    drawn.update_xaxes(**_axis(panel.x), **place)
    drawn.update_yaxes(**_axis(panel.y), **place)
    if panel.y.names:
        drawn.update_yaxes(autorange="reversed", **place)
    elif panel.column:
        drawn.update_yaxes(title=None, **place)


def darkened(drawn: Any) -> Any:
    """Return a drawn figure for a dark page: its colours lightened, its ground seen through."""
    import plotly.graph_objects as go

    facts = _recoloured(drawn.to_plotly_json())
    facts["layout"].pop("template", None)
    dark = go.Figure(facts)
    look = {"template": "plotly_dark", "font": {"color": CHALK}}
    clear = "rgba(0,0,0,0)"
    return dark.update_layout(**look, paper_bgcolor=clear, plot_bgcolor=clear)


def _recoloured(part: Any) -> Any:
    """Return a part of a figure with every ``#rrggbb`` in it lightened."""
    if isinstance(part, dict):
        return {name: _recoloured(value) for name, value in part.items() if name != "template"}
    if isinstance(part, list | tuple):
        return [_recoloured(value) for value in part]
    if not isinstance(part, str) or not re.fullmatch("#[0-9a-f]{6}", part):
        return part
    return CHALK if part == INK else on_dark(part)


def _axis(axis: Axis) -> dict[str, Any]:
    if axis.names:
        names = list(axis.names)
        return {"type": "category", "categoryorder": "array", "categoryarray": names}
    kind = {"type": "linear" if axis.scale == "linear" else "log", "title": axis.title}
    ticks = {"dtick": "D1"} if axis.scale == "doublings" else {}
    return {**kind, **ticks, "zeroline": axis.centred, "zerolinecolor": FAINT}


def _menu(drawn: Any, figure: Figure, choices: list[int]) -> None:
    """Add a menu that shows the traces and the axis titles of one choice."""
    views = {panel.choice: panel for panel in figure.panels if panel.choice_name}
    axes = [axis.plotly_name for axis in drawn.select_xaxes()]
    buttons = [
        {
            "label": view.choice_name,
            "method": "update",
            "args": [
                {"visible": [other == choice for other in choices]},
                {f"{axis}.title.text": view.x.title for axis in axes},
            ],
        }
        for choice, view in views.items()
    ]
    if buttons:
        drawn.update_layout(updatemenus=[{"buttons": buttons, "x": 1, "y": 1.16}])


def _once_in_legend(drawn: Any) -> None:
    """Leave each name in the legend once, however many panels show it."""
    shown = set()
    for trace in drawn.data:
        if trace.showlegend:
            trace.showlegend = trace.name not in shown
            shown.add(trace.name)


def _dots(panel: Panel, mark: Dots) -> list[Any]:
    middle = _middle(panel.x, [dot.x for dot in mark.dots if not isinstance(dot.x, str)])
    return [
        # The important ones on top; names go where there is room, to the middle.
        _dot(dot, mark, "left" if isinstance(dot.x, str) or dot.x > middle else "right")
        for dot in reversed(mark.dots)
    ]


def _middle(axis: Axis, places: Sequence[float]) -> float:
    """Return where the axis has as much room to the left as to the right."""
    if not places:
        return 0.0
    low, high = min(places), max(places)
    is_log = axis.scale != "linear" and low > 0
    return math.sqrt(low * high) if is_log else (low + high) / 2


def _dot(dot: Dot, mark: Dots, side: str) -> Any:
    import plotly.graph_objects as go

    bar: dict[str, Any] = {}
    if dot.interval:
        value: Any = getattr(dot, mark.along)
        ends = {"array": [dot.interval[1] - value], "arrayminus": [value - dot.interval[0]]}
        look = {"thickness": mark.width, "color": mark.bar_colour or dot.colour}
        bar = {f"error_{mark.along}": ends | look}
    symbol = SYMBOLS[dot.marker]
    return go.Scatter(
        x=[dot.x],
        y=[dot.y],
        **bar,
        mode="markers+text" if mark.named and dot.strong else "markers",
        text=[dot.name],
        textposition=f"top {side}",
        cliponaxis=False,
        marker={
            "color": dot.colour,
            "size": 1.5 * dot.size,
            "symbol": symbol if dot.filled else f"{symbol}-open",
            "line": {"color": INK if dot.strong else dot.colour, "width": 1.1},
        },
        name=dot.name,
        hovertemplate=f"{dot.hover}<extra></extra>",
        showlegend=False,
    )


def _line(_: Panel, mark: Line) -> list[Any]:
    import plotly.graph_objects as go

    above = [high - y for high, y in zip(mark.high, mark.y, strict=False)]
    below = [y - low for low, y in zip(mark.low, mark.y, strict=False)]
    trace = go.Scatter(
        x=mark.x,
        y=mark.y,
        mode="lines+markers" if mark.name else "lines",
        line={
            "color": mark.colour,
            "dash": mark.dash,
            "shape": "hv" if mark.steps else "linear",
        },
        name=mark.name or None,
        legendgroup=mark.name or None,
        hoverinfo=None if mark.name else "skip",
        showlegend=bool(mark.name),
    )
    if above:
        trace.error_y = {"array": above, "arrayminus": below, "thickness": 0.7}
    return [trace]


def _violin(_: Panel, mark: Violin) -> list[Any]:
    import plotly.graph_objects as go

    return [
        go.Violin(
            x=mark.values,
            y=[mark.y] * len(mark.values),
            text=list(mark.ids) if len(mark.values) <= MOST_DOTS else None,
            orientation="h",
            name=mark.y,
            line_color=mark.colour,
            points="all" if len(mark.values) <= MOST_DOTS else False,
            pointpos=0,
            jitter=0.5,
            marker_size=3,
            meanline_visible=True,
            spanmode="hard",
            showlegend=False,
        )
    ]


def _cells(panel: Panel, mark: Cells) -> list[Any]:
    import plotly.graph_objects as go

    return [
        go.Heatmap(
            z=mark.values,
            x=list(panel.x.names),
            y=list(panel.y.names),
            coloraxis="coloraxis",
            texttemplate="%{z:.2f}",
            hovertemplate=f"%{{y}}<br>%{{x}}<br>{mark.title} %{{z:.3f}}<extra></extra>",
        )
    ]


TRACES: dict[type, Callable[[Panel, Any], list[Any]]] = {
    Dots: _dots,
    Line: _line,
    Violin: _violin,
    Cells: _cells,
}
"""The traces of each kind of mark."""
