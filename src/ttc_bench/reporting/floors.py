"""Floors: what answering without looking scores, found from the jobs themselves.

A score means something only above these: one constant answer to everything, the best constant
answer of each task type, and the gold answer of another question of the same task.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import Any

from ttc_bench.benchmarks import benchmark_of
from ttc_bench.benchmarks.base import REFUSAL
from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.metrics.benchmark import score_texts
from ttc_bench.reporting.budgets import ALL
from ttc_bench.types import DataFrame, Job

COLUMNS = {
    "benchmark": "string",
    "task": "string",
    "n_jobs": "Int64",
    "n_tasks": "Int64",
    "source_jobs": "Int64",
    "source_tasks": "Int64",
    "constant": "Float64",
    "constant_answer": "string",
    "constant_by_task": "Float64",
    "shuffled": "Float64",
}
"""``constant`` is the mean reward of the best answer that is the same for all jobs of the row,
``constant_by_task`` of the best one of each task, ``shuffled`` of the gold answer of another job
of the task; null where no task has two jobs, as is ``constant_by_task`` of a whole of which a task
has one; all three are null where a judge gives the reward.
``n_tasks``, ``source_jobs`` and ``source_tasks`` say
what of the source a whole benchmark covers."""

UNIVERSAL = ("Answer: None", REFUSAL)
"""Constants that need no gold answer: they suit questions without an answer, and private ones."""

CANDIDATES = 8
"""Gold answers of a task that are tried as its constant, the most frequent first."""

SHIFTS = 2
"""Other jobs of the task whose gold answers each job is given."""

_UNKNOWN = dict.fromkeys(("constant", "constant_answer", "constant_by_task", "shuffled"))

Rewards = Mapping[tuple[str, str], float]


def floors(jobs: Sequence[Job], names: Mapping[str, str] | None = None) -> DataFrame:
    """Return the floors of each benchmark and task; see `COLUMNS`.

    Args:
        jobs: The jobs of the run.
        names: Benchmark of each job by its id, as the scores name it; ``None`` takes the jobs' own.
    """
    import pandas as pd

    by_benchmark: dict[str, list[Job]] = {}
    for job in jobs:
        by_benchmark.setdefault((names or {}).get(job.id, job.benchmark), []).append(job)
    rows = [
        {**row, "benchmark": name, **(_UNKNOWN if _awaits_judge(own) else {})}
        for name, own in by_benchmark.items()
        for row in _floors(own)
    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _floors(jobs: Sequence[Job]) -> list[dict[str, Any]]:
    """Return the rows of one benchmark: the whole first, then its tasks by name."""
    tasks: dict[str, list[Job]] = {}
    for job in jobs:
        tasks.setdefault(job.task, []).append(job)
    constants = {task: _constants(own) for task, own in tasks.items()}
    answers = [(job, text) for job in jobs for text in constants[job.task]]
    shifted = {task: _shifted(own) for task, own in tasks.items()}
    rewards = _rewards([*answers, *(pair for pairs in shifted.values() for pair in pairs)])
    rows = [
        _row(task, own, constants[task], shifted[task], rewards)
        for task, own in sorted(tasks.items())
    ]
    best = list(dict.fromkeys([*UNIVERSAL, *(row["constant_answer"] for row in rows)]))
    rewards |= _rewards([(job, text) for job in jobs for text in best])
    everything = [pair for pairs in shifted.values() for pair in pairs]
    whole = _row(ALL, jobs, best, everything, rewards)
    whole["n_tasks"] = len(tasks)
    if (population := jobs[0].population) is not None:
        whole["source_jobs"], whole["source_tasks"] = population
    # The best answer to a single question is the right one, which is no floor.
    told = all(row["n_jobs"] > 1 for row in rows)
    by_task = sum(row["constant"] * row["n_jobs"] for row in rows) / len(jobs)
    whole["constant_by_task"] = by_task if told else None
    return [whole, *rows]


def _awaits_judge(jobs: Sequence[Job]) -> bool:
    return any(REWARD_RULES[job.reward_metric].by_judge for job in jobs)


def _row(
    task: str,
    jobs: Sequence[Job],
    constants: Sequence[str],
    shifted: Sequence[tuple[Job, str]],
    rewards: Rewards,
) -> dict[str, Any]:
    means = {text: fmean(rewards[job.id, text] for job in jobs) for text in constants}
    best = max(means, key=lambda text: means[text])
    return {
        "task": task,
        "n_jobs": len(jobs),
        "constant": means[best],
        "constant_answer": best,
        "constant_by_task": means[best],
        "shuffled": fmean(rewards[job.id, text] for job, text in shifted) if shifted else None,
    }


def _constants(jobs: Sequence[Job]) -> list[str]:
    """Return the answers that are tried as the constant of a task."""
    golds = Counter(gold_answer(job) for job in jobs)
    return list(dict.fromkeys([*UNIVERSAL, *(text for text, _ in golds.most_common(CANDIDATES))]))


def _shifted(jobs: Sequence[Job]) -> list[tuple[Job, str]]:
    """Return each job with the gold answers of the next few."""
    shifts = range(1, min(SHIFTS, len(jobs) - 1) + 1)
    return [
        (job, gold_answer(jobs[(place + shift) % len(jobs)]))
        for shift in shifts
        for place, job in enumerate(jobs)
    ]


def _rewards(answers: Sequence[tuple[Job, str]]) -> dict[tuple[str, str], float]:
    """Return the reward of each (job id, text); one that cannot be read has none."""
    figures = score_texts({(job.id, text): job for job, text in answers})
    return {key: row["reward"] or 0.0 for key, row in figures.items()}


def gold_answer(job: Job) -> str:
    """Return a response that gives the gold answer in the form that the job's rule reads."""
    return benchmark_of(job).gold(job)
