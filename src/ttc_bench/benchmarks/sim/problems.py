"""What a generated problem is, how it is split into train and test, and how slips are made."""

from __future__ import annotations

import hashlib
import json
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, TypeVar

from ttc_bench.benchmarks.sim.formats import solution_lines

Side = Literal["train", "test"]
LEVELS = ("easy", "medium", "hard")
TEST_SHARE = 10
"""One canonical problem in this many belongs to the test side."""

T = TypeVar("T")


class Slip:
    """Passes intermediate results through, changing at most one of them.

    A solver hands every result it computes to a slip. The plain one returns it unchanged and
    so yields the gold derivation; one with a ``target`` changes the result of that number, and
    everything that the solver derives from it follows: a slip as a reasoner makes it.

    Args:
        target: Which result to change, counted from 0; ``None`` changes nothing.
        rng: Source of the changes.
    """

    def __init__(self, target: int | None = None, rng: random.Random | None = None) -> None:
        self.target = target
        self.rng = rng or random.Random(0)
        self.count = 0

    def number(self, value: int) -> int:
        """Return a computed number."""
        if not self._hit():
            return value
        wrong = value + self.rng.choice([-10, -2, -1, 1, 1, -1, 2, 10])
        return wrong if wrong >= 0 else value + 1

    def items(self, values: Sequence[T]) -> list[T]:
        """Return a selection of records; a slip misses one or reads one twice."""
        items = list(values)
        if self._hit() and items:
            place = self.rng.randrange(len(items))
            if len(items) > 1 and self.rng.random() < 0.6:
                del items[place]
            else:
                items.insert(place, items[place])
        return items

    def choice(self, value: T, others: Sequence[T]) -> T:
        """Return a chosen thing; a slip chooses another one."""
        wrong = [o for o in others if o != value]
        return self.rng.choice(wrong) if self._hit() and wrong else value

    def _hit(self) -> bool:
        self.count += 1
        return self.count - 1 == self.target


@dataclass(frozen=True)
class Problem:
    """One generated problem.

    Attributes:
        benchmark: ``crm_sim`` or ``worf_sim``.
        task: Task type.
        level: Difficulty level.
        data: The facts, JSON-like; they define the problem.
        style: Which paraphrase of the question is used; not part of the identity.
    """

    benchmark: str
    task: str
    level: str
    data: dict[str, Any]
    style: int

    def key(self) -> str:
        """Return the digest of the canonical problem: its task and facts, not its wording."""
        text = json.dumps([self.task, self.data], sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()

    def side(self) -> Side:
        """Return the side of the split that this problem belongs to."""
        return "test" if int(self.key()[:12], 16) % TEST_SHARE == 0 else "train"


class Task(ABC):
    """A task type: makes problems, asks them and solves them.

    Attributes:
        name: Task type, as in the benchmark that it mirrors.
        benchmark: Benchmark that it belongs to.
        styles: Number of paraphrases of its question.
        ways: Number of right derivations that a solution may follow.
    """

    name: ClassVar[str]
    benchmark: ClassVar[str]
    styles: ClassVar[int] = 1
    ways: ClassVar[int] = 1

    @abstractmethod
    def make(self, rng: random.Random, level: int) -> dict[str, Any]:
        """Return the facts of a new problem of a difficulty level (0, 1 or 2)."""

    @abstractmethod
    def ask(self, data: dict[str, Any], style: int) -> str:
        """Return the user message."""

    @abstractmethod
    def solve(self, data: dict[str, Any], slip: Slip, way: int = 0) -> list[str]:
        """Return the lines of the solution by one of the ways, the answer last."""

    def problem(self, rng: random.Random, level: str, side: Side) -> Problem:
        """Return a new problem of one side of the split."""
        while True:
            data = self.make(rng, LEVELS.index(level))
            style = rng.randrange(self.styles)
            problem = Problem(self.benchmark, self.name, level, data, style)
            if problem.side() == side:
                return problem

    def gold(self, problem: Problem, way: int = 0) -> str:
        """Return the gold solution by one of the ways, as text."""
        return self.text(self.solve(problem.data, Slip(), way))

    def text(self, lines: Sequence[str]) -> str:
        """Return the lines of a solution as the model is to write them."""
        return "\n".join(lines)

    def slipped(self, problem: Problem, rng: random.Random) -> tuple[str, int | None]:
        """Return a solution with one slip, and its first wrong step (None if none is wrong)."""
        way, probe = rng.randrange(self.ways), Slip()
        gold = self.solve(problem.data, probe, way)
        slip = Slip(rng.randrange(max(probe.count, 1)), rng)
        text = self.text(self.solve(problem.data, slip, way))
        return text, first_difference(text, self.text(gold))


def first_difference(text: str, gold: str) -> int | None:
    """Return the number (from 1) of the first step that is not the gold step, or ``None``.

    A way of deriving the answer is deterministic, so a step that differs is an error.
    A text that stops early is wrong at the step it lacks.
    """
    ours, theirs = solution_lines(text), solution_lines(gold)
    for number, (a, b) in enumerate(zip(ours, theirs, strict=False), start=1):
        if a != b:
            return number
    if len(ours) == len(theirs):
        return None
    return min(len(ours), len(theirs)) + 1


def stream(tasks: Sequence[Task], seed: int, side: Side) -> Iterator[Problem]:
    """Yield problems that go evenly through all tasks and levels, in a seeded order."""
    rng = random.Random(f"{side}-{seed}")
    cells = [(task, level) for level in LEVELS for task in tasks]
    while True:
        rng.shuffle(cells)
        for task, level in interleave(cells):
            yield task.problem(rng, level, side)


def interleave(cells: Sequence[tuple[Task, str]]) -> list[tuple[Task, str]]:
    """Return cells reordered so that every run of them mixes tasks and levels."""
    left, done = list(cells), list[tuple[Task, str]]()
    while left:
        tasks = Counter(task.name for task, _ in done)
        levels = Counter(level for _, level in done)
        best = min(left, key=lambda cell: (tasks[cell[0].name], levels[cell[1]]))
        left.remove(best)
        done.append(best)
    return done
