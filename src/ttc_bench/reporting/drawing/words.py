"""What a figure shows, in words: the text in its place for those who cannot see it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ttc_bench.reporting.drawing.figure import Axis, Cells, Dot, Dots, Figure, Line, Panel, Violin

MOST_PANELS = 6
"""Panels that are told; of more, how many there are."""


def finding(figure: Figure) -> str:
    """Return what can be read off a figure, panel by panel; of views, the first one."""
    panels = [panel for panel in figure.panels if panel.choice == 0]
    told = [_panel(panel) for panel in panels[:MOST_PANELS]] or [figure.empty]
    if (more := len(panels) - MOST_PANELS) > 0:
        told.append(f"{more} more {'panel is' if more == 1 else 'panels are'} not told here.")
    return " ".join(told)


def _panel(panel: Panel) -> str:
    texts = [text for mark in panel.marks if (text := WORDS[type(mark)](panel, mark))]
    said = "; ".join(texts) if texts else panel.empty.rstrip(".") or "nothing to show"
    return f"{panel.title}: {said}." if panel.title else f"{said[:1].upper()}{said[1:]}."


def _dots(panel: Panel, mark: Dots) -> str:
    """Tell the ends of what is measured: along x beside named rows, else up the y axis."""
    if not mark.dots:
        return ""
    is_in_rows = bool(panel.y.names)
    axis = panel.x if is_in_rows else panel.y

    def value(dot: Dot) -> Any:
        return dot.x if is_in_rows else dot.y

    ranked = sorted(mark.dots, key=value)
    low, high = ranked[0], ranked[-1]
    text = f"mean {_plain(axis)}" if is_in_rows else _plain(axis)
    if value(low) == value(high):
        return f"{text} {value(low):.3g} for all of {len(ranked)}"
    text += f" from {value(low):.3g} ({low.name}) to {value(high):.3g} ({high.name})"
    if mark.named:
        strong = ", ".join(dot.name for dot in sorted(mark.dots, key=lambda d: d.x) if dot.strong)
        text += f"; on the frontier, by rising {_plain(panel.x)}: {strong}"
    return text


def _plain(axis: Axis) -> str:
    """Return the title of an axis without what it says in brackets of unit and scale."""
    return axis.title.partition(" (")[0]


def _line(_: Panel, mark: Line) -> str:
    if not mark.name or not len(mark.y):
        return ""
    return (
        f"{mark.name} from {mark.y[0]:.3g} at {mark.x[0]:g} to {mark.y[-1]:.3g} at {mark.x[-1]:g}"
    )


def _cells(panel: Panel, mark: Cells) -> str:
    import numpy as np

    known = ~np.isnan(mark.values)
    rows = [
        (float(values[there].mean()), str(name))
        for name, values, there in zip(panel.y.names, mark.values, known, strict=True)
        if there.any()
    ]
    if not rows:
        return ""
    (low, worst), (high, best) = min(rows), max(rows)
    return f"{mark.title} over the columns from {low:.2f} ({worst}) to {high:.2f} ({best})"


def _violin(_panel: Panel, _mark: Violin) -> str:
    return ""  # Its mean is a dot, which is told.


WORDS: dict[type, Callable[[Panel, Any], str]] = {
    Dots: _dots,
    Line: _line,
    Violin: _violin,
    Cells: _cells,
}
"""What is told of each kind of mark."""
