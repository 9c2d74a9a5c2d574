"""Scaling curves: what fewer samples would have given, from the samples that were drawn."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any, NamedTuple

from ttc_bench.reporting.pairing import Layout, range_of
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.statistics import cluster_codes, mean_intervals
from ttc_bench.types import DataFrame

COLUMNS = {
    "model": "string",
    "benchmark": "string",
    "pool": "string",
    "curve": "string",
    "k": "Int64",
    "value": "Float64",
    "low": "Float64",
    "high": "Float64",
    "simulation_error": "Float64",
    "n_jobs": "Int64",
    "n_samples": "Int64",
}


class Pool(NamedTuple):
    """The samples of one variant, as scored; all jobs have the same number.

    Attributes:
        name: ``policy.variant`` that drew them.
        samples: Number per job.
        jobs: Notes by job id; see `ttc_bench.metrics.sampling.pool_note`.
        tasks: Task type of each job.
    """

    name: str
    samples: int
    jobs: dict[str, dict[str, Any]]
    tasks: list[str]


class Curve(NamedTuple):
    """Expected reward by number of samples.

    Attributes:
        name: What selects the answer.
        pool: The samples.
        by_job: One array per job, of shape (samples,).
        error: Standard error that drawn subsets add to the mean over jobs, of shape (samples,).
    """

    name: str
    pool: Pool
    by_job: list[Any]
    error: Any


def scaling(all_scores: DataFrame, params: AggregateParams) -> DataFrame:
    """Return reward against samples drawn, for every k up to n, without a new sample.

    Policies of equal sampling settings draw the same pool, so its largest set serves all curves:
    ``pass@k`` (chance that one of k is correct), ``majority@k`` (reward of the vote),
    ``best_of@k:likelihood`` and ``best_of@k:verifier`` (reward of the highest score), and
    ``oracle@k`` (reward of the best sample) where rewards are not just 0 and 1. Each value
    is the mean, over all subsets of size k, of what the policy would have answered, so it is
    unbiased, k = 1 is the mean of the samples and k = n is the policy's own result.

    Columns: ``model, benchmark, pool`` (the settings), ``curve, k, value, low, high`` (95% band
    over jobs, clustered as in `comparisons`), ``simulation_error`` (standard error that
    drawing subsets adds; 0 where all are counted), ``n_jobs, n_samples``.
    """
    import pandas as pd

    rows = []
    pooled = all_scores if "samples" in all_scores.columns else all_scores.assign(samples=None)
    for (model, benchmark), part in pooled.groupby(["model", "benchmark"], sort=True):
        clustered = Layout(part, params.min_clusters).cluster == "task"
        drawn = part[(part["status"] == "ok") & part["samples"].notna()]
        for label, pools in _pools(drawn).items():
            for curve in _curves(pools, params.seed):
                for row in _points(curve, clustered, params):
                    rows.append({"model": model, "benchmark": benchmark, "pool": label, **row})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _pools(part: DataFrame) -> dict[str, list[Pool]]:
    """Return the sets of samples by their settings; the largest set comes first."""
    by_settings: dict[str, list[Pool]] = {}
    for (policy, variant), own in part.groupby(["policy", "variant"], sort=True):
        notes = {job: json.loads(n) for job, n in zip(own["job_id"], own["samples"], strict=True)}
        samples = max(len(note["rewards"]) for note in notes.values())
        whole = {job: note for job, note in notes.items() if len(note["rewards"]) == samples}
        tasks = dict(zip(own["job_id"], own["task"], strict=True))
        settings = next(iter(whole.values()))["pool"]
        label = ", ".join(f"{name}={value:g}" for name, value in sorted(settings.items()))
        pool = Pool(f"{policy}.{variant}", samples, whole, [tasks[job] for job in whole])
        by_settings.setdefault(label, []).append(pool)
    for pools in by_settings.values():
        pools.sort(key=lambda pool: (-pool.samples, -len(pool.jobs), pool.name))
    return dict(sorted(by_settings.items()))


def _curves(pools: list[Pool], seed: int) -> Iterator[Curve]:
    """Yield every curve that sets of samples of equal settings allow; the largest comes first."""
    import numpy as np

    from ttc_bench.statistics.subsampling import majority_curve, pass_at_k_curve

    largest = pools[0]
    notes = list(largest.jobs.values())
    correct = [sum(reward >= note["success"] for reward in note["rewards"]) for note in notes]
    passed = [pass_at_k_curve(count, largest.samples) for count in correct]
    yield Curve("pass@k", largest, passed, np.zeros(largest.samples))
    votes = [
        majority_curve(note["answers"], note["rewards"], seed=(seed, number))
        for number, note in enumerate(notes)
    ]
    error = np.sqrt(sum(vote.variance for vote in votes)) / len(votes)
    yield Curve("majority@k", largest, [vote.value for vote in votes], error)
    if not {reward for note in notes for reward in note["rewards"]} <= {0.0, 1.0}:
        yield _picked("oracle@k", largest, [note["rewards"] for note in notes])
    scored: dict[str, Pool] = {}
    for pool in pools:
        for name in next(iter(pool.jobs.values()))["scores"]:
            scored.setdefault(name, pool)
    for name, pool in sorted(scored.items()):
        scores = [note["scores"][name] for note in pool.jobs.values()]
        yield _picked(f"best_of@k:{name}", pool, scores)


def _picked(name: str, pool: Pool, scores: list[list[float | None]]) -> Curve:
    """Return the curve of keeping the sample with the highest score; no score is the lowest."""
    import numpy as np

    from ttc_bench.statistics.subsampling import best_of_weights

    by_job = [
        best_of_weights([-math.inf if score is None else score for score in own])
        @ np.asarray(note["rewards"], dtype=float)
        for own, note in zip(scores, pool.jobs.values(), strict=True)
    ]
    return Curve(name, pool, by_job, np.zeros(pool.samples))


def _points(curve: Curve, clustered: bool, params: AggregateParams) -> Iterator[dict[str, Any]]:
    """Yield one row per k."""
    import numpy as np

    clusters = cluster_codes(curve.pool.tasks) if clustered else None
    bands = mean_intervals(np.stack(curve.by_job), clusters, params.confidence, range_of("reward"))
    for k in range(curve.pool.samples):
        yield {
            "curve": curve.name,
            "k": k + 1,
            "value": bands.mean[k],
            "low": bands.low[k],
            "high": bands.high[k],
            "simulation_error": curve.error[k],
            "n_jobs": len(curve.pool.jobs),
            "n_samples": curve.pool.samples,
        }
