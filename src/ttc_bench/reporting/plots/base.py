"""What all pictures share: their panels, the order of variants, and how text and axes look."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from ttc_bench.types import DataFrame

INK = "#222222"
FAINT = "#8a8a8a"

STYLE: Any = {
    "font.size": 10,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": FAINT,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.8,
    "xtick.color": FAINT,
    "ytick.color": FAINT,
    "xtick.labelcolor": INK,
    "ytick.labelcolor": INK,
    "text.color": INK,
    "axes.labelcolor": INK,
    # Names of models, tasks and scores are text, never formulas.
    "text.parse_math": False,
}
"""Matplotlib settings of every picture."""


@dataclass(frozen=True)
class Picture:
    """One picture of a run.

    Attributes:
        name: Name of its dataset; the interactive one is ``{name}_interactive``.
        title: Heading in the report.
        caption: How to read it.
        tables: Names of the tables it is drawn from, in the order of the arguments.
        still: Tables to a Matplotlib figure.
        interactive: Tables to a Plotly figure.
    """

    name: str
    title: str
    caption: str
    tables: tuple[str, ...]
    still: Callable[..., Any]
    interactive: Callable[..., Any]


class Panel(NamedTuple):
    """One model and benchmark.

    Attributes:
        row: Its place from the top.
        column: Its place from the left.
        model: Name of the model.
        benchmark: Name of the benchmark.
        title: What stands above it: the benchmark, and the model where there are several.
    """

    row: int
    column: int
    model: str
    benchmark: str
    title: str

    def of(self, table: DataFrame) -> DataFrame:
        """Return the rows of a table that belong here."""
        return table[(table["model"] == self.model) & (table["benchmark"] == self.benchmark)]


def panels(table: DataFrame) -> tuple[list[Panel], int, int]:
    """Return all panels, the number of rows (models) and of columns (benchmarks)."""
    models, benchmarks = sorted(set(table["model"])), sorted(set(table["benchmark"]))
    found = [
        Panel(row, column, model, name, name if len(models) == 1 else f"{name}, model {model}")
        for row, model in enumerate(models)
        for column, name in enumerate(benchmarks)
    ]
    return found, len(models), len(benchmarks)


def variants_of(table: DataFrame) -> list[tuple[str, str]]:
    """Return each (policy, variant) once: the baseline first, the others by name."""
    names = set(zip(table["policy"], table["variant"], strict=True))
    return sorted(names, key=lambda name: (name[0] != "baseline", name))


def label(name: tuple[str, str]) -> str:
    """Return ``policy.variant``."""
    return ".".join(name)


def valid(scores: DataFrame) -> DataFrame:
    """Return the scores of valid responses: a failed one has no quality and no latency."""
    return scores[scores["status"] == "ok"]


def numbers(column: Any) -> Any:
    """Return a column as an array of floats, of shape (rows,), without what is unknown."""
    import numpy as np

    values = column.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    return values[np.isfinite(values)]


def canvas(rows: int, columns: int, size: tuple[float, float], **shared: Any) -> tuple[Any, Any]:
    """Return a figure in `STYLE` and its axes, of shape (rows, columns).

    Args:
        rows: Number of panels from top to bottom; 0 gives one that says there is nothing.
        columns: Number from left to right.
        size: Width and height of a panel in inches.
        shared: ``sharex`` and ``sharey`` of the panels.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = max(rows, 1), max(columns, 1)
    figure = Figure(figsize=(size[0] * columns, size[1] * rows), dpi=130, layout="constrained")
    FigureCanvasAgg(figure)
    figure.set_facecolor("white")
    return figure, figure.subplots(rows, columns, squeeze=False, **shared)


def say(axes: Any, text: str) -> None:
    """Write into an empty panel why it is empty."""
    axes.set_axis_off()
    axes.text(0.02, 0.5, text, transform=axes.transAxes, color=FAINT, va="center")


def web_canvas(found: list[Panel], rows: int, columns: int, **shared: Any) -> Any:
    """Return a Plotly figure with a titled place for every panel."""
    from plotly.subplots import make_subplots

    return make_subplots(
        rows=max(rows, 1),
        cols=max(columns, 1),
        subplot_titles=[panel.title for panel in found] or None,
        **shared,
    )


def finish(figure: Any, title: str, height: int) -> Any:
    """Return a Plotly figure in the look of all of them."""
    figure.update_layout(
        template="plotly_white",
        title=title,
        height=height,
        font={"color": INK, "size": 12},
        hoverlabel={"namelength": -1},
    )
    return figure


def styled(draw: Callable[..., Any]) -> Callable[..., Any]:
    """Return a drawing function that runs in `STYLE`."""

    def drawn(*tables: DataFrame) -> Any:
        from matplotlib import rc_context

        with rc_context(STYLE):
            return draw(*tables)

    return drawn


def each(axes: Any, found: list[Panel], why: str) -> Iterator[tuple[Panel, Any]]:
    """Yield every panel with its axes, titled; without any, say why in the first place."""
    if not found:
        say(axes[0][0], why)
    for panel in found:
        own = axes[panel.row][panel.column]
        own.set_title(panel.title)
        yield panel, own


def name_rows(axes: Any, names: list[tuple[str, str]], shown: bool, step: int = -1) -> None:
    """Write the names of variants beside their rows, each in the colour of its policy.

    Args:
        axes: Matplotlib axes with a row per variant, at 0, ``step``, 2 ``step`` and so on.
        names: The variants from the top.
        shown: Whether the names are written; panels to the right share those of the first.
        step: Distance of the rows.
    """
    from ttc_bench.reporting.colours import colour

    places = [step * number for number in range(len(names))]
    axes.set_yticks(places, [label(name) if shown else "" for name in names])
    for tick, name in zip(axes.get_yticklabels(), names, strict=False):
        tick.set_color(colour(name[0]))


def log_axis(axes: Any) -> None:
    """Make the x axis logarithmic, with plain numbers at 1, 2 and 5 of each decade."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

    axes.set_xscale("log")
    axes.xaxis.set_major_locator(LogLocator(subs=(1.0, 2.0, 5.0), numticks=12))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.xaxis.set_minor_locator(NullLocator())
