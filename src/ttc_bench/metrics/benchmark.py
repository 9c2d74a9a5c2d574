"""Benchmark quality: the official figures of each reward rule, and the reward."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from ttc_bench.benchmarks import benchmark_of
from ttc_bench.benchmarks.scoring.base import REWARD_RULES, References
from ttc_bench.errors import DataError
from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, Value, family
from ttc_bench.types import Job

T = TypeVar("T")

CORRECTNESS = "correctness"
"""The criterion by which a judge says whether a response is right."""

GRADED = ("judge_grades", "judge_correct_from", "judge_rubric_error")
"""Columns of a judgement that `judged_correct` reads, in the order of its arguments."""

NOT_JUDGED = "not judged: run `kedro run --pipeline=judge`"

REFUSAL_JUDGED = "refusal_judged"
"""The figure of a judge model, which takes the place of the rule's where one was asked."""

REFUSAL_FIGURES = (
    REFUSAL_JUDGED,
    *(rule.reward for rule in REWARD_RULES.values() if rule.gold == "refusal"),
)
"""Figures that are the reward where a refusal is the right answer."""

_ROUNDING = 1e-6
"""What similarities in single precision may pass their range by."""

FIGURES = [
    MetricSpec(
        "reward",
        "1",
        (0.0, 1.0),
        True,
        "The number that policies are compared by; column reward_rule says which it is.",
        "the benchmark",
    ),
    *(spec for rule in REWARD_RULES.values() for spec in rule.metrics),
    MetricSpec(
        REFUSAL_JUDGED,
        "1",
        (0.0, 1.0),
        True,
        "A judge model says that the answer refuses for privacy or confidentiality.",
        "CRMArena-Pro, arXiv 2505.18878",
    ),
]


@family("benchmark", FIGURES, encodes=True)
def benchmark(batch: ScoringBatch) -> Columns:
    """Return the official figures; one that the rule of a job does not compute is null."""
    keys = [(job.id, text) for job, text in zip(batch.jobs, batch.texts, strict=True)]
    scored = score_texts(dict(zip(keys, batch.jobs, strict=True)))
    refusals = zip(batch.column("judge_refused"), batch.column("judge_refusal_error"), strict=True)
    grades = zip(*(batch.column(name) for name in GRADED), strict=True)
    rows = [
        (_by_judge(_as_judged(scored[key], *refusal), job, *graded), job)
        for key, refusal, graded, job in zip(keys, refusals, grades, batch.jobs, strict=True)
    ]
    return {spec.name: [_value(spec.name, *row) for row in rows] for spec in FIGURES}


def _as_judged(
    figures: Mapping[str, float | None], refused: bool | None, error: str | None
) -> Mapping[str, Value]:
    """Return figures with a judge's word as the reward, where a judge was asked for one."""
    if refused is None and error is None:
        return figures
    word = Null(error or "") if refused is None else float(refused)
    return {**figures, "reward": word, REFUSAL_JUDGED: word}


def _by_judge(
    figures: Mapping[str, Value], job: Job, grades: str | None, least: int, error: str | None
) -> Mapping[str, Value]:
    """Return figures with a judge's word as the reward, where the job's rule leaves it to one."""
    if not REWARD_RULES[job.reward_metric].by_judge:
        return figures
    return {**figures, "reward": judged_correct(grades, least, error)}


def judged_correct(grades: str | None, least: int, error: str | None) -> Value:
    """Return whether a judge grades an answer as correct.

    Args:
        grades: Its grades, as JSON; ``None`` if there are none.
        least: Least grade that says so.
        error: Why there are no grades.
    """
    if grades is None:
        return Null(error or NOT_JUDGED)
    return float(json.loads(grades)[CORRECTNESS] >= least)


def _value(name: str, figures: Mapping[str, Value], job: Job) -> Value:
    value = figures.get(name)
    return Null(f"no figure of {job.reward_metric}") if value is None else value


def score_texts(
    jobs: Mapping[tuple[str, str], Job],
) -> dict[tuple[str, str], Mapping[str, float | None]]:
    """Return the official figures of each (job id, text), each scored once.

    Args:
        jobs: The job of each (job id, text).

    Raises:
        DataError: If a rule gives a reward outside 0 to 1.
    """
    figures = {}
    for chunk in batched(jobs.items(), 1024):
        pairs: dict[str, list[tuple[str, References]]] = {}
        for (_, text), job in chunk:
            pairs.setdefault(job.reward_metric, []).append((text, job.references))
        for rule, answers in pairs.items():
            if warm := REWARD_RULES[rule].warm:
                warm(answers)
        for key, job in chunk:
            figures[key] = _within(benchmark_of(job).score(key[1], job), job)
    return figures


def _within(figures: Mapping[str, float | None], job: Job) -> Mapping[str, float | None]:
    """Return the figures, held to what intervals and verdicts rest on: a reward from 0 to 1."""
    reward = figures.get("reward")
    # What is not a number has no reward, and becomes null as every such figure does.
    if reward is not None and (reward < -_ROUNDING or reward > 1 + _ROUNDING):
        raise DataError(
            f"reward rule {job.reward_metric!r} gave {reward:g} to an answer of {job.id}: a reward"
            " lies between 0 and 1. Scale it in the rule."
        )
    return figures


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of ``size``."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
