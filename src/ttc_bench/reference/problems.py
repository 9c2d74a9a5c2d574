"""What a generated problem is, how it is split into train and test, and how slips are made."""

from __future__ import annotations

import hashlib
import json
import random
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, NamedTuple, TypeVar

from typing_extensions import override

from ttc_bench.reference.formats import STEP_SEPARATOR, solution_lines

Side = Literal["train", "test"]
LEVELS = ("easy", "medium", "hard")
TEST_SHARE = 10
"""One canonical problem in this many belongs to the test side."""

USUAL = 0.2
"""Share of derivations in the order of the facts beyond those that have it by chance, so that
greedy decoding has one order to prefer."""

T = TypeVar("T")


class Slip:
    """Passes intermediate results through, changing at most one of them.

    A solver hands every result it computes to a slip. The plain one returns it unchanged and
    so yields the gold derivation; one with a ``target`` changes the result of that number, and
    everything that the solver derives from it follows: a slip as a reasoner makes it.

    Where steps or operands may come in any order, the solver asks for one; the plain slip takes
    that of the facts, one with ``ways`` often another. Samples of a model that has seen several
    ways to an answer differ in more than their mistakes, which is what a vote over reasoning
    paths lives on (self-consistency, arXiv 2203.11171).

    Args:
        target: Which result to change, counted from 0; ``None`` changes nothing.
        rng: Source of the changes.
        ways: Source of the orders; ``None`` keeps the order of the facts.
    """

    def __init__(
        self,
        target: int | None = None,
        rng: random.Random | None = None,
        ways: random.Random | None = None,
    ) -> None:
        self.target = target
        self.rng = rng or random.Random(0)
        self.ways = ways
        self.count = 0

    def order(self, steps: Iterable[T]) -> list[T]:
        """Return steps that do not build on each other in the order they are taken."""
        found = list(steps)
        if self.ways is not None and self.ways.random() > USUAL:
            self.ways.shuffle(found)
        return found

    def turn(self, values: Iterable[T]) -> list[T]:
        """Return what one step reads or adds up, forwards or backwards."""
        found = list(values)
        backwards = self.ways is not None and self.ways.random() > 0.5 + USUAL / 2
        return found[::-1] if backwards else found

    def number(self, value: int) -> int:
        """Return a computed number."""
        if not self._hit():
            return value
        wrong = value + self.rng.choice([-10, -2, -1, 1, 1, -1, 2, 10])
        return wrong if wrong >= 0 else value + 1

    def items(self, values: Sequence[T]) -> list[T]:
        """Return a selection of records; a slip misses one or reads one twice."""
        found = list(values)
        if self._hit() and found:
            place = self.rng.randrange(len(found))
            if len(found) > 1 and self.rng.random() < 0.6:
                del found[place]
            else:
                found.insert(place, found[place])
        return found

    def choice(self, value: T, others: Sequence[T]) -> T:
        """Return a chosen thing; a slip chooses another one."""
        wrong = [o for o in others if o != value]
        return self.rng.choice(wrong) if self._hit() and wrong else value

    def _hit(self) -> bool:
        self.count += 1
        return self.count - 1 == self.target


class Backwards(Slip):
    """The plain slip, but each step reads and adds from the last value to the first."""

    @override
    def turn(self, values: Iterable[T]) -> list[T]:
        return list(values)[::-1]


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


class Mistake(NamedTuple):
    """Where a solution goes wrong first: the step, from 1, and the character, from 0."""

    step: int
    place: int


class Task(ABC):
    """A task type: makes problems, asks them and solves them.

    Attributes:
        name: Task type, as in the benchmark that it mirrors.
        benchmark: Benchmark that it belongs to.
        styles: Number of paraphrases of its question.
        free_order: Whether the steps before the answer may come in any order.
    """

    name: ClassVar[str]
    benchmark: ClassVar[str]
    styles: ClassVar[int] = 1
    free_order: ClassVar[bool] = False

    @abstractmethod
    def make(self, rng: random.Random, level: int) -> dict[str, Any]:
        """Return the facts of a new problem of a difficulty level (0, 1 or 2)."""

    @abstractmethod
    def ask(self, data: dict[str, Any], style: int) -> str:
        """Return the user message."""

    @abstractmethod
    def solve(self, data: dict[str, Any], slip: Slip) -> list[str]:
        """Return the lines of the solution, the answer last."""

    def problem(self, rng: random.Random, level: str, side: Side) -> Problem:
        """Return a new problem of one side of the split."""
        while True:
            data = self.make(rng, LEVELS.index(level))
            style = rng.randrange(self.styles)
            problem = Problem(self.benchmark, self.name, level, data, style)
            if problem.side() == side:
                return problem

    def gold(self, problem: Problem, ways: random.Random | None = None) -> str:
        """Return the gold solution as text, by another way where ``ways`` draws one."""
        return self.text(self.solve(problem.data, Slip(ways=ways)))

    def text(self, lines: Sequence[str]) -> str:
        """Return the lines of a solution as the model is to write them."""
        return "\n".join(lines)

    def slipped(
        self, problem: Problem, rng: random.Random, ways: random.Random | None = None
    ) -> tuple[str, int | None]:
        """Return a solution with one slip, and its first wrong step (None if none is wrong)."""
        probe = Slip()
        self.solve(problem.data, probe)
        slip = Slip(rng.randrange(max(probe.count, 1)), rng, ways)
        text = self.text(self.solve(problem.data, slip))
        mistake = self.mistake(problem, text)
        return text, mistake and mistake.step

    def mistake(self, problem: Problem, text: str) -> Mistake | None:
        """Return where a solution goes wrong first, or ``None`` if it is right.

        A step is right if it is one of the gold derivation, forwards or backwards, in its place
        (any place before the answer for tasks of free order) and not yet taken. A text that
        stops early is wrong at the step it lacks.
        """
        ways = (self.text(self.solve(problem.data, slip)) for slip in (Slip(), Backwards()))
        steps = list(zip(*map(solution_lines, ways), strict=True))
        left = list(range(len(steps)))
        place = 0
        for line in text.split(STEP_SEPARATOR):
            number = len(steps) - len(left) + 1
            due = left[:-1] if self.free_order and len(left) > 1 else left[:1]
            for step in solution_lines(line):
                found = next((i for i in due if step in steps[i]), None)
                if found is None:
                    right = (shared_start(line, way) for i in due for way in steps[i])
                    return Mistake(number, place + max(right, default=0))
                left.remove(found)
            place += len(line) + len(STEP_SEPARATOR)
        return Mistake(len(steps) - len(left) + 1, len(text)) if left else None


def shared_start(a: str, b: str) -> int:
    """Return how many characters two texts share at their start."""
    return next(
        (i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b))
    )


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
