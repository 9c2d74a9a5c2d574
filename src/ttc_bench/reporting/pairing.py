"""Scores side by side: one array per variant, aligned by job."""

from __future__ import annotations

from typing import Any, NamedTuple

from ttc_bench.statistics import clusters_of
from ttc_bench.types import DataFrame

Name = tuple[str, str]
"""Policy and variant."""

RUN_PAIR = ["model_before", "model_after", "benchmark"]
"""Columns of what is compared between two runs."""


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


def values_by_variant(part: DataFrame, metric: str, jobs: Jobs) -> dict[Name, Any]:
    """Return a metric of each variant as an array over the jobs; NaN where there is none."""
    import numpy as np

    column = part[metric].where(part["status"] == "ok")
    values = column.astype("Float64").to_numpy(dtype=float, na_value=np.nan)
    place = {job: number for number, job in enumerate(jobs.ids)}
    by_variant: dict[Name, Any] = {}
    rows = zip(part["policy"], part["variant"], part["job_id"], values, strict=True)
    for policy, variant, job, value in rows:
        own = by_variant.setdefault((policy, variant), np.full(len(place), np.nan))
        own[place[job]] = value
    return by_variant
