"""What the CRM task types are made of: words, ids, sums and how records are listed."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from typing import ClassVar

from typing_extensions import override

from ttc_bench.benchmarks.sim.formats import ANSWER_PREFIX
from ttc_bench.benchmarks.sim.problems import Slip, Task

# fmt: off
NAMES = (
    "Ana", "Ben", "Cara", "Dan", "Eva", "Finn", "Gina", "Hugo", "Ida", "Jack", "Kira", "Leo",
    "Mia", "Noah", "Olga", "Paul", "Quinn", "Rosa", "Sam", "Tina", "Uma", "Vera", "Will", "Xena",
    "Yara", "Zoe", "Adam", "Bella", "Carl", "Dora", "Emil", "Fay", "Gus", "Hana", "Ivan", "Jana",
    "Karl", "Lena", "Max", "Nina", "Omar", "Pia", "Ralf", "Sara", "Tom", "Ulf", "Vito", "Wanda",
)
STATES = (
    "AL", "AZ", "CA", "CO", "FL", "GA", "IL", "KY", "MA", "MI", "NC", "NJ", "NV", "NY", "OH",
    "OR", "PA", "TX", "UT", "WA",
)
MONTHS = (
    "January", "February", "March", "April", "May", "June", "July", "August", "September",
    "October", "November", "December",
)
PRODUCTS = (
    "router", "modem", "tablet", "laptop", "camera", "printer", "scanner", "server", "monitor",
    "keyboard", "headset", "speaker", "sensor", "charger", "phone", "switch",
)
ROLES = ("owner", "director", "manager", "buyer", "analyst", "intern", "engineer", "assistant")
RULES = ("refund", "discount", "credit", "bonus", "travel", "gift", "rebate", "fee")
PLANS = ("gold", "silver", "bronze", "basic")
CITIES = (
    "Oslo", "Rome", "Paris", "Lima", "Cairo", "Delhi", "Tokyo", "Quito", "Bern", "Dublin",
    "Lisbon", "Madrid", "Prague", "Vienna", "Warsaw", "Athens",
)
FIELDS = {
    "plan": PLANS, "city": CITIES, "device": PRODUCTS, "role": ROLES, "birthday": MONTHS,
    "state": STATES,
}
# fmt: on


BASES = 11
"""Lowest of the assumed means, from which distances are taken (see `_Grouped`)."""


def answer(*parts: object) -> str:
    """Return the answer line."""
    return f"{ANSWER_PREFIX} {', '.join(str(p) for p in parts)}"


def running_sum(values: Sequence[int], slip: Slip) -> tuple[str, int]:
    """Return a written-out sum, ``12+30=42+25=67``, and its result."""
    total = values[0] if values else 0
    text = str(total)
    for value in values[1:]:
        total = slip.number(total + value)
        text += f"+{value}={total}"
    return text, total


def direct_sum(values: Sequence[int], slip: Slip) -> tuple[str, int]:
    """Return a sum that is written out in one go, ``12+30+25=67``, and its result.

    A small model gets it wrong now and then, and another time for other numbers.
    """
    total = slip.number(sum(values))
    return f"{'+'.join(map(str, values))}={total}", total


def listed(rows: Iterable[str]) -> str:
    """Return records as a list, each behind a dash.

    A word has one token only behind a space; what is to be copied must not start a line.
    """
    return "\n".join(f"- {row}" for row in rows)


def distinct(rng: random.Random, pool: Sequence[str], count: int) -> list[str]:
    """Return some different words of a pool."""
    return rng.sample(list(pool), count)


def ids(rng: random.Random, letter: str, count: int, digits: int = 2) -> list[str]:
    """Return different record ids, e.g. ``K41``."""
    low = 10 ** (digits - 1)
    return [f"{letter}{n}" for n in rng.sample(range(low, 10 * low), count)]


class CrmTask(Task):
    """Base of the CRM task types."""

    benchmark: ClassVar[str] = "crm_sim"
    questions: ClassVar[tuple[str, ...]]

    def phrase(self, style: int, **facts: object) -> str:
        """Return a paraphrase of the question."""
        return self.questions[style % len(self.questions)].format(**facts)

    @override
    def text(self, lines: Sequence[str]) -> str:
        *steps, last = lines
        return f"{listed(steps)}\n{last}" if steps else last
