"""Interactive figures, drawn with Plotly."""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import Any, NamedTuple

from ttc_bench.reporting.colours import SEQUENTIAL, on_dark
from ttc_bench.reporting.drawing.callouts import REACH, SIZE, Callout, callouts, scales
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
from ttc_bench.reporting.labels import natural
from ttc_bench.types import BASELINE

PIXELS = 110
"""Height of an inch of a still figure."""

MARGIN = 180
"""Height of what Plotly leaves free above and below all panels."""

LEGEND = 20
"""Height of a line of the legend, which has three names where the page is narrow."""

NARROW = 600
"""Width of all panels and their axes on a narrow page."""

GAP = 110
"""Height between two rows of panels, in which axis and title stand."""

TITLE_LETTER = 9.0
"""Width of a letter of a title."""

SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond",
           "v": "triangle-down", "P": "cross"}  # fmt: skip
"""Plotly's names of Matplotlib's markers."""


Trace = dict[str, Any]
"""A trace as Plotly is given it; an object of its own would be checked, and copied, twice."""


def draw(figure: Figure, title: str) -> Any:
    """Return a Plotly figure of what is described."""
    from plotly.subplots import make_subplots

    first = [panel for panel in figure.panels if panel.choice == 0]
    rows, columns = (1 + max((place(panel) for panel in first), default=0)
                     for place in (attrgetter("row"), attrgetter("column")))  # fmt: skip
    drawn = make_subplots(
        rows=rows,
        cols=columns,
        shared_yaxes=True,
        vertical_spacing=min(0.3, GAP / (PIXELS * figure.size[1])) / rows,
        subplot_titles=[_wrapped(panel.title, columns) for panel in first] or [figure.empty],
    )
    if not first:
        drawn.update_xaxes(visible=False)
        drawn.update_yaxes(visible=False)
    choices = _add_traces(drawn, figure, columns)
    for panel in first:
        _axes(drawn, panel, {"row": panel.row + 1, "col": panel.column + 1})
    names = _once_in_legend(drawn, choices)
    _menu(drawn, figure, choices)
    lines = math.ceil(names / 3)
    drawn.update_layout(
        template="plotly_white",
        title=title,
        height=(PIXELS * figure.size[1] + 40) * rows + MARGIN + LEGEND * lines,
        font={"color": INK, "size": 12},
        hoverlabel={"namelength": -1},
        legend={
            "orientation": "h",
            "yref": "container",
            "y": 0,
            "yanchor": "bottom",
            "traceorder": "normal",
        },
        violingap=0.1,
    )
    if figure.colour_title:
        bar = {"title": {"text": figure.colour_title}}
        drawn.update_layout(
            coloraxis={"colorscale": SEQUENTIAL, "cmin": 0, "cmax": 1, "colorbar": bar}
        )
    return drawn


def _add_traces(drawn: Any, figure: Figure, columns: int) -> list[int]:
    """Draw the marks of all panels; return to which choice each of their traces belongs."""
    traces, rows, cols, choices = list[Trace](), list[int](), list[int](), list[int]()
    for panel in figure.panels:
        frame = Frame(columns, _heights(figure, panel.row))
        for trace in (t for mark in panel.marks for t in TRACES[type(mark)](panel, mark, frame)):
            traces.append({**trace, "visible": panel.choice == 0})
            rows.append(panel.row + 1)
            cols.append(panel.column + 1)
            choices.append(panel.choice)
    # All at once: Plotly looks at the whole figure each time.
    drawn.add_traces(traces, rows=rows, cols=cols)
    return choices


class Frame(NamedTuple):
    """What a panel shares with those beside it.

    Attributes:
        columns: How many they are.
        heights: The least and the largest value that they show.
    """

    columns: int
    heights: tuple[float, float]


def _heights(figure: Figure, row: int) -> tuple[float, float]:
    marks = (mark for panel in figure.panels if panel.row == row for mark in panel.marks)
    dots = [dot for mark in marks if isinstance(mark, Dots) and mark.named for dot in mark.dots]
    ends = [float(y) for dot in dots for y in (dot.y, *(dot.interval or ()))]
    return min(ends, default=0.0), max(ends, default=1.0)


def _wrapped(title: str, columns: int) -> str:
    """Return a title in lines that a narrow page has room for."""
    lines = textwrap.wrap(title, int(NARROW / columns / TITLE_LETTER), break_on_hyphens=False)
    return "<br>".join(lines) or " "


def _axes(drawn: Any, panel: Panel, place: Mapping[str, int]) -> None:
    """Draw the axes of a panel; names go from the top down, a title stands in the first column."""
    drawn.update_xaxes(**_axis(panel.x), **_ticks(panel), **place)
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
    return {**kind, "zeroline": axis.centred, "zerolinecolor": FAINT}


def _ticks(panel: Panel) -> dict[str, Any]:
    """Return the ticks of an x axis: of a logarithmic one at 1, 2, 5 where it is long enough."""
    if panel.x.scale == "doublings":
        return {"tickvals": [2**power for power in range(12)]}
    if panel.x.scale == "linear":
        return {}
    values = [float(v) for mark in panel.marks for v in _along_x(mark) if v > 0]
    ratio = max(values, default=1.0) / min(values, default=1.0)
    # Without a format Plotly writes the digits alone between powers of ten: 2 for 0.2, and for 20.
    return {"tickformat": "~g", "dtick": None if ratio < 8 else "D2" if ratio < 1e4 else 1}


def _along_x(mark: Any) -> Sequence[Any]:
    """Return where a mark is along the x axis."""
    match mark:
        case Dots():
            return [dot.x for dot in mark.dots if not isinstance(dot.x, str)]
        case Line():
            return mark.x
        case Violin():
            return list(mark.values)
    return []


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
                {
                    f"{axis}.{name}": value
                    for axis in axes
                    for name, value in (("title.text", view.x.title), *_ticks(view).items())
                },
            ],
        }
        for choice, view in views.items()
    ]
    if buttons:
        drawn.update_layout(updatemenus=[{"buttons": buttons, "x": 1, "y": 1.16}])


def _once_in_legend(drawn: Any, choices: Sequence[int]) -> int:
    """Leave each name once in the legend of each view; return how many the longest one has.

    The baseline is the first, the others follow by name.
    """
    shown = set()
    names = sorted({trace.name for trace in drawn.data if trace.showlegend}, key=_rank)
    for trace, choice in zip(drawn.data, choices, strict=True):
        if trace.showlegend:
            trace.showlegend = (choice, trace.name) not in shown
            shown.add((choice, trace.name))
            trace.legendrank = 1 + names.index(trace.name)
    return max(Counter(choice for choice, _ in shown).values(), default=0)


def _rank(name: str) -> tuple[Any, ...]:
    return not _is_baseline(name), natural(name)


def _is_baseline(name: str) -> bool:
    return name.partition(".")[0] == BASELINE[0]


def _dots(panel: Panel, mark: Dots, frame: Frame) -> list[Trace]:
    # The important ones on top.
    dots = [_dot(dot, mark) for dot in reversed(mark.dots)]
    if not mark.named or not mark.dots:
        return dots
    axes = scales((panel.x, panel.y), mark.dots, frame.columns, frame.heights)
    named = [dot for dot in mark.dots if dot.strong or _is_baseline(dot.name)]
    guides = [one for one in panel.marks if isinstance(one, Line) and not one.name]
    placed = callouts(mark.dots, named, guides, axes)
    return [_name(dot, placed[dot.name]) for dot in named] + dots


def _trace(kind: str, **facts: Any) -> Trace:
    """Return a trace of a kind of Plotly's."""
    return {"type": kind, **facts}


def _name(dot: Dot, place: Callout) -> Trace:
    """Return the name of a dot, with a line to it where it stands apart."""
    ends = [(float(dot.x), float(dot.y)), (place.x, place.y)] if place.is_far else [place[1:3]]
    return _trace(
        "scatter",
        x=[x for x, _ in ends],
        y=[y for _, y in ends],
        mode="text+markers+lines" if place.is_far else "text+markers",
        text=["", place.text][-len(ends) :],
        textposition=place.side,
        textfont={"size": SIZE, "color": INK},
        line={"color": FAINT, "width": 0.7},
        # Plotly keeps the text as far away as a marker of this size is large.
        marker={"size": 2 * REACH, "opacity": 0},
        cliponaxis=False,
        legendgroup=dot.name,
        hoverinfo="skip",
        showlegend=False,
    )


def _dot(dot: Dot, mark: Dots) -> Trace:
    bar: dict[str, Any] = {}
    if dot.interval:
        value: Any = getattr(dot, mark.along)
        ends = {"array": [dot.interval[1] - value], "arrayminus": [value - dot.interval[0]]}
        look = {"thickness": mark.width, "color": mark.bar_colour or dot.colour}
        bar = {f"error_{mark.along}": ends | look}
    symbol = SYMBOLS[dot.marker]
    return _trace(
        "scatter",
        x=[dot.x],
        y=[dot.y],
        **bar,
        mode="markers",
        cliponaxis=False,
        marker={
            "color": dot.colour,
            "size": 1.5 * dot.size,
            "symbol": symbol if dot.filled else f"{symbol}-open",
            "line": {"color": INK if dot.strong else dot.colour, "width": 1.1},
        },
        name=dot.name,
        legendgroup=dot.name if mark.named else None,
        hovertemplate=f"{dot.hover}<extra></extra>",
        showlegend=mark.named,
    )


def _line(_: Panel, mark: Line, __: Frame) -> list[Trace]:
    above = [high - y for high, y in zip(mark.high, mark.y, strict=False)]
    below = [y - low for low, y in zip(mark.low, mark.y, strict=False)]
    trace = _trace(
        "scatter",
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
        trace["error_y"] = {"array": above, "arrayminus": below, "thickness": 0.7}
    return [trace]


def _violin(_: Panel, mark: Violin, __: Frame) -> list[Trace]:
    return [
        _trace(
            "violin",
            x=mark.values,
            y0=mark.y,
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


def _cells(panel: Panel, mark: Cells, _: Frame) -> list[Trace]:
    return [
        _trace(
            "heatmap",
            z=mark.values,
            x=list(panel.x.names),
            y=list(panel.y.names),
            coloraxis="coloraxis",
            texttemplate="%{z:.2f}",
            hovertemplate=f"%{{y}}<br>%{{x}}<br>{mark.title} %{{z:.3f}}<extra></extra>",
        )
    ]


TRACES: dict[type, Callable[[Panel, Any, Frame], list[Trace]]] = {
    Dots: _dots,
    Line: _line,
    Violin: _violin,
    Cells: _cells,
}
"""The traces of each kind of mark in a panel."""
