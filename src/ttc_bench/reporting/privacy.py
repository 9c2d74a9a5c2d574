"""Privacy tasks stand apart: whether a model declines says nothing of how well it answers.

Where the right answer is a refusal, the benchmark of a score is named with `SUFFIX` behind it. All
that is told by benchmark then has a line, a table or a panel of its own for these tasks, and no
number holds both.
"""

from __future__ import annotations

from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.benchmarks.scoring.refusal import MEASURED
from ttc_bench.metrics.benchmark import REFUSAL_FIGURES, REFUSAL_JUDGED
from ttc_bench.types import DataFrame, Job

SUFFIX = ".privacy"

TOLD = {
    REFUSAL_JUDGED: "{benchmark}: a judge model says whether an answer refuses.",
    "refusal_detected": "{benchmark}: whether an answer refuses is told by a rule of this project,"
    f" on held-back sentences of precision {MEASURED['precision']} and recall {MEASURED['recall']};"
    " `kedro run --pipeline=judge --params=judge.refusals=true` asks a model instead.",
}
"""Who says whether an answer refuses, by the figure that is the reward."""


def apart(scores: DataFrame, pool: bool) -> DataFrame:
    """Return scores whose privacy tasks are a benchmark of their own, or all pooled.

    Scores that were told apart before are told anew.
    """
    if "reward_rule" not in scores:
        return scores
    plain = scores["benchmark"].astype("string").str.removesuffix(SUFFIX)
    is_private = scores["reward_rule"].isin(REFUSAL_FIGURES) & (not pool)
    return scores.assign(benchmark=plain.where(~is_private, plain + SUFFIX))


def group_of(job: Job, pool: bool = False) -> str:
    """Return the benchmark that the scores of a job are told under."""
    is_private = REWARD_RULES[job.reward_metric].gold == "refusal" and not pool
    return job.benchmark + (SUFFIX if is_private else "")


def is_privacy(benchmark: object) -> bool:
    """Return whether a benchmark holds the privacy tasks of another one."""
    return str(benchmark).endswith(SUFFIX)
