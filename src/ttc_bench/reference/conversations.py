"""Training conversations: the benchmarks' own chats, and the formats that policies use.

A conversation is a list of pieces of text; the loss is taken on the pieces marked for it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ttc_bench.benchmarks.sim import formats as f
from ttc_bench.benchmarks.sim.crm_tasks import CRM_TASKS
from ttc_bench.benchmarks.sim.problems import LEVELS, Problem
from ttc_bench.benchmarks.sim.tasks import TASKS, gold_text, question_text, system_text
from ttc_bench.benchmarks.sim.worf_tasks import WORF_TASKS
from ttc_bench.reference.tokenizer import END, turn_start

if TYPE_CHECKING:
    from ttc_bench.reference.recipe import DataParams


@dataclass(frozen=True)
class Piece:
    """A piece of a conversation as the tokenizer sees it.

    Attributes:
        text: Text, special tokens included.
        learn: Whether the loss is taken on it.
    """

    text: str
    learn: bool = False


Pieces = list[Piece]


def worked_text(problem: Problem, rng: random.Random) -> str:
    """Return the gold solution of a problem by a random way."""
    task = TASKS[problem.task]
    return task.gold(problem, rng.randrange(task.ways))


def opening(problem: Problem, chain: bool = True) -> Pieces:
    """Return the pieces up to where the assistant starts to write."""
    return [
        Piece(turn_start("system") + system_text(problem, chain) + END),
        Piece(turn_start("user") + question_text(problem) + END),
        Piece(turn_start("assistant")),
    ]


def plain(problem: Problem, rng: random.Random) -> Pieces:
    """Question and worked solution."""
    return [*opening(problem), Piece(worked_text(problem, rng) + END, True)]


def answer_only(problem: Problem, _rng: random.Random) -> Pieces:
    """Question and the answer line alone."""
    last = gold_text(problem).rsplit("\n", 1)[-1]
    return [*opening(problem, chain=False), Piece(last + END, True)]


def few_shot(problem: Problem, rng: random.Random) -> Pieces:
    """Worked examples in earlier turns, then the question."""
    task = TASKS[problem.task]
    shots: Pieces = []
    for _ in range(rng.choice((1, 1, 2))):
        example = task.problem(rng, rng.choice(LEVELS[:2]), "train")
        shots += [*opening(example)[1:], Piece(worked_text(example, rng) + END, True)]
    system, *rest = opening(problem)
    return [system, *shots, *rest, Piece(worked_text(problem, rng) + END, True)]


def draft_of(problem: Problem, rng: random.Random) -> tuple[str, int | None]:
    """Return a right or slipped solution and its first wrong step."""
    if rng.random() < 0.4:
        return worked_text(problem, rng), None
    return TASKS[problem.task].slipped(problem, rng)


def critique(problem: Problem, rng: random.Random) -> Pieces:
    """A draft, the request to check it, and the verdict."""
    draft, wrong = draft_of(problem, rng)
    return [
        *opening(problem),
        Piece(draft + END),
        Piece(turn_start("user") + f.CRITIQUE_PROMPT + END + turn_start("assistant")),
        Piece(f.critique_text(wrong) + END, True),
    ]


def revise(problem: Problem, rng: random.Random) -> Pieces:
    """A draft, its critique, and the solution written again."""
    return [
        *critique(problem, rng),
        Piece(turn_start("user") + f.REVISE_PROMPT + END + turn_start("assistant")),
        Piece(worked_text(problem, rng) + END, True),
    ]


def wait(problem: Problem, rng: random.Random) -> Pieces:
    """Budget forcing: a first pass, ``Wait``, and the steps gone over again."""
    draft, _ = draft_of(problem, rng)
    first = "\n".join(line for line in draft.split("\n") if not line.startswith(f.ANSWER_PREFIX))
    again = Piece(worked_text(problem, rng) + END, True)
    return [*opening(problem), Piece(f"{first}\n{f.WAIT}\n"), again]


def forced_answer(problem: Problem, rng: random.Random) -> Pieces:
    """Reasoning that is cut off, then ``Answer:``."""
    *steps, last = worked_text(problem, rng).split("\n")
    words = "\n".join(steps).replace("\n", " \n").split(" ")
    begun = " ".join(words[: rng.randint(0, len(words) - 1)]).replace(" \n", "\n")
    begun = f"{begun}\n" if begun and not begun.endswith("\n") else begun
    rest = last.removeprefix(f.ANSWER_PREFIX)
    return [*opening(problem), Piece(begun + f.ANSWER_PREFIX), Piece(rest + END, True)]


FORMATS: dict[str, Callable[[Problem, random.Random], Pieces]] = {
    "plain": plain,
    "answer_only": answer_only,
    "few_shot": few_shot,
    "critique": critique,
    "revise": revise,
    "wait": wait,
    "forced_answer": forced_answer,
}
"""All conversation formats by name."""

_CRM_ONLY = ("answer_only", "wait", "forced_answer")


def draw(rng: random.Random, data: DataParams, level: str | None = None) -> tuple[Problem, Pieces]:
    """Return a problem of the train side as a conversation of a random format.

    Args:
        rng: Source of randomness.
        data: Shares of formats, levels, benchmarks and tasks.
        level: The difficulty level; ``None`` draws one.
    """
    name = _weighted(rng, data.formats)
    level = level or _weighted(rng, data.levels)
    worf = rng.random() < data.worf_share and name not in _CRM_ONLY
    tasks = WORF_TASKS if worf else CRM_TASKS
    task = _weighted(rng, {task.name: data.tasks.get(task.name, 1.0) for task in tasks})
    problem = TASKS[task].problem(rng, level, "train")
    return problem, FORMATS[name](problem, rng)


def _weighted(rng: random.Random, shares: Mapping[str, float]) -> str:
    return rng.choices(list(shares), list(shares.values()))[0]
