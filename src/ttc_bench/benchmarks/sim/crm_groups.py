"""CRM task types that compare the totals or averages of groups of numbers."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from typing_extensions import override

from ttc_bench.benchmarks.sim.crm_base import (
    BASES,
    MONTHS,
    NAMES,
    PRODUCTS,
    STATES,
    CrmTask,
    answer,
    direct_sum,
    distinct,
    listed,
)
from ttc_bench.benchmarks.sim.problems import Slip


class _Grouped(CrmTask):
    """Groups of numbers, of which the lowest or highest total or average wins.

    The sums are worked out with an assumed mean: every number is written as its distance from
    a base, and what wins is turned back. Any base will do, so that a problem has many right
    derivations, with other numbers in each: what a vote over samples lives on (2203.11171).
    """

    styles: ClassVar[int] = 3
    ways: ClassVar[int] = 10
    pool: ClassVar[tuple[str, ...]]
    mean: ClassVar[bool] = False
    highest: ClassVar[float] = 0.5
    """Share of the hard problems that ask for the highest; the others ask for the lowest."""
    sizes: ClassVar[tuple[tuple[tuple[int, int], tuple[int, int], int], ...]]
    """Groups, numbers of each, and highest number, per level."""

    @override
    def make(self, rng: random.Random, level: int) -> dict[str, Any]:
        groups, members, top = self.sizes[level]
        while True:
            names = self._names(rng, rng.randint(*groups))
            count = rng.randint(*members)
            values = {n: self._values(rng, count, top) for n in names}
            results = [self._result(v) for v in values.values()]
            if len(set(results)) == len(results):
                break
        rows = [[n, v] for n, group in values.items() for v in group]
        most = self.highest == 1 or (level == 2 and rng.random() < self.highest)
        return {"most": most, "rows": rows}

    def _names(self, rng: random.Random, count: int) -> list[str]:
        return distinct(rng, self.pool, count)

    def _values(self, rng: random.Random, count: int, top: int) -> list[int]:
        values = [rng.randint(BASES + self.ways + 1, top) for _ in range(count)]
        if self.mean:
            values[-1] += -sum(values) % count
        return values

    def _result(self, values: Sequence[int]) -> int:
        return sum(values) // len(values) if self.mean else sum(values)

    @override
    def ask(self, data: dict[str, Any], style: int) -> str:
        word = ("highest" if data["most"] else "lowest", "most" if data["most"] else "least")
        rows = listed(f"{n} {v}" for n, v in data["rows"])
        return f"{self.phrase(style, word=word[0], amount=word[1])}\n{rows}"

    @override
    def solve(self, data: dict[str, Any], slip: Slip, way: int = 0) -> list[str]:
        base = BASES + way
        groups = {
            name: slip.items([v for n, v in data["rows"] if n == name])
            for name in dict.fromkeys(n for n, _ in data["rows"])
        }
        lines, sums = [f"from {base}"], {}
        for name, values in groups.items():
            text, sums[name] = direct_sum([slip.number(v - base) for v in values], slip)
            # The name behind the sum: from a sum that wins, a small model finds the name there.
            lines.append(f"{name}: {text} {name}")
        pick = max if data["most"] else min
        best = slip.choice(pick(sums, key=lambda n: sums[n]), list(sums))
        text, result = self._back(sums[best], base, len(groups[best]), slip)
        return [*lines, f"{sums[best]} {best}: {text}", answer(best, result)]

    def _back(self, total: int, base: int, count: int, slip: Slip) -> tuple[str, int]:
        """Return the total (``49+51=100``: three numbers over 17) or average behind a sum."""
        text, rest = str(total), base * count
        if self.mean:
            total, rest = slip.number(total // count), base
            text += f"/{count}={total}"
        result = slip.number(total + rest)
        return f"{text}+{rest}={result}", result


class HandleTime(_Grouped):
    """Which agent has the lowest (highest) total handle time."""

    name: ClassVar[str] = "handle_time"
    pool: ClassVar[tuple[str, ...]] = NAMES
    sizes = (((2, 2), (2, 3), 299), ((3, 3), (3, 3), 499), ((4, 4), (3, 4), 999))
    questions = (
        "Which agent has the {word} total handle time? Return the agent and the total.",
        "Cases with minutes. Who spent the {amount} time in total? Return name and total.",
        "Find the agent whose handle times add up to the {word} sum. Return agent and sum.",
    )


class BestRegion(_Grouped):
    """Which state has the lowest (highest) average closure time."""

    name: ClassVar[str] = "best_region_identification"
    pool: ClassVar[tuple[str, ...]] = STATES
    mean: ClassVar[bool] = True
    sizes = (((2, 2), (2, 2), 299), ((3, 3), (2, 3), 499), ((4, 4), (3, 4), 999))
    questions = (
        "Which state has the {word} average closure time? Return state and average.",
        "Closed cases with hours. Which state takes the {amount} time on average? "
        "Return state and average.",
        "Find the state with the {word} mean hours to close. Return the state and the mean.",
    )


class TransferCount(_Grouped):
    """Which agent handed over the most cases, by weekly counts."""

    name: ClassVar[str] = "transfer_count"
    pool: ClassVar[tuple[str, ...]] = NAMES
    highest: ClassVar[float] = 1.0
    sizes = (((2, 2), (2, 3), 299), ((3, 3), (3, 3), 499), ((4, 4), (3, 4), 999))
    questions = (
        "Who made the most transfers? Return the agent with the top count, and the count.",
        "Cases pass from agent to agent. Which agent passed on the most? Return name and count.",
        "Find the highest transfer count. Return the agent who has it and the count.",
    )


class MonthlyTrend(_Grouped):
    """In which month were the most cases of a product opened, by weekly counts."""

    name: ClassVar[str] = "monthly_trend_analysis"
    highest: ClassVar[float] = 1.0
    pool: ClassVar[tuple[str, ...]] = MONTHS
    sizes = (((2, 2), (2, 3), 299), ((3, 3), (2, 3), 499), ((4, 4), (3, 4), 999))
    questions = (
        "In which month were the most {product} cases? Return the month and the count.",
        "Which month had the highest number of {product} cases? Return month and count.",
        "Find the peak of {product} cases. Return the month and the count.",
    )

    @override
    def make(self, rng: random.Random, level: int) -> dict[str, Any]:
        """Add a product that is not asked for to all problems but the easy ones."""
        data = super().make(rng, level)
        asked, other = distinct(rng, PRODUCTS, 2)
        months = dict.fromkeys(n for n, _ in data["rows"]) if level else ()
        more = {n: rng.randint(BASES, self.sizes[level][2]) for n in months}
        return {**data, "product": asked, "other": [other, more]}

    @override
    def _names(self, rng: random.Random, count: int) -> list[str]:
        return sorted(super()._names(rng, count), key=MONTHS.index)

    @override
    def ask(self, data: dict[str, Any], style: int) -> str:
        rows = []
        other, more = data["other"]
        for month in dict.fromkeys(n for n, _ in data["rows"]):
            rows += [f"{month} {data['product']} {v}" for n, v in data["rows"] if n == month]
            rows += [f"{month} {other} {more[month]}"] if month in more else []
        return f"{self.phrase(style, product=data['product'])}\n{listed(rows)}"
