"""Which variant for which cost, as text: Pareto-optimal ones, and the best choice per budget."""

from __future__ import annotations

from typing import Any, NamedTuple

from ttc_bench.reporting.row_dicts import full_name, group_key, row_dicts
from ttc_bench.types import DataFrame

ALL = "all"
"""The level of figures over all difficulty levels."""


class Cost(NamedTuple):
    """How a cost is shown: its name, the letter that stands for it, and its unit."""

    name: str
    letter: str
    factor: float
    form: str


COSTS = {
    "flops": Cost("FLOPs", "F", 1e-9, "{:.3g} GFLOP"),
    "latency_s": Cost("seconds", "s", 1.0, "{:.3g} s"),
    "total_tokens": Cost("tokens", "t", 1.0, "{:.0f} tokens"),
    "cost_usd": Cost("dollars", "$", 1.0, "${:.3g}"),
}
"""Costs by their name in the frontier, in the order in which they are shown."""


def pareto_places(frontier: DataFrame) -> dict[tuple[Any, ...], str]:
    """Return the place of each variant over all levels, by model, benchmark, policy and variant.

    ``F s`` says that it is Pareto-optimal by FLOPs and by seconds: no other variant is as good
    for less. ``< policy.variant`` says that it is by no cost, and which variant is better by the
    first of `COSTS` that is known.
    """
    places: dict[tuple[Any, ...], dict[str, str | None]] = {}
    for row in row_dicts(frontier[frontier["level"] == ALL]):
        dominated_by = None if row["on_frontier"] else str(row["dominated_by"])
        places.setdefault(group_key(row), {})[row["cost_metric"]] = dominated_by
    return {key: _place(dominated_by) for key, dominated_by in places.items()}


def _place(dominated_by: dict[str, str | None]) -> str:
    costs = [name for name in COSTS if name in dominated_by]
    letters = [COSTS[name].letter for name in costs if dominated_by[name] is None]
    return " ".join(letters) if letters else f"< {dominated_by[costs[0]]}"


def best_by_budget(choices: DataFrame) -> str:
    """Return one line per cost and, for its first one, per difficulty level.

    Args:
        choices: The compute-optimal choices of one model and benchmark.
    """
    if choices.empty:
        return "Best by budget: none, as no response is valid."
    lines = []
    first = next(name for name in COSTS if (choices["cost_metric"] == name).any())
    for name, cost in COSTS.items():
        of_cost = choices[choices["cost_metric"] == name]
        levels = sorted(set(of_cost["level"]) - {ALL}, key=_ease) if name == first else []
        for level in [ALL, *levels]:
            steps = of_cost[of_cost["level"] == level]
            if not steps.empty:
                label = cost.name if level == ALL else f"  {level}"
                lines.append(f"  {label:<10} {_steps(steps, cost)}")
    return "\n".join(["Best by budget (mean cost per response, reward):", *lines])


def _ease(level: str) -> tuple[int, str]:
    """Return the place of a level: the usual ones from easy to hard, then any other by name."""
    usual = ("easy", "medium", "hard")
    return (usual.index(level) if level in usual else len(usual), level)


def _steps(steps: DataFrame, cost: Cost) -> str:
    return " -> ".join(
        f"{cost.form.format(row['cost'] * cost.factor)} {full_name(row)} {row['quality']:.3f}"
        for row in row_dicts(steps.sort_values("budget"))
    )
