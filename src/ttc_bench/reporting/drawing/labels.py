"""Names beside dots: each takes the first place where it covers no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ttc_bench.reporting.colours import legible
from ttc_bench.reporting.drawing.figure import Dot

OFFSETS = (
    (7, 0, "left", "center"),
    (-7, 0, "right", "center"),
    (0, 8, "center", "bottom"),
    (0, -8, "center", "top"),
    (6, 6, "left", "bottom"),
    (-6, 6, "right", "bottom"),
    (6, -6, "left", "top"),
    (-6, -6, "right", "top"),
    (8, 18, "left", "bottom"),
    (-8, 18, "right", "bottom"),
    (8, -18, "left", "top"),
    (-8, -18, "right", "top"),
    (10, 30, "left", "bottom"),
    (-10, 30, "right", "bottom"),
    (10, -30, "left", "top"),
    (-10, -30, "right", "top"),
)
"""Places around a point in typographic points, with the alignment of the text; best first."""

REACH = 10
"""Beyond this distance a label gets a line to its point."""


def place_labels(axes: Any, dots: Sequence[Dot]) -> None:
    """Write names beside dots, those of strong ones in bold.

    Greedy: in the order given, each takes the first of `OFFSETS` where it lies within the axes
    and covers neither a dot nor an earlier name. One that has no such place is left out, unless
    its dot is strong.

    Args:
        axes: Matplotlib axes whose limits and layout are final.
        dots: The most important first; both places are numbers.
    """
    from matplotlib.transforms import Bbox

    renderer = axes.figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    size = 4 * axes.figure.dpi / 72
    centres = [axes.transData.transform((dot.x, dot.y)) for dot in dots]
    taken = [Bbox.from_extents(x - size, y - size, x + size, y + size) for x, y in centres]
    for dot in dots:
        for offset in OFFSETS:
            name = _write(axes, dot, offset)
            box = _text_box(name, renderer)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 + 4 and frame.y0 <= box.y0
            free = inside and box.y1 <= frame.y1 and not any(box.overlaps(o) for o in taken)
            if free or (dot.strong and offset is OFFSETS[-1]):
                taken.append(box)
                break
            name.remove()


def _write(axes: Any, dot: Dot, offset: tuple[int, int, str, str]) -> Any:
    from matplotlib.patheffects import withStroke

    dx, dy, ha, va = offset
    name = axes.annotate(
        dot.name,
        (dot.x, dot.y),
        (dx, dy),
        textcoords="offset points",
        ha=ha,
        va=va,
        size=8.5 if dot.strong else 7.5,
        weight="bold" if dot.strong else "normal",
        color=legible(dot.colour),
        zorder=6,
        path_effects=[withStroke(linewidth=2, foreground="white")],
        arrowprops={"arrowstyle": "-", "lw": 0.5, "color": dot.colour} if abs(dy) > REACH else None,
    )
    name.set_in_layout(False)
    return name


def _text_box(name: Any, renderer: Any) -> Any:
    """Return the extent of an annotation's text, without its line."""
    from matplotlib.text import Text

    name.update_positions(renderer)
    return Text.get_window_extent(name, renderer)
