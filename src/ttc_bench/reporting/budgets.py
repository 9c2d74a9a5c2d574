"""Which variant for which cost, as text: Pareto-optimal ones, and the best choice per budget."""

from __future__ import annotations

from typing import Any, NamedTuple

from ttc_bench.reporting.row_dicts import Row, full_name, group_key, row_dicts
from ttc_bench.reporting.sheet import Sheet, known
from ttc_bench.types import DataFrame

ALL = "all"
"""The level of figures over all difficulty levels."""


class Cost(NamedTuple):
    """How a cost is shown: its name, its unit on an axis, and an amount of it."""

    name: str
    unit: str
    factor: float
    form: str

    def amount(self, value: float) -> str:
        """Return an amount with its unit."""
        text = self.form.format(value * self.factor)
        return "1 token" if text == "1 tokens" else text

    def bounded(self, value: float, low: Any, high: Any) -> str:
        """Return an amount with its interval; with none where that is not known, or no wider."""
        if not (known(low) and known(high)):
            return self.amount(value)
        figure = self.form[self.form.index("{") : self.form.index("}") + 1]
        ends = [figure.format(float(end) * self.factor) for end in (low, high)]
        bounds = "" if ends[0] == ends[1] else f" [{', '.join(ends)}]"
        return self.amount(value) + bounds


COSTS = {
    "flops": Cost("FLOPs", "GFLOP", 1e-9, "{:.3g} GFLOP"),
    "latency_s": Cost("seconds", "seconds", 1.0, "{:.3g} s"),
    "total_tokens": Cost("tokens", "tokens", 1.0, "{:.0f} tokens"),
    "cost_usd": Cost("dollars", "dollars", 1.0, "${:.3g}"),
}
"""Costs by their name in the frontier, in the order in which they are shown."""


def pareto_places(frontier: DataFrame) -> dict[tuple[Any, ...], str]:
    """Return the place of each variant over all levels, by model, benchmark, policy and variant.

    ``FLOPs, seconds`` says that it is Pareto-optimal by these two: no other variant is as good for
    less. One that is by no cost is told a variant that is ahead, by the first of `COSTS` that is
    known. All of it is said of means, and none of it shown: that is the verdicts' part.
    """
    places: dict[tuple[Any, ...], dict[str, str | None]] = {}
    for row in row_dicts(frontier[frontier["level"] == ALL]):
        dominated_by = None if row["on_frontier"] else str(row["dominated_by"])
        places.setdefault(group_key(row), {})[row["cost_metric"]] = dominated_by
    return {key: _place(dominated_by) for key, dominated_by in places.items()}


def _place(dominated_by: dict[str, str | None]) -> str:
    costs = [name for name in COSTS if name in dominated_by]
    optimal = [COSTS[name].name for name in costs if dominated_by[name] is None]
    return (
        ", ".join(optimal) if optimal else f"none: {dominated_by[costs[0]]} is ahead by its means"
    )


def budget_sheet(choices: DataFrame) -> Sheet:
    """Return the variants that a growing budget buys: by each cost, and by its levels the first.

    Args:
        choices: The compute-optimal choices of one model and benchmark.
    """
    rows = []
    paid = [name for name in COSTS if (choices["cost_metric"] == name).any()]
    for name in paid:
        of_cost = choices[choices["cost_metric"] == name]
        levels = sorted(set(of_cost["level"]) - {ALL}, key=_ease) if name == paid[0] else []
        for level in [ALL, *levels]:
            steps = of_cost[of_cost["level"] == level].sort_values("budget")
            rows += [
                [COSTS[name].name, level, *_step(row, COSTS[name])] for row in row_dicts(steps)
            ]
    return Sheet(("cost", "questions", "from", "buys", "mean reward"), rows)


def _ease(level: str) -> tuple[int, str]:
    """Return the place of a level: the usual ones from easy to hard, then any other by name."""
    usual = ("easy", "medium", "hard")
    return (usual.index(level) if level in usual else len(usual), level)


def _step(row: Row, cost: Cost) -> list[str]:
    return [cost.amount(row["cost"]), full_name(row), f"{row['quality']:.3f}"]
