"""Names beside dots: each takes the first place where it covers nothing else."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from ttc_bench.reporting.colours import legible
from ttc_bench.reporting.drawing.figure import Dot, Line


class Offset(NamedTuple):
    """A place for a name around its point.

    Attributes:
        x: To the right of the point, in typographic points.
        y: Above it.
        ha: Which side of the text is there: ``left``, ``right`` or ``center``.
        va: ``bottom``, ``top`` or ``center``.
    """

    x: int
    y: int
    ha: str
    va: str


NEAR = (
    Offset(7, 0, "left", "center"),
    Offset(-7, 0, "right", "center"),
    Offset(0, 8, "center", "bottom"),
    Offset(0, -8, "center", "top"),
    Offset(6, 6, "left", "bottom"),
    Offset(-6, 6, "right", "bottom"),
    Offset(6, -6, "left", "top"),
    Offset(-6, -6, "right", "top"),
)

RADII = (18, 30, 42, 56, 72, 90, 110, 132)
"""Distances of the places behind those, in typographic points."""

OFFSETS = (
    *NEAR,
    *(
        Offset(x, y, ha, "bottom" if y > 0 else "top" if y < 0 else "center")
        for r in RADII
        for y in (r, -r, r // 2, -r // 2)
        for x, ha in ((r // 3 + 4, "left"), (-r // 3 - 4, "right"), (r, "left"), (-r, "right"))
    ),
)
"""Places around a point, the best first."""

REACH = 10
"""Beyond this distance in typographic points a name gets a line to its point."""

PIECE = 6.0
"""A line is in the way of names by boxes around pieces of at most so many pixels."""


def place_labels(axes: Any, dots: Sequence[Dot], lines: Sequence[Line] = ()) -> None:
    """Write a name beside each dot, those of strong ones in bold.

    Greedy: in the order given, each takes the first of `OFFSETS` where it lies within the axes
    and covers neither a dot, nor a line, nor an earlier name. One that has no such place takes
    that in which it covers least.

    Args:
        axes: Matplotlib axes whose limits and layout are final.
        dots: The most important first; both places are numbers.
        lines: What is drawn among them.
    """
    from matplotlib.transforms import Bbox

    renderer = axes.figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    point = axes.figure.dpi / 72
    centres = [axes.transData.transform((dot.x, dot.y)) for dot in dots]
    taken = [box for line in lines for box in _along(axes, line)]
    taken += [Bbox.from_bounds(x - 4 * point, y - 4 * point, 8 * point, 8 * point)
              for x, y in centres]  # fmt: skip
    for dot, centre in zip(dots, centres, strict=True):
        name = _write(axes, dot, OFFSETS[0])
        size = _size(name, renderer)
        name.remove()
        places = ((o, _box(centre, o, size, point)) for o in OFFSETS)
        inside = [(o, box) for o, box in places if _is_inside(box, frame)]
        if not inside:
            continue
        covered = ((sum(_shared(box, other) for other in taken), o, box) for o, box in inside)
        offset, box = _least(covered)
        _write(axes, dot, offset)
        taken.append(box)


def _least(covered: Iterator[tuple[float, Offset, Any]]) -> tuple[Offset, Any]:
    """Return the first place that covers nothing; where there is none, what covers least."""
    least = None
    for share, offset, box in covered:
        if least is None or share < least[0]:
            least = share, offset, box
        if not share:
            break
    assert least is not None
    return least[1:]


def _along(axes: Any, line: Line) -> Iterator[Any]:
    """Yield boxes around pieces of a line, in pixels."""
    import numpy as np
    from matplotlib.transforms import Bbox

    corners = list(zip(line.x, line.y, strict=True))
    if line.steps:
        after = [(x, y) for (x, _), (_, y) in zip(corners[1:], corners, strict=False)]
        corners = [c for pair in zip(corners, after, strict=False) for c in pair] + corners[-1:]
    path = axes.transData.transform(corners) if corners else []
    for start, end in itertools.pairwise(path):
        count = max(1, int(np.ceil(np.abs(end - start).max() / PIECE)))
        for place in np.linspace(start, end, count + 1):
            x, y = place - PIECE / 2
            yield Bbox.from_bounds(x, y, PIECE, PIECE)


def _box(centre: Any, offset: Offset, size: tuple[float, float], point: float) -> Any:
    """Return the box of a name at a place, in pixels."""
    from matplotlib.transforms import Bbox

    x, y = centre[0] + offset.x * point, centre[1] + offset.y * point
    shares = {"left": 0.0, "bottom": 0.0, "center": 0.5, "right": 1.0, "top": 1.0}
    width, height = size
    corner = x - shares[offset.ha] * width, y - shares[offset.va] * height
    return Bbox.from_bounds(*corner, width, height)


def _is_inside(box: Any, frame: Any) -> bool:
    """Return whether a box is within the frame, which a name may leave a little to the right."""
    across = frame.x0 <= box.x0 and box.x1 <= frame.x1 + 4
    return bool(across and frame.y0 <= box.y0 and box.y1 <= frame.y1)


def _shared(box: Any, other: Any) -> float:
    """Return the area that two boxes share, in square pixels."""
    width = min(box.x1, other.x1) - max(box.x0, other.x0)
    height = min(box.y1, other.y1) - max(box.y0, other.y0)
    return float(width * height) if width > 0 and height > 0 else 0.0


def _write(axes: Any, dot: Dot, offset: Offset) -> Any:
    from matplotlib.patheffects import withStroke

    is_far = max(abs(offset.x), abs(offset.y)) > REACH
    name = axes.annotate(
        dot.name,
        (dot.x, dot.y),
        (offset.x, offset.y),
        textcoords="offset points",
        ha=offset.ha,
        va=offset.va,
        size=8.5 if dot.strong else 7.5,
        weight="bold" if dot.strong else "normal",
        color=legible(dot.colour),
        zorder=6,
        path_effects=[withStroke(linewidth=2, foreground="white")],
        arrowprops={"arrowstyle": "-", "lw": 0.5, "color": dot.colour} if is_far else None,
    )
    name.set_in_layout(False)
    return name


def _size(name: Any, renderer: Any) -> tuple[float, float]:
    """Return width and height of an annotation's text in pixels, without its line."""
    from matplotlib.text import Text

    name.update_positions(renderer)
    box = Text.get_window_extent(name, renderer)
    return float(box.width), float(box.height)
