"""Heat map: the mean reward of each variant on each task."""

from __future__ import annotations

from typing import Any

from ttc_bench.reporting.drawing.figure import Axis, Cells, Figure, Panel
from ttc_bench.reporting.pairing import Name
from ttc_bench.reporting.plots import plot
from ttc_bench.reporting.plots.facets import facets, valid, variant_axis, variants_of
from ttc_bench.types import DataFrame


@plot(
    "task_heatmap",
    in_catalog=True,
    title="Quality by variant and task",
    caption="Mean reward over valid responses; brighter is better, a dash has none. With few"
    " responses per cell these are hints, not findings.",
    tables=("all_scores",),
    rank=4,
)
def task_heatmap(scores: DataFrame) -> Figure:
    """Return the mean rewards, one row per variant and one column per task."""
    names = variants_of(scores)
    tasks = scores.groupby("benchmark")["task"].unique().map(sorted).to_dict()
    panels = [
        Panel(
            facet.row,
            facet.column,
            facet.title,
            Axis(names=tasks[facet.benchmark]),
            variant_axis(names),
            [Cells(mean_rewards(facet.of(scores), names, tasks[facet.benchmark]), "mean reward")],
        )
        for facet in facets(scores)
    ]
    widest = max(map(len, tasks.values()), default=1)
    return Figure(panels, (0.62 * widest + 3.0, 0.3 * len(names) + 1.9))


def mean_rewards(scores: DataFrame, names: list[Name], tasks: list[str]) -> Any:
    """Return the mean reward of valid responses, of shape (variants, tasks); NaN without any."""
    table = valid(scores).assign(reward=lambda own: own["reward"].astype("float64"))
    means = table.groupby(["policy", "variant", "task"], observed=True)["reward"].mean().unstack()
    return means.reindex(index=names, columns=tasks).to_numpy(dtype=float)
