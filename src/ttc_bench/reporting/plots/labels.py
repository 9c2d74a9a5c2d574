"""Labels beside points: each takes the first place where it covers no other."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

Label = tuple[str, float, float, str, bool]
"""Text, x and y of the point, colour, and whether it must be written."""

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


def place_labels(axes: Any, labels: Sequence[Label]) -> None:
    """Write labels beside their points, those that must be written in bold.

    Greedy: in the order given, each takes the first of `OFFSETS` where it lies within the axes
    and covers neither a point nor an earlier label. One that finds no such place is left out,
    unless it must be written.

    Args:
        axes: Matplotlib axes whose limits and layout are final.
        labels: The most important first.
    """
    from matplotlib.patheffects import withStroke
    from matplotlib.transforms import Bbox

    renderer = axes.figure.canvas.get_renderer()
    frame = axes.get_window_extent(renderer)
    places = [axes.transData.transform((x, y)) for _, x, y, _, _ in labels]
    size = 4 * axes.figure.dpi / 72
    taken = [Bbox.from_extents(x - size, y - size, x + size, y + size) for x, y in places]
    for text, x, y, colour, required in labels:
        for number, (dx, dy, ha, va) in enumerate(OFFSETS):
            far = abs(dy) > REACH
            note = axes.annotate(
                text,
                (x, y),
                (dx, dy),
                textcoords="offset points",
                ha=ha,
                va=va,
                size=8.5 if required else 7.5,
                weight="bold" if required else "normal",
                color=colour,
                zorder=6,
                path_effects=[withStroke(linewidth=2, foreground="white")],
                arrowprops={"arrowstyle": "-", "lw": 0.5, "color": colour} if far else None,
            )
            note.set_in_layout(False)
            box = note.get_window_extent(renderer) if not far else _text_box(note, renderer)
            inside = frame.x0 <= box.x0 and box.x1 <= frame.x1 + 4 and frame.y0 <= box.y0
            free = inside and box.y1 <= frame.y1 and not any(box.overlaps(o) for o in taken)
            if free or (required and number == len(OFFSETS) - 1):
                taken.append(box)
                break
            note.remove()


def _text_box(note: Any, renderer: Any) -> Any:
    """Return the extent of an annotation's text, without its line."""
    from matplotlib.text import Text

    note.update_positions(renderer)
    return Text.get_window_extent(note, renderer)
