"""Plots of a run, one file each, registered where it is defined.

A plot is a function from tables of the aggregate stage to a description of a figure::

    @plot("task_heatmap", title="...", caption="...", tables=("all_scores",))
    def describe(scores: DataFrame) -> Figure: ...

It is then drawn by the report pipeline, shown in the report and logged to MLflow. Under a name
that ends in ``_plot`` its files need no entry in the catalog either.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from ttc_bench.registry import Registry
from ttc_bench.reporting.drawing.figure import Figure
from ttc_bench.types import DataFrame


@dataclass(frozen=True)
class Plot:
    """A plot of tables, drawn as a still figure and as an interactive one.

    Attributes:
        name: Name of its dataset; the interactive one is ``{name}_interactive``.
        title: Heading in the report.
        caption: How to read it.
        tables: Names of the tables it is drawn from, in the order of the arguments.
        describe: Tables to a description of the figure.
        rank: Its place in the report among others, from 0; the same ranks go by name.
    """

    name: str
    title: str
    caption: str
    tables: tuple[str, ...]
    describe: Callable[..., Figure]
    rank: int = 100

    @property
    def outputs(self) -> list[str]:
        """Names of the datasets that `draw` returns."""
        return [self.name, f"{self.name}_interactive"]

    def draw(self, *tables: DataFrame) -> tuple[Any, Any]:
        """Return the figure drawn with Matplotlib, and with Plotly."""
        from ttc_bench.reporting.drawing import interactive, still

        figure = self.describe(*tables)
        return still.draw(figure), interactive.draw(figure, self.title)


PLOTS: Registry[Plot] = Registry("plot", "ttc_bench.reporting.plots")
"""The plots of a run."""


def plot(name: str, **facts: Any) -> Callable[[Callable[..., Figure]], Plot]:
    """Return a decorator that makes a describing function the plot ``name`` of a run.

    Args:
        name: See `Plot`.
        facts: The other attributes of `Plot`.
    """
    return lambda describe: PLOTS.register(name)(Plot(name, describe=describe, **facts))


def plots() -> list[Plot]:
    """Return the plots of a run in the order in which a report shows them."""
    return sorted(PLOTS.values(), key=lambda plot: (plot.rank, plot.name))
