"""Violins of the time a response takes."""

from __future__ import annotations

from ttc_bench.reporting.plots.base import Picture
from ttc_bench.reporting.plots.violins import Axis, interactive, still

TITLE = "Latency by variant"

AXIS = Axis("latency_s", "latency of a response (s, log scale)", "{:.3g} s", log=True)

PICTURE = Picture(
    name="latency_violins",
    title=TITLE,
    caption="Small dots are valid responses; the ringed dot and the number are their mean, the bar"
    " is its interval. Farther left is faster.",
    tables=("all_scores", "intervals"),
    still=still(AXIS),
    interactive=interactive(AXIS, TITLE),
)
