"""Forest plot: the change of each variant between two runs, with its interval."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

from ttc_bench.reporting.colours import colour
from ttc_bench.reporting.drawing.figure import Axis, Dot, Dots, Figure, Panel
from ttc_bench.reporting.pairing import RUN_PAIR
from ttc_bench.reporting.plots import Plot
from ttc_bench.reporting.plots.facets import interval, variant_axis, variants_of
from ttc_bench.reporting.row_dicts import full_name, row_dicts
from ttc_bench.reporting.sheet import counted_as, known
from ttc_bench.reporting.speeds import ENDS
from ttc_bench.statistics.decision import EQUAL
from ttc_bench.types import DataFrame


class Change(NamedTuple):
    """A metric whose change is drawn: its column, the text along the axis, whether relative."""

    metric: str
    title: str
    relative: bool


CHANGES = (
    Change("reward", "change of mean reward, after minus before", False),
    Change("total_tokens", "change of tokens (% of before)", True),
)


def describe(changes: DataFrame) -> Figure:
    """Return a row of panels per model pair and benchmark, one panel per metric."""
    names = variants_of(changes)
    panels = []
    for row, ((before, after, benchmark), part) in enumerate(changes.groupby(RUN_PAIR, sort=True)):
        title = str(benchmark) if before == after else f"{benchmark}, {before} to {after}"
        for column, change in enumerate(CHANGES):
            dots = Dots(list(_dots(part, change)), along="x", width=2.0)
            axes = Axis(change.title, centred=True), variant_axis(names)
            panels.append(Panel(row, column, "" if column else title, *axes, [dots]))
    return Figure(panels, (4.6, 0.27 * len(names) + 1.2), "Nothing can be compared.")


def _dots(changes: DataFrame, change: Change) -> Iterator[Dot]:
    """Yield the change of each variant in the unit of the axis, where it is known."""
    column = "ratio" if change.relative else "difference"
    for row in row_dicts(changes[changes["metric"] == change.metric]):
        if not math.isfinite(row[column] if known(row[column]) else math.nan):
            continue
        values = (row[f"{column}{end}"] for end in ENDS)
        value, low, high = (100 * (v - 1) if change.relative and known(v) else v for v in values)
        name = full_name(row)
        moved = row["verdict"] in ("better", "worse", "cheaper", "dearer")
        decided = moved or row["verdict"] in EQUAL
        hover = f"{name}<br>{value:+.4g}<br>{row['verdict']}, {counted_as(row['n_pairs'], 'pair')}"
        tint = colour(row["policy"])
        yield Dot(value, name, name, tint, hover, interval(low, high), strong=moved, filled=decided)


CHANGES_PLOT = Plot(
    name="changes_plot",
    title="What changed between two runs",
    caption="Each point is a variant: after minus before, with its interval. Filled points are"
    " decided: better or worse, identical or as good, cheaper or dearer; hollow ones are not. Of"
    " the reward, farther right is better; of tokens, farther left.",
    tables=("run_changes",),
    describe=describe,
)
"""Of two runs, so that the compare pipeline draws it, and the report of one run does not."""
