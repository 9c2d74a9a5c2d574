"""What a figure is made of: panels, their axes and their marks, for every backend alike.

A plot describes itself in these words once; `ttc_bench.reporting.drawing.still` draws that with
Matplotlib and `ttc_bench.reporting.drawing.interactive` with Plotly.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from math import isnan
from typing import Any, Literal

INK = "#222222"
FAINT = "#6b6b6b"
CHALK = "#e6e6e6"
"""Ink on a dark ground."""

Place = float | str
"""Where a mark stands on an axis: a number, or one of the names of the axis."""


@dataclass(frozen=True)
class Axis:
    """One axis of a panel.

    Attributes:
        title: Text along it.
        scale: ``linear``; ``decades`` is logarithmic, ticks at 1, 2, 5; ``doublings`` to base 2.
        limits: Ends of the range of what is shown, where it has both.
        centred: Whether 0 is marked and stands in the middle.
        names: Categories in place of numbers, from the left or from the top.
        colours: Colours of the names; none is ink.
    """

    title: str = ""
    scale: Literal["linear", "decades", "doublings"] = "linear"
    limits: tuple[float, float] | None = None
    centred: bool = False
    names: Sequence[str] = ()
    colours: Sequence[str] = ()


@dataclass(frozen=True)
class Dot:
    """One value.

    Attributes:
        x: Its place along the x axis.
        y: Its place along the y axis.
        name: What it is of.
        colour: As ``#rrggbb``.
        hover: What is told of it where one points; lines are parted by ``<br>``.
        interval: Its lower and upper end, if it has one.
        marker: Its shape in Matplotlib's letters.
        strong: Whether it stands out: ringed in ink, its name in bold.
        filled: Whether it is full, not an outline.
        size: Diameter in typographic points.
        value: Text at the right edge, at its height.
    """

    x: Place
    y: Place
    name: str
    colour: str
    hover: str = ""
    interval: tuple[float, float] | None = None
    marker: str = "o"
    strong: bool = True
    filled: bool = True
    size: float = 6.5
    value: str = ""


@dataclass(frozen=True)
class Dots:
    """Values with intervals.

    Attributes:
        dots: The most important first.
        along: The axis that the intervals lie along.
        width: Width of the intervals in typographic points.
        bar_colour: Colour of the intervals; ``None`` is that of the dot.
        opacity: Of the intervals of strong dots; the others are paler.
        named: Whether the dots are told apart by names: beside them, or in a legend.
    """

    dots: Sequence[Dot]
    along: Literal["x", "y"]
    width: float
    bar_colour: str | None = None
    opacity: float = 1.0
    named: bool = False


@dataclass(frozen=True)
class Line:
    """A curve.

    Attributes:
        x: Places along the x axis, rising.
        y: Heights there.
        colour: As ``#rrggbb``.
        name: Written at its end; without one it is a guide that tells nothing.
        low: Lower edge of its band; none is no band.
        high: Upper edge.
        dash: How it is broken.
        steps: Whether a height holds up to the next place.
        band: Whether the band is filled in a still figure.
    """

    x: Sequence[float]
    y: Sequence[float]
    colour: str
    name: str = ""
    low: Sequence[float] = ()
    high: Sequence[float] = ()
    dash: Literal["solid", "dash", "dot"] = "solid"
    steps: bool = False
    band: bool = True


@dataclass(frozen=True)
class Violin:
    """How values are spread, along the x axis.

    Attributes:
        y: The row, one of the names of the y axis.
        values: The values, of shape (n,); none is said so in the row.
        ids: What each value is of.
        colour: As ``#rrggbb``.
    """

    y: str
    values: Any
    ids: Sequence[str]
    colour: str


@dataclass(frozen=True)
class Cells:
    """Shares from 0 to 1 as colours and numbers.

    Attributes:
        values: Of shape (names of y, names of x); NaN is a dash.
        title: What the values are.
    """

    values: Any
    title: str


Mark = Dots | Line | Violin | Cells


@dataclass(frozen=True)
class Panel:
    """One part of a figure.

    Attributes:
        row: Its place from the top.
        column: Its place from the left.
        title: What stands above it.
        x: Axis from left to right.
        y: Axis from bottom to top, names from top to bottom.
        marks: What is shown; a later mark lies over an earlier one.
        empty: Why there are no marks.
        choice: Number of the view, where one place has several: stills show the first two below
            each other, an interactive figure lets one choose.
        choice_name: What the view is called.
    """

    row: int
    column: int
    title: str
    x: Axis = field(default_factory=Axis)
    y: Axis = field(default_factory=Axis)
    marks: Sequence[Mark] = ()
    empty: str = ""
    choice: int = 0
    choice_name: str = ""


@dataclass(frozen=True)
class Figure:
    """A whole figure.

    Attributes:
        panels: Its parts; they fill a grid.
        size: Width and height of a panel in inches.
        empty: What is said where there are no panels.
    """

    panels: Sequence[Panel]
    size: tuple[float, float]
    empty: str = "No response was scored."

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to see: no panel has anything in it."""
        return not any(_is_seen(mark) for panel in self.panels for mark in panel.marks)

    @property
    def colour_title(self) -> str:
        """What the colours of cells mean; empty without any."""
        marks = (mark for panel in self.panels for mark in panel.marks)
        return next((mark.title for mark in marks if isinstance(mark, Cells)), "")


def _is_seen(mark: Mark) -> bool:
    match mark:
        case Dots():
            return bool(mark.dots)
        case Line():
            return len(mark.x) > 0
        case Violin():
            return len(mark.values) > 0
        case Cells():
            return any(not isnan(value) for row in mark.values for value in row)
