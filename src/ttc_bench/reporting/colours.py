"""One colour per policy in every figure, told apart by colour-blind readers too."""

from __future__ import annotations

import zlib
from collections.abc import Sequence

COLOURS = {
    "baseline": "#212121",
    "self_consistency": "#1c14ee",
    "best_of_n": "#d70e73",
    "tree_search": "#780093",
    "self_refine": "#b963fe",
    "cascade": "#7d3906",
    "speculative": "#0fd611",
    "early_exit": "#01c3ef",
    "token_pruning": "#948e03",
    "kv_cache": "#4877ad",
    "elastic_batch": "#e093a2",
}
"""Found by a random search that makes the least distance of any two as large as it can be, in
OKLab, for normal, deuteranopic and protanopic eyes (simulated after Machado et al. 2009), at
lightnesses that can be read on white."""

SPARE = ("#4a025f", "#59364a", "#965c01", "#06756b", "#e320c8", "#c57c7a")
"""Colours of policies that have none of their own; each is as far from all above as was left, by
the same measure. A name keeps its colour, so two of them may share one; their names differ."""

MARKERS = ("o", "s", "^", "D", "v", "P")
"""Shapes of the variants of one policy, so that colour alone never tells two apart."""

SEQUENTIAL = "cividis"
"""Colour map of quantities, made for colour-blind readers (Nunez et al. 2018)."""


CONTRAST = 4.5
"""Least contrast of text to its ground that WCAG 2.1 asks for at level AA."""


DARK_RGB = (14, 17, 23)
"""The ground of a page in dark mode, red, green and blue."""


def colour(policy: str) -> str:
    """Return the colour of a policy as ``#rrggbb``; the same for a name wherever it is shown."""
    return COLOURS.get(policy) or SPARE[zlib.crc32(policy.encode()) % len(SPARE)]


def legible(code: str) -> str:
    """Return a colour for text: darkened, hue unchanged, until `CONTRAST` to white is reached.

    Args:
        code: As ``#rrggbb``.
    """
    parts = [int(code[at : at + 2], 16) for at in (1, 3, 5)]
    dark = next(
        shade
        for percent in range(100, -1, -1)
        if contrast(shade := tuple(part * percent // 100 for part in parts)) >= CONTRAST
    )
    return "#" + "".join(f"{part:02x}" for part in dark)


def contrast(rgb: Sequence[int]) -> float:
    """Return the contrast of a colour to white, from 1 to 21 (WCAG 2.1).

    Args:
        rgb: Red, green and blue, each 0 to 255, of shape (3,).
    """
    shares = [part / 255 for part in rgb]
    linear = [s / 12.92 if s <= 0.04045 else ((s + 0.055) / 1.055) ** 2.4 for s in shares]
    luminance = sum(w * part for w, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
    return 1.05 / (luminance + 0.05)


def marker(names: Sequence[tuple[str, str]], name: tuple[str, str]) -> str:
    """Return the shape of a variant by its place among those of its policy.

    Args:
        names: All (policy, variant) in their order.
        name: One of them.
    """
    own = [other for other in names if other[0] == name[0]]
    return MARKERS[own.index(name) % len(MARKERS)]


def on_dark(code: str, least: float = 3.0) -> str:
    """Return a colour for a dark ground: lightened, hue unchanged, until it stands out.

    Args:
        code: As ``#rrggbb``.
        least: Least contrast to `DARK`; 3 is what WCAG 2.1 asks of graphics.
    """
    parts = [int(code[at : at + 2], 16) for at in (1, 3, 5)]
    ground = contrast(DARK_RGB)
    shades = ([part + (255 - part) * step // 20 for part in parts] for step in range(21))
    light = next(shade for shade in shades if ground / contrast(shade) >= least)
    return "#" + "".join(f"{part:02x}" for part in light)
