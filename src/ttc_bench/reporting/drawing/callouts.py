"""Names beside the dots of an interactive figure, which is as wide as the page that shows it.

They are placed on a narrow page. All stand at places of the data: on a wider page these part, and
what covered nothing there covers nothing here.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ttc_bench.reporting.drawing.figure import Axis, Dot, Line

WIDTH, HEIGHT = 480.0, 330.0
"""Width of all panels of a row on a narrow page, and least height of one, in pixels."""

SIZE = 11
"""Height of letters, in pixels."""

LETTER, LINE = 6.2, 14.0
"""Width of a letter and height of a line of a name."""

MOST_LETTERS = 14
"""Letters of a name that stands in one line; a longer one has its variant in a line of its own."""

REACH = 6.0
"""Distance of a name from the middle of its dot, in pixels."""

HEADROOM = 14.0
"""Height above a panel that a name may take, in pixels: its title stands further up."""

RADII = (20, 28, 36, 46, 58, 72, 90, 112, 140, 175)
"""Distances of names that find no room beside their dots, and get a line to them."""

WAYS = tuple(itertools.product((1, -1), (0, 0.5, -0.5, 1, -1, 2, -2, 5, -5)))
"""Ways in which they stand, to the right and up."""

WEIGHTS = {"name": 10.0, "dot": 5.0, "line": 5.0, "bar": 0.15}
"""What a square pixel costs that a name covers of each; bars are thin and pale."""

NEAR = {
    "top left": (-1, 1), "bottom right": (1, -1), "top right": (1, 1), "bottom left": (-1, -1),
    "middle left": (-1, 0), "middle right": (1, 0), "top center": (0, 1), "bottom center": (0, -1),
}  # fmt: skip
"""Plotly's sides of a dot, by where they are. A frontier goes to the right and then up: it crosses
neither of the first two."""

Box = tuple[float, float, float, float]
"""Left, lower, right and upper end, in pixels."""

Place = tuple[Box, tuple[float, float]]
"""A text, and where it stands beside."""

Marks = Sequence[tuple[str, Box]]
"""What may be covered, by the names of `WEIGHTS`."""


class Scale(NamedTuple):
    """How values lie along an axis.

    Attributes:
        low: The least value.
        high: The largest.
        length: Pixels of the axis, a little of which is free at both ends.
        is_log: Whether the axis is logarithmic.
    """

    low: float
    high: float
    length: float
    is_log: bool = False

    def pixel(self, value: float) -> float:
        """Return where a value is."""
        low, high, at = map(self._linear, (self.low, self.high, value))
        share = 0.5 if high == low else (at - low) / (high - low)
        return self.length * (0.06 + 0.88 * share)

    def value(self, pixel: float) -> float:
        """Return the value at a place."""
        low, high = self._linear(self.low), self._linear(self.high)
        at = low + (pixel / self.length - 0.06) / 0.88 * (high - low)
        return math.exp(at) if self.is_log else at

    def _linear(self, value: float) -> float:
        return math.log(value) if self.is_log else value


class Callout(NamedTuple):
    """A name and its place.

    Attributes:
        text: The name, in one line or two.
        x: Where it is written, as a value.
        y: The same, up.
        side: Plotly's word for the side of that place on which it stands.
        is_far: Whether that is not its dot.
    """

    text: str
    x: float
    y: float
    side: str
    is_far: bool


def scales(
    axes: tuple[Axis, Axis], dots: Sequence[Dot], columns: int, heights: tuple[float, float]
) -> tuple[Scale, Scale]:
    """Return how dots lie along both axes of a panel.

    Args:
        axes: The axes.
        dots: The dots.
        columns: Panels beside each other.
        heights: The least and the largest value that the panels of the row show.
    """
    places = [float(dot.x) for dot in dots]
    is_log = axes[0].scale != "linear" and min(places, default=1.0) > 0
    across = Scale(min(places, default=0.0), max(places, default=1.0), WIDTH / columns, is_log)
    return across, Scale(*heights, HEIGHT)


def callouts(
    dots: Sequence[Dot], named: Sequence[Dot], lines: Sequence[Line], axes: tuple[Scale, Scale]
) -> dict[str, Callout]:
    """Return the places of names, each where it covers least of all before it.

    Args:
        dots: All dots.
        named: Those whose names are written, the most important first.
        lines: What is drawn among them.
        axes: Scales across and up.
    """
    marks = {dot.name: mark_of(dot, axes) for dot in dots}
    drawn = [("bar", _bar(dot, axes)) for dot in dots if dot.interval]
    drawn += [("line", box) for line in lines for box in pieces(line, axes)]
    placed = dict[str, Callout]()
    for dot in named:
        taken = [*drawn, *(("dot", box) for name, box in marks.items() if name != dot.name)]
        placed[dot.name], (box, end) = _cheapest(dot, taken, axes)
        drawn.append(("name", with_end(box, end)))
    return placed


def _cheapest(dot: Dot, taken: Marks, axes: tuple[Scale, Scale]) -> tuple[Callout, Place]:
    """Return the place for a name that costs least, the first of equal ones."""
    least, best = math.inf, None
    for distance, callout, place in places(dot, axes):
        # By themselves later places cost as much or more, whatever they cover.
        if best and distance >= least:
            break
        cost = distance + cost_of(place, taken, axes, callout.is_far, least - distance)
        # Where a dot is no place at all each costs NaN, and the first is as good as any.
        if best is None or cost < least:
            least, best = cost, (callout, place)
    assert best is not None
    return best


def mark_of(dot: Dot, axes: tuple[Scale, Scale]) -> Box:
    """Return the box of a dot."""
    x, y = axes[0].pixel(float(dot.x)), axes[1].pixel(float(dot.y))
    return x - 5, y - 5, x + 5, y + 5


def wrapped(name: str) -> str:
    """Return a name as it is written, a long one in two lines."""
    policy, point, variant = name.partition(".")
    return name if len(name) <= MOST_LETTERS or not point else f"{policy}.<br>{variant}"


def places(dot: Dot, axes: tuple[Scale, Scale]) -> Iterator[tuple[float, Callout, Place]]:
    """Yield the places for a name with what they cost by themselves, the least first."""
    across, up = axes
    x, y, text = across.pixel(float(dot.x)), up.pixel(float(dot.y)), wrapped(dot.name)
    for rank, side in enumerate(NEAR):
        callout = Callout(text, float(dot.x), float(dot.y), side, is_far=False)
        yield rank, callout, (beside((x, y), side, text), (x, y))
    for radius, (right, above) in itertools.product(RADII, WAYS):
        stretch = radius / math.hypot(right, above)
        end = x + stretch * right, y + stretch * above
        side = "middle right" if right > 0 else "middle left"
        callout = Callout(text, across.value(end[0]), up.value(end[1]), side, is_far=True)
        yield 10 + radius, callout, (beside(end, side, text), end)


def beside(end: tuple[float, float], side: str, text: str) -> Box:
    """Return the box of a text on one side of a place."""
    (x, y), (right, above), rows = end, NEAR[side], text.split("<br>")
    width, height = LETTER * max(map(len, rows)), LINE * len(rows)
    left = x + REACH if right > 0 else x - REACH - width if right < 0 else x - width / 2
    lower = y + REACH if above > 0 else y - REACH - height if above < 0 else y - height / 2
    return left, lower, left + width, lower + height


def with_end(box: Box, end: tuple[float, float]) -> Box:
    """Return the least box around a text and the place that it stands beside.

    Two of them that share nothing share nothing on a larger page: there their places part, and
    each keeps the size of its text.
    """
    (x, y), (left, lower, right, upper) = end, box
    return min(left, x), min(lower, y), max(right, x), max(upper, y)


def cost_of(
    place: Place, taken: Marks, axes: tuple[Scale, Scale], is_far: bool, most: float
) -> float:
    """Return what a place costs by all that its name would cover, or leave the panel by.

    Of one that costs more than ``most``, no more is added up.
    """
    box, end = place
    inside = (0.0, 0.0, axes[0].length, axes[1].length + HEADROOM)
    outside = (box[2] - box[0]) * (box[3] - box[1]) - shared(box, inside)
    hull, covered = with_end(box, end), WEIGHTS["name"] * outside
    for kind, other in taken:
        if covered > most:
            break
        # A line through its own dot leaves the dot by a side on which the name is not, and a dot at
        # the same height is beside it; a far name at another's dot would be taken for its name.
        is_near = not is_far if kind == "dot" else _holds(other, end)
        covered += WEIGHTS[kind] * shared(box if is_near else hull, other)
    return covered


def shared(one: Box, other: Box) -> float:
    """Return the area that two boxes share, in square pixels."""
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    return width * height if width > 0 and height > 0 else 0.0


def _holds(box: Box, place: tuple[float, float]) -> bool:
    return box[0] <= place[0] <= box[2] and box[1] <= place[1] <= box[3]


def _bar(dot: Dot, axes: tuple[Scale, Scale]) -> Box:
    x, (low, high) = axes[0].pixel(float(dot.x)), dot.interval or (0.0, 0.0)
    return x - 1, axes[1].pixel(low), x + 1, axes[1].pixel(high)


def pieces(line: Line, axes: tuple[Scale, Scale]) -> Iterator[Box]:
    """Yield boxes around the parts of a stepped line: to the right, then up."""
    places = [(axes[0].pixel(x), axes[1].pixel(y)) for x, y in zip(line.x, line.y, strict=True)]
    for (x, y), (next_x, next_y) in itertools.pairwise(places):
        yield x, y - 2, next_x, y + 2
        yield next_x - 2, min(y, next_y), next_x + 2, max(y, next_y)
