"""Violins of the reward of a response."""

from __future__ import annotations

from ttc_bench.reporting.plots.base import Picture
from ttc_bench.reporting.plots.violins import Axis, interactive, still

TITLE = "Quality by variant"

AXIS = Axis("reward", "reward of a response (the benchmark's own)", "{:.3f}", limits=(0.0, 1.0))

PICTURE = Picture(
    name="quality_violins",
    title=TITLE,
    caption="Small dots are valid responses; the ringed dot and the number are their mean, the bar"
    " is its interval. Farther right is better.",
    tables=("all_scores", "intervals"),
    still=still(AXIS),
    interactive=interactive(AXIS, TITLE),
)
