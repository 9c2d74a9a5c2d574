"""Interactive figures, drawn with Plotly."""

from __future__ import annotations

import math
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
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
from ttc_bench.reporting.labels import natural
from ttc_bench.types import BASELINE

PIXELS = 110
"""Height of an inch of a still figure."""

MARGIN = 180
"""Height of what Plotly leaves free above and below all panels."""

LEGEND = 20
"""Height of a line of the legend, which has three names where the page is narrow."""

NARROW = 600
"""Width of all panels on a narrow page: names that would cover something there are in the legend
alone."""

GAP = 110
"""Height between two rows of panels, in which axis and title stand."""

TITLE_LETTER = 9.0
"""Width of a letter of a title."""

LETTER, LINE = 6.8, 17
"""Width of a letter and height of a line of a name beside its dot."""

SYMBOLS = {"o": "circle", "s": "square", "^": "triangle-up", "D": "diamond",
           "v": "triangle-down", "P": "cross"}  # fmt: skip
"""Plotly's names of Matplotlib's markers."""


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
    choices = []
    for panel in figure.panels:
        place = {"row": panel.row + 1, "col": panel.column + 1}
        for mark in panel.marks:
            for trace in TRACES[type(mark)](panel, mark, columns):
                trace.visible = panel.choice == 0
                drawn.add_trace(trace, **place)
                choices.append(panel.choice)
        if panel.choice == 0:
            _axes(drawn, panel, place)
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
    return name.partition(".")[0] != BASELINE[0], natural(name)


def _dots(panel: Panel, mark: Dots, columns: int) -> list[Any]:
    sides = _sides(panel, mark.dots, NARROW / columns) if mark.named else {}
    # The important ones on top.
    return [_dot(dot, mark, sides.get(dot.name, "")) for dot in reversed(mark.dots)]


def _sides(panel: Panel, dots: Sequence[Dot], width: float) -> dict[str, str]:
    """Return on which side the names of strong dots stand, of those that find room.

    The strong ones are a frontier, whose line goes to the right and then up: however wide the page
    is, it never crosses what is to the left and above a dot, nor what is to the right and below.
    """
    across = _scaled(panel.x, [float(dot.x) for dot in dots], width)
    up = _scaled(panel.y, [float(dot.y) for dot in dots], PIXELS * 3.0)
    taken = [(x - 5, y - 5, x + 5, y + 5) for x, y in zip(across, up, strict=True)]
    taken += [(x - 1, -math.inf, x + 1, math.inf)
              for dot, x in zip(dots, across, strict=True) if dot.interval]  # fmt: skip
    sides: dict[str, str] = {}
    for dot, x, y in zip(dots, across, up, strict=True):
        length = LETTER * len(dot.name)
        places = {
            "bottom right": (x + 5, y - 5 - LINE, x + 5 + length, y - 5),
            "top left": (x - 5 - length, y + 5, x - 5, y + 5 + LINE),
        }
        for side, box in places.items() if dot.strong else ():
            if box[0] >= 0 and box[2] <= width and not any(_overlap(box, o) for o in taken):
                sides[dot.name] = side
                taken.append(box)
                break
    return sides


Box = tuple[float, float, float, float]
"""Left, lower, right and upper end."""


def _overlap(one: Box, other: Box) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def _scaled(axis: Axis, places: Sequence[float], length: float) -> list[float]:
    """Return where values are along an axis of a length, a little of it free at both ends."""
    is_log = axis.scale != "linear" and all(place > 0 for place in places)
    values = [math.log(place) if is_log else place for place in places]
    low, high = min(values, default=0.0), max(values, default=0.0)
    if high == low:
        return [length / 2] * len(values)
    return [length * (0.06 + 0.88 * (value - low) / (high - low)) for value in values]


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
        mode="markers+text" if side else "markers",
        text=[dot.name],
        textposition=side or None,
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


def _line(_: Panel, mark: Line, __: int) -> list[Any]:
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


def _violin(_: Panel, mark: Violin, __: int) -> list[Any]:
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


def _cells(panel: Panel, mark: Cells, _: int) -> list[Any]:
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


TRACES: dict[type, Callable[[Panel, Any, int], list[Any]]] = {
    Dots: _dots,
    Line: _line,
    Violin: _violin,
    Cells: _cells,
}
"""The traces of each kind of mark in a panel, of a figure of so many columns."""
