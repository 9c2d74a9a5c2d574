"""Generated problems as benchmark samples; shared by ``crm_sim`` and ``worf_sim``."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from functools import lru_cache

from pydantic import Field, NonNegativeInt, PositiveInt

from ttc_bench.benchmarks.sim.formats import ANSWER_PREFIX, REFUSAL
from ttc_bench.benchmarks.sim.problems import Problem, Side, Task, stream
from ttc_bench.benchmarks.sim.tasks import gold_text, question_text, system_text
from ttc_bench.params import Params
from ttc_bench.types import Message, Sample

MOST_HELD = 2_000
"""Samples of the largest split that stays in memory for who asks for it again."""


class SimParams(Params):
    """Which generated samples to use.

    Attributes:
        seed: Seed of the generated split.
        count: Samples of the split.
    """

    seed: NonNegativeInt = 0
    count: PositiveInt = Field(default=480, le=100_000)


def generate(tasks: Sequence[Task], seed: int, count: int, side: Side) -> list[Problem]:
    """Return distinct problems of one side, spread evenly over tasks and levels.

    Any beginning of the list is spread too, so that a small limit covers everything.
    """
    problems: dict[str, Problem] = {}
    for problem in stream(tasks, seed, side):
        problems.setdefault(problem.key(), problem)
        if len(problems) == count:
            break
    return list(problems.values())


def load(tasks: Sequence[Task], params: SimParams) -> list[Sample]:
    """Return the scored (test) split."""
    make = _held if params.count <= MOST_HELD else _test
    return list(make(tuple(tasks), params.seed, params.count))


def _test(tasks: tuple[Task, ...], seed: int, count: int) -> tuple[Sample, ...]:
    problems = generate(tasks, seed, count, "test")
    return tuple(as_sample(p, f"{i:05d}", seed) for i, p in enumerate(problems))


_held = lru_cache(maxsize=4)(_test)


def examples(tasks: Sequence[Task], sample: Sample, count: int, seed: int) -> list[Sample]:
    """Return train-side examples, those of the sample's own task first."""
    pool = [as_sample(p, f"train-{i:05d}", seed) for i, p in enumerate(_train(tuple(tasks), seed))]
    random.Random(f"{seed}-{sample.id}").shuffle(pool)
    return sorted(pool, key=lambda s: (s.task != sample.task, s.difficulty == "hard"))[:count]


@lru_cache(maxsize=4)
def _train(tasks: tuple[Task, ...], seed: int) -> tuple[Problem, ...]:
    return tuple(generate(tasks, seed, 12 * len(tasks), "train"))


def as_sample(problem: Problem, name: str, seed: int) -> Sample:
    """Return a problem as a benchmark sample."""
    gold = gold_text(problem)
    return Sample(
        id=f"{problem.task}-{problem.level}-{name}",
        benchmark=problem.benchmark,
        task=problem.task,
        messages=(
            Message(role="system", content=system_text(problem)),
            Message(role="user", content=question_text(problem)),
        ),
        references=references(problem, gold),
        reward_metric=reward_metric(problem, gold),
        difficulty=problem.level,
        solution=gold,
        metadata={
            "seed": seed,
            "key": problem.key()[:16],
            "steps": len(gold.split("\n")),
        },
    )


def references(problem: Problem, gold: str) -> tuple[str | None, ...]:
    """Return the gold answers: a list for CRM questions, the whole plan for workflows."""
    if problem.benchmark == "worf_sim":
        return (gold,)
    answer = gold.rsplit(ANSWER_PREFIX, 1)[-1].strip()
    if answer in ("None", REFUSAL):
        return (None,)
    return tuple(answer.split(", "))


def reward_metric(problem: Problem, gold: str) -> str:
    """Return the official rule that scores a problem."""
    if problem.benchmark == "worf_sim":
        return "workflow"
    return "privacy_rejection" if gold.endswith(REFUSAL) else "exact_match"


def chance_by_task(samples: Sequence[Sample]) -> Mapping[str, float]:
    """Return, per task, the expected reward of a guess that knows the form of the answers.

    The guess draws from the candidates that the prompt shows (see `candidates`); an answer of
    several parts is hit when each part is.
    """
    rates: dict[str, list[float]] = {}
    for sample in samples:
        rates.setdefault(sample.task, []).append(guess_rate(sample))
    return {task: sum(hits) / len(hits) for task, hits in rates.items()}


_NUMBERS = 50.0
"""Numbers that a guess of a total, average or count of hours is taken to choose from."""


def guess_rate(sample: Sample) -> float:
    """Return the chance that an informed blind guess hits the answer of a CRM sample."""
    lines = (sample.solution or "").split("\n")
    groups = max(sum(": " in line for line in lines[:-1]), 1)
    answers = [a for a in sample.references if a is not None]
    rows = sample.messages[-1].content.count("\n")
    rates: dict[str, float] = {
        "handle_time": 1 / (groups * _NUMBERS),
        "best_region_identification": 1 / (groups * _NUMBERS),
        "transfer_count": 1 / (groups * _NUMBERS),
        "monthly_trend_analysis": 1 / (groups * _NUMBERS),
        "top_issue_identification": 1 / ((2 ** max(groups - 1, 1) - 1) * 5),
        "case_routing": 0.4 ** len(answers),
        "lead_qualification": 1 / 16,
        "named_entity_disambiguation": 1 / max(rows, 1),
        "policy_violation_identification": 0.5**groups,
        "private_customer_information": 0.45,
    }
    return rates.get(sample.task, 0.0)
