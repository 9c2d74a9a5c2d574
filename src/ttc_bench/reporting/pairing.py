"""Scores side by side: one array per variant, aligned by job."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ttc_bench.statistics import clusters_of
from ttc_bench.types import DataFrame

if TYPE_CHECKING:
    from pandas import Series

    from ttc_bench.metrics.base import MetricSpec

Name = tuple[str, str]
"""Policy and variant."""

RUN_PAIR = ["model_before", "model_after", "benchmark"]
"""Columns of what is compared between two runs."""

BILLS = (
    "calls",
    "prompt_tokens",
    "completion_tokens",
    "draft_tokens",
    "verifier_tokens",
    "total_tokens",
    "flops",
    "usd",
)
"""Sums over the calls of a response, as ``bills`` of the dbt project has them. Where one is unknown
for an answer, the variant has none: those of the other answers would be of other questions."""


class Jobs(NamedTuple):
    """The jobs of one model and benchmark.

    Attributes:
        ids: Each once, in the order met.
        cluster: What a cluster is: ``task`` or ``job``.
        codes: The cluster of each job; ``None`` where each is its own.
    """

    ids: list[str]
    cluster: str
    codes: Any


def jobs_of(part: DataFrame, min_clusters: int) -> Jobs:
    """Return the jobs that the rows of one model and benchmark answer, failed ones included."""
    tasks = part.drop_duplicates("job_id").set_index("job_id")["task"]
    return Jobs(list(tasks.index), *clusters_of(tasks.tolist(), min_clusters))


def spec_of(metric: str) -> MetricSpec:
    """Return what a metric means, by its name."""
    from ttc_bench.metrics.base import all_metrics

    return next(spec for spec in all_metrics() if spec.name == metric)


def range_of(metric: str) -> tuple[float, float]:
    """Return the least and the largest value of a metric, infinite where it has none."""
    low, high = spec_of(metric).range
    return -math.inf if low is None else low, math.inf if high is None else high


def counted(part: DataFrame, metric: str) -> Series:
    """Return a metric of each response as it counts in means and comparisons.

    A failed response has the reward 0, for who asked got nothing: if it were left out, failing on
    the hard jobs would raise a mean. What it cost is not known.
    """
    import pandas as pd

    failure = 0.0 if metric == "reward" else pd.NA
    return part[metric].astype("Float64").mask(part["status"] != "ok", failure)


def values_by_variant(part: DataFrame, metric: str, jobs: Jobs) -> dict[Name, Any]:
    """Return a metric of each variant as an array over the jobs; NaN where there is none.

    A bill that an answer lacks is NaN for all jobs of the variant, see `BILLS`.
    """
    import numpy as np
    import pandas as pd

    values = counted(part, metric).to_numpy(dtype=float, na_value=np.nan)
    names = part[["policy", "variant"]].astype(object)
    codes = names.groupby(["policy", "variant"], sort=False).ngroup().to_numpy()
    table = np.full((codes.max(initial=-1) + 1, len(jobs.ids)), np.nan)
    places = pd.Index(jobs.ids).get_indexer(pd.Index(part["job_id"].astype(object)))
    table[codes, places] = values
    # In the order met, as the groups are.
    by_variant = dict(zip(map(tuple, names.drop_duplicates().to_numpy()), table, strict=True))
    if metric in BILLS:
        for name in _with_gaps(part, values):
            by_variant[name] = np.full(len(jobs.ids), np.nan)
    return by_variant


def answered_by_variant(part: DataFrame, jobs: Jobs) -> dict[Name, Any]:
    """Return whether each variant has an answer, by job: arrays of shape (jobs,)."""
    answered = part["status"].eq("ok").astype("Float64")
    table = values_by_variant(part.assign(answered=answered, status="ok"), "answered", jobs)
    return {name: flags == 1.0 for name, flags in table.items()}


def answered_by_either(part: DataFrame, jobs: Jobs, pairs: Sequence[tuple[Name, Name]]) -> Any:
    """Return whether a side of each pair has an answer, as flags of shape (jobs, pairs).

    Jobs that both sides failed count as equal in a mean over all jobs, as the means themselves
    have them; but that a variant is as good is shown by answers alone.

    Args:
        part: Scores of one model and benchmark.
        jobs: Its jobs.
        pairs: Which variants are compared.
    """
    import numpy as np

    answered = answered_by_variant(part, jobs)
    return np.column_stack([answered[one] | answered[other] for one, other in pairs])


def _with_gaps(part: DataFrame, values: Any) -> set[Name]:
    """Return the variants with an answer that lacks one of ``values``."""
    import numpy as np

    lacking = part[(part["status"] == "ok") & np.isnan(values)]
    return {(str(p), str(v)) for p, v in zip(lacking["policy"], lacking["variant"], strict=True)}


Answers = Mapping[Name, Mapping[str, Any]]
"""Digest of each variant's answer by job; a failed response has none."""


def answers_by_variant(part: DataFrame) -> Answers:
    """Return the digests of all answers; nothing where the scores hold none."""
    if "answer" not in part:
        return {}
    answers: dict[Name, dict[str, Any]] = {}
    rows = zip(part["policy"], part["variant"], part["job_id"], part["answer"], strict=True)
    for policy, variant, job, answer in rows:
        answers.setdefault((policy, variant), {})[job] = answer
    return answers


def are_identical(answers: Answers, first: Name, second: Name) -> bool:
    """Return whether each answer of the first is the second's, letter by letter."""
    own, base = answers.get(first, {}), answers.get(second, {})
    return bool(own) and all(isinstance(a, str) and base.get(job) == a for job, a in own.items())


def same_share(answers: Answers, first: Name, second: Name) -> float | None:
    """Return the share of jobs with two answers where they are the same, letter by letter."""
    own, base = answers.get(first, {}), answers.get(second, {})
    both = [
        (a, base[job])
        for job, a in own.items()
        if isinstance(a, str) and isinstance(base.get(job), str)
    ]
    return sum(a == b for a, b in both) / len(both) if both else None
