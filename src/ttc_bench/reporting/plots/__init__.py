"""Plots of a run, one file each, registered where it is defined.

A plot is a function from tables of the aggregate stage to a description of a figure::

    @plot("task_heatmap", title="...", caption="...", tables=("all_scores",))
    def describe(scores: DataFrame) -> Figure: ...

It is then drawn by the report pipeline, shown in the report and logged to MLflow. Its name ends in
``_plot``, or ``in_catalog=True`` says that the catalog has entries of its own for its two files.
"""

from __future__ import annotations

import inspect
import re
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
        """Return the figure drawn with Matplotlib, and with Plotly.

        Raises:
            TypeError: If the plot describes something else.
        """
        from ttc_bench.reporting.drawing import interactive, still

        figure = self.describe(*tables)
        if not isinstance(figure, Figure):
            raise TypeError(f"plot {self.name} describes {figure!r}: no figure.")
        return still.draw(figure), interactive.draw(figure, self.title)


PLOTS: Registry[Plot] = Registry("plot", "ttc_bench.reporting.plots")
"""The plots of a run."""


def plot(
    name: str, in_catalog: bool = False, **facts: Any
) -> Callable[[Callable[..., Figure]], Plot]:
    """Return a decorator that makes a describing function the plot ``name`` of a run.

    Args:
        name: See `Plot`.
        in_catalog: Whether the catalog has entries for its files.
        facts: The other attributes of `Plot`.

    Raises:
        TypeError: By the decorator, if the function does not take the tables or says that it
            returns something else than a `Figure`.
        ValueError: By the decorator, if the name is none of a dataset.
    """

    def register(describe: Callable[..., Figure]) -> Plot:
        own = Plot(name, describe=describe, **facts)
        _check(own, in_catalog)
        return PLOTS.register(name)(own)

    return register


def _check(own: Plot, in_catalog: bool) -> None:
    """Raise if a run could not draw a plot, or not keep it: it would only then be seen."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", own.name):
        raise ValueError(f"plot {own.name!r}: a name is lower case letters, digits and _.")
    if not in_catalog and not own.name.endswith("_plot"):
        raise ValueError(
            f"plot {own.name!r}: end its name in _plot, or give its files entries in the catalog"
            " and say in_catalog=True."
        )
    if isinstance(own.tables, str) or not own.tables:
        raise TypeError(f"plot {own.name}: tables is {own.tables!r}, no names of tables.")
    signature = inspect.signature(own.describe)
    try:
        signature.bind(*own.tables)
    except TypeError as error:
        raise TypeError(f"plot {own.name}: of {len(own.tables)} tables {error}.") from error
    returned = signature.return_annotation
    if getattr(returned, "__name__", str(returned)).rpartition(".")[2] != Figure.__name__:
        raise TypeError(f"plot {own.name}: it must be annotated to return a Figure.")


def plots() -> list[Plot]:
    """Return the plots of a run in the order in which a report shows them."""
    return sorted(PLOTS.values(), key=lambda plot: (plot.rank, plot.name))
