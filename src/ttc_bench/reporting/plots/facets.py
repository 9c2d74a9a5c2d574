"""What plots share: a panel per model and benchmark, and the order of the variants."""

from __future__ import annotations

from typing import Any, NamedTuple

from ttc_bench.reporting.colours import colour
from ttc_bench.reporting.drawing.figure import Axis
from ttc_bench.reporting.labels import natural
from ttc_bench.reporting.pairing import Name
from ttc_bench.types import BASELINE, DataFrame


class Facet(NamedTuple):
    """One model and benchmark.

    Attributes:
        row: Its place from the top, by model.
        column: Its place from the left, by benchmark.
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


def facets(table: DataFrame) -> list[Facet]:
    """Return every model with every benchmark of a table."""
    models, benchmarks = (sorted(table[name].unique()) for name in ("model", "benchmark"))
    return [
        Facet(row, column, model, name, name if len(models) == 1 else f"{name}, model {model}")
        for row, model in enumerate(models)
        for column, name in enumerate(benchmarks)
    ]


def variants_of(table: DataFrame) -> list[Name]:
    """Return each (policy, variant) once: the baseline first, the others by name."""
    names = table[["policy", "variant"]].drop_duplicates().itertuples(index=False, name=None)
    return sorted(names, key=lambda name: (name[0] != BASELINE[0], *map(natural, name)))


def variant_axis(names: list[Name]) -> Axis:
    """Return an axis with a row per variant, each name in the colour of its policy."""
    return Axis(names=[".".join(n) for n in names], colours=[colour(n[0]) for n in names])


def valid(scores: DataFrame) -> DataFrame:
    """Return the scores of valid responses: a failed one has no quality and no latency."""
    return scores[scores["status"] == "ok"]


def interval(low: Any, high: Any) -> tuple[float, float] | None:
    """Return the ends of an interval; ``None`` where one is not known, as of a single response."""
    import pandas as pd

    return None if pd.isna(low) or pd.isna(high) else (float(low), float(high))
