"""Scaling curves: what fewer samples would have given, from the samples that were drawn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from ttc_bench.params import parse_params
from ttc_bench.pipelines.aggregate.comparisons import clusters_of
from ttc_bench.pipelines.aggregate.nodes import AggregateParams
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


def scaling(all_scores: DataFrame, params: dict[str, Any]) -> DataFrame:
    """Return reward against samples drawn, for every k up to n, without a new sample.

    Policies of equal sampling settings draw the same pool, so its largest set serves all curves:
    ``pass@k`` (chance that one of k is correct), ``majority@k`` (reward of the vote),
    ``best_of@k:likelihood`` and ``best_of@k:verifier`` (reward of the highest score), and
    ``oracle@k`` (reward of the best sample) where rewards are not just 0 and 1. Each value
    is the mean, over all subsets of size k, of what the policy would have answered, so it is
    unbiased, k = 1 is the mean of the samples and k = n is the policy's own result.

    Columns: ``model, benchmark, pool`` (the settings), ``curve, k, value, low, high`` (BCa band
    over jobs, clustered as in `comparisons`), ``simulation_error`` (standard error that
    drawing subsets adds; 0 where all are counted), ``n_jobs, n_samples``.
    """
    import pandas as pd

    settings = parse_params(AggregateParams, params, "aggregate")
    rows = []
    if "samples" in all_scores.columns:
        drawn = all_scores[(all_scores["status"] == "ok") & all_scores["samples"].notna()]
        for (model, benchmark), part in drawn.groupby(["model", "benchmark"], sort=True):
            for pool, found in _pools(part).items():
                for curve in _curves(found, settings):
                    rows += [
                        {"model": model, "benchmark": benchmark, "pool": pool, **row}
                        for row in curve
                    ]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _pools(part: DataFrame) -> dict[str, list[Pool]]:
    """Return the sets of samples by their settings; the largest set comes first."""
    found: dict[str, list[Pool]] = {}
    for (policy, variant), own in part.groupby(["policy", "variant"], sort=True):
        notes = {job: json.loads(n) for job, n in zip(own["job_id"], own["samples"], strict=True)}
        samples = max(len(note["rewards"]) for note in notes.values())
        whole = {job: note for job, note in notes.items() if len(note["rewards"]) == samples}
        tasks = dict(zip(own["job_id"], own["task"], strict=True))
        settings = next(iter(whole.values()))["pool"]
        label = ", ".join(f"{name}={value:g}" for name, value in sorted(settings.items()))
        pool = Pool(f"{policy}.{variant}", samples, whole, [tasks[job] for job in whole])
        found.setdefault(label, []).append(pool)
    for pools in found.values():
        pools.sort(key=lambda pool: (-pool.samples, -len(pool.jobs), pool.name))
    return dict(sorted(found.items()))


def _curves(pools: list[Pool], params: AggregateParams) -> Iterable[list[dict[str, Any]]]:
    """Yield the rows of each curve."""
    import numpy as np

    largest = pools[0]
    notes = largest.jobs.values()
    rewards = {reward for note in notes for reward in note["rewards"]}
    yield _curve("pass@k", largest, [_passed(note) for note in notes], params)
    votes = [_voted(note, params.seed) for note in notes]
    error = np.sqrt(sum(variance for _, variance in votes)) / len(votes)
    yield _curve("majority@k", largest, [value for value, _ in votes], params, error)
    if not rewards <= {0.0, 1.0}:
        best = [_picked(note["rewards"], note["rewards"]) for note in notes]
        yield _curve("oracle@k", largest, best, params)
    scored: dict[str, Pool] = {}
    for pool in pools:
        for name in next(iter(pool.jobs.values()))["scores"]:
            scored.setdefault(name, pool)
    for name, pool in sorted(scored.items()):
        picked = [_picked(note["scores"][name], note["rewards"]) for note in pool.jobs.values()]
        yield _curve(f"best_of@k:{name}", pool, picked, params)


def _passed(note: Mapping[str, Any]) -> Any:
    from ttc_bench.statistics.subsampling import pass_at_k_curve

    correct = sum(reward >= note["success"] for reward in note["rewards"])
    return pass_at_k_curve(correct, len(note["rewards"]))


def _voted(note: Mapping[str, Any], seed: int) -> Any:
    from ttc_bench.statistics.subsampling import majority_curve

    return majority_curve(note["answers"], note["rewards"], seed=seed)


def _picked(scores: list[float | None], rewards: list[float]) -> Any:
    import numpy as np

    from ttc_bench.statistics.subsampling import best_of_weights

    known = [-np.inf if score is None else score for score in scores]
    return best_of_weights(known) @ np.asarray(rewards, dtype=float)


def _curve(
    name: str, pool: Pool, by_job: list[Any], params: AggregateParams, error: Any = None
) -> list[dict[str, Any]]:
    import numpy as np

    from ttc_bench.statistics import mean_intervals

    _, clusters = clusters_of(pool.tasks, params.min_clusters)
    band = mean_intervals(
        np.stack(by_job), clusters, params.confidence, params.resamples, params.seed
    )
    return [
        {
            "curve": name,
            "k": k + 1,
            "value": band.mean[k],
            "low": band.low[k],
            "high": band.high[k],
            "simulation_error": 0.0 if error is None else error[k],
            "n_jobs": len(pool.jobs),
            "n_samples": pool.samples,
        }
        for k in range(pool.samples)
    ]
