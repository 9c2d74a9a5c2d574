"""Workflow planning for ``worf_sim``: requests in plain words, plans in WorFBench's format.

A plan is a set of subtasks and what must come before what. The request tells it either as a
story of stages ("First ..., then ... and ... at the same time") or as labelled subtasks with
constraints in any order. Nodes are numbered in topological order, ties in order of mention, so
that the gold graph is unique and WorFEval's comparison by index is fair.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Any, ClassVar

from typing_extensions import override

from ttc_bench.benchmarks.sim.formats import WORF_HEADER
from ttc_bench.benchmarks.sim.problems import Slip, Task

# fmt: off
CITIES = (
    "Oslo", "Rome", "Paris", "Lima", "Cairo", "Delhi", "Tokyo", "Quito", "Bern", "Dublin",
    "Lisbon", "Madrid", "Prague", "Vienna", "Warsaw", "Athens",
)
PEOPLE = (
    "Ana", "Ben", "Cara", "Dan", "Eva", "Finn", "Gina", "Hugo", "Ida", "Jack", "Kira", "Leo",
    "Mia", "Noah", "Olga", "Paul", "Quinn", "Rosa", "Sam", "Tina",
)
THINGS = (
    "router", "modem", "tablet", "laptop", "camera", "printer", "scanner", "server", "monitor",
    "keyboard", "headset", "speaker", "sensor", "charger", "phone", "switch",
)
FILES = (
    "sales", "stock", "budget", "survey", "invoice", "contract", "payroll", "roadmap", "audit",
    "forecast",
)
# fmt: on
DOMAINS: dict[str, dict[str, tuple[str, tuple[str, ...], tuple[str, ...]]]] = {
    "travel": {
        "search_flights": (
            "search flights to {}",
            ("find flights to {}", "look for flights going to {}"),
            CITIES,
        ),
        "book_hotel": ("book a hotel in {}", ("reserve a room in {}", "get a hotel in {}"), CITIES),
        "get_weather": (
            "check the weather in {}",
            ("see how the weather is in {}", "look up the weather for {}"),
            CITIES,
        ),
        "rent_car": ("rent a car in {}", ("hire a car in {}", "get a rental car in {}"), CITIES),
        "find_museum": (
            "find museums in {}",
            ("look for museums in {}", "search for a museum in {}"),
            CITIES,
        ),
        "book_table": (
            "book a table in {}",
            ("reserve a table in {}", "get a restaurant table in {}"),
            CITIES,
        ),
        "send_plan": (
            "send the plan to {}",
            ("mail the itinerary to {}", "share the plan with {}"),
            PEOPLE,
        ),
        "apply_visa": (
            "apply for a visa for {}",
            ("get a visa for {}", "request a visa for {}"),
            PEOPLE,
        ),
    },
    "shop": {
        "search_product": ("search for a {}", ("look for a {}", "find a {} in the shop"), THINGS),
        "check_price": (
            "check the price of the {}",
            ("see what the {} costs", "look up the price of the {}"),
            THINGS,
        ),
        "read_reviews": (
            "read reviews of the {}",
            ("see what buyers say of the {}", "look at the {} reviews"),
            THINGS,
        ),
        "add_to_cart": (
            "add the {} to the cart",
            ("put the {} in the cart", "place the {} in my basket"),
            THINGS,
        ),
        "check_stock": (
            "check the stock of the {}",
            ("see if the {} is in stock", "find out whether the {} is available"),
            THINGS,
        ),
        "return_item": ("return the {}", ("send back the {}", "give the {} back"), THINGS),
        "pay_order": (
            "pay the order of {}",
            ("settle the order for {}", "pay for what {} ordered"),
            PEOPLE,
        ),
        "notify_buyer": ("notify {}", ("tell {} about it", "let {} know"), PEOPLE),
    },
    "office": {
        "open_file": ("open the {} file", ("load the {} file", "bring up the {} file"), FILES),
        "sum_table": (
            "sum up the {} table",
            ("total the {} table", "add up the {} figures"),
            FILES,
        ),
        "plot_chart": ("plot the {} chart", ("draw a chart of {}", "make a {} chart"), FILES),
        "write_report": (
            "write the {} report",
            ("draft a report on {}", "put together the {} report"),
            FILES,
        ),
        "back_up": (
            "back up the {} data",
            ("save a copy of the {} data", "make a backup of {}"),
            FILES,
        ),
        "email_person": ("email {}", ("write a mail to {}", "drop {} an email"), PEOPLE),
        "call_person": ("call {}", ("phone {}", "give {} a ring"), PEOPLE),
        "book_meeting": (
            "book a meeting with {}",
            ("set up a meeting with {}", "schedule time with {}"),
            PEOPLE,
        ),
    },
}
LABELS = "ABCDEFGHIJ"
_AFTER = (
    "{b} comes after {a}.",
    "{b} needs {a}.",
    "Do {a} before {b}.",
    "{b} must wait for {a}.",
    "{a} has to be done before {b}.",
)
_OPEN = ("First, {}.", "Start with this: {}.", "To begin, {}.")
_ONE = ("Then {}.", "After that, {}.", "Next, {}.", "Once that is done, {}.")
_MANY = (
    "Then {} at the same time.",
    "After that, in parallel {}.",
    "Next, {}, side by side.",
    "Once that is done, {} in any order.",
)
_FLIP = ("Then {b}, but before that {a}.", "Next, {b}; right before it, {a}.")


class Planning(Task):
    """Base of the workflow tasks: one per domain."""

    benchmark: ClassVar[str] = "worf_sim"
    styles: ClassVar[int] = 1000

    @override
    def make(self, rng: random.Random, level: int) -> dict[str, Any]:
        told = level < 1 or rng.random() < (0.7 if level == 1 else 0.4)
        stages = _stages(rng, level)
        count = sum(len(s) for s in stages)
        nodes = self._nodes(rng, count)
        if told:
            flips = [
                i
                for i in range(1, len(stages))
                if level and len(stages[i]) == len(stages[i - 1]) == 1 and rng.random() < 0.5
            ]
            flips = [f for f in flips if f - 1 not in flips and f > 1]
            return {"nodes": nodes, "stages": stages, "flips": flips}
        return {"nodes": nodes, "edges": _random_edges(rng, stages, count)}

    def _nodes(self, rng: random.Random, count: int) -> list[list[str]]:
        actions = DOMAINS[self.name]
        seen: list[list[str]] = []
        while len(seen) < count:
            name = rng.choice(list(actions))
            node = [name, rng.choice(actions[name][2])]
            if node not in seen:
                seen.append(node)
        return seen

    def edges(self, data: dict[str, Any]) -> list[tuple[int, int]]:
        """Return what must come before what, as indices into the nodes."""
        if "edges" in data:
            return [(a, b) for a, b in data["edges"]]
        pairs = zip(data["stages"], data["stages"][1:], strict=False)
        return [(a, b) for before, after in pairs for a in before for b in after]

    @override
    def ask(self, data: dict[str, Any], style: int) -> str:
        rng = random.Random(style)
        actions = DOMAINS[self.name]
        words = [rng.choice(actions[n][1]).format(arg) for n, arg in data["nodes"]]
        listed = {n for n, _ in data["nodes"]}
        listed |= set(rng.sample(list(actions), 3))
        tell = _tell_labels if "edges" in data else _tell_story
        task = tell(rng, data, words)
        return f"Task: {task}\nThe action list you can take: {', '.join(sorted(listed))}"

    @override
    def solve(self, data: dict[str, Any], slip: Slip, way: int = 0) -> list[str]:
        actions = DOMAINS[self.name]
        edges = slip.items(self.edges(data))
        order = _topological(len(data["nodes"]), edges)
        lines = []
        for number, index in enumerate(order, start=1):
            name, arg = data["nodes"][index]
            arg = slip.choice(arg, actions[name][2])
            lines.append(f"{number}: {actions[name][0].format(arg)}")
        place = {index: number for number, index in enumerate(order, start=1)}
        told = sorted((place[a], place[b]) for a, b in edges)
        told = slip.items(told)
        return [WORF_HEADER, *lines, _edge_line(len(order), told)]


def _stages(rng: random.Random, level: int) -> list[list[int]]:
    widths = [1] * rng.randint(*((3, 4), (2, 3), (2, 2))[level])
    for _ in range((0, 1, 2)[level]):
        widths.insert(rng.randint(1, len(widths)), 2 if level == 1 else rng.choice((2, 2, 3)))
    places = iter(range(99))
    return [[next(places) for _ in range(w)] for w in widths]


def _random_edges(
    rng: random.Random, stages: Sequence[Sequence[int]], count: int
) -> list[list[int]]:
    """Return a graph in which most nodes hang on one or two nodes of earlier stages.

    The nodes are relabelled at random, so that the order of mention says nothing.
    """
    names = list(range(count))
    rng.shuffle(names)
    edges = []
    for i, stage in enumerate(stages[1:], start=1):
        for node in stage:
            earlier = [n for s in stages[max(i - 2, 0) : i] for n in s]
            parents = rng.sample(earlier, min(len(earlier), rng.choice((1, 1, 2))))
            edges += [[names[p], names[node]] for p in parents]
    rng.shuffle(edges)
    return edges


def _tell_labels(rng: random.Random, data: dict[str, Any], words: Sequence[str]) -> str:
    listed = "; ".join(f"{LABELS[i]}) {w}" for i, w in enumerate(words))
    rules = [rng.choice(_AFTER).format(a=LABELS[a], b=LABELS[b]) for a, b in data["edges"]]
    return f"{listed}. {' '.join(rules)}"


def _tell_story(rng: random.Random, data: dict[str, Any], words: Sequence[str]) -> str:
    told, stages, flips = [], data["stages"], data["flips"]
    for i, stage in enumerate(stages):
        texts = [words[n] for n in stage]
        if i + 1 in flips:
            continue
        if i in flips:
            first = words[stages[i - 1][0]]
            told.append(rng.choice(_FLIP).format(a=first, b=texts[0]))
        elif i == 0:
            told.append(rng.choice(_OPEN).format(_join(texts)))
        else:
            told.append(rng.choice(_ONE if len(texts) == 1 else _MANY).format(_join(texts)))
    return " ".join(told)


def _join(texts: Sequence[str]) -> str:
    *rest, last = texts
    return f"{', '.join(rest)} and {last}" if rest else last


def _topological(count: int, edges: Sequence[tuple[int, int]]) -> list[int]:
    left, order = set(range(count)), []
    while left:
        ready = min(
            (n for n in left if not any(b == n and a in left for a, b in edges)),
            default=min(left),
        )
        order.append(ready)
        left.remove(ready)
    return order


def _edge_line(count: int, edges: Sequence[tuple[int, int]]) -> str:
    sources = [n for n in range(1, count + 1) if all(b != n for _, b in edges)]
    sinks = [n for n in range(1, count + 1) if all(a != n for a, _ in edges)]
    parts = [f"(START,{n})" for n in sources]
    parts += [f"({a},{b})" for a, b in edges]
    return "Edge: " + " ".join([*parts, *(f"({n},END)" for n in sinks)])


class Travel(Planning):
    """Trips."""

    name: ClassVar[str] = "travel"


class Shop(Planning):
    """Purchases."""

    name: ClassVar[str] = "shop"


class Office(Planning):
    """Office work."""

    name: ClassVar[str] = "office"


WORF_TASKS: tuple[Task, ...] = (Travel(), Shop(), Office())
"""All task types of ``worf_sim``."""
