"""Time the statistics of the aggregate stage, on a table of scores made up for it.

    python tests/performance/bench_statistics.py [--variants 20] [--jobs 1000] [--repeats 3]

Every variant fails on a few jobs of its own, so that no two pairs have the same jobs:
the hard case.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd

from ttc_bench.dbt.describe import metrics
from ttc_bench.pipelines.aggregate.nodes import confidence
from ttc_bench.reporting.comparisons import comparisons
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.scaling import scaling

SAMPLES = 16


def table(variants: int, jobs: int, tasks: int, failing: float, seed: int = 0) -> pd.DataFrame:
    """Return scores of ``variants`` on ``jobs``, a third of them with a pool of samples."""
    rng = np.random.default_rng(seed)
    ease = rng.random(jobs)
    frames = []
    for number in range(variants):
        known = rng.random(jobs) >= failing
        values = {
            **{name: rng.gamma(2.0, 50.0, jobs) for name in metrics()},
            "reward": (rng.random(jobs) < ease + 0.01 * number).astype(float),
            "latency_s": rng.exponential(1 + 0.1 * number, jobs),
            "flops": rng.normal(2e9, 1e8, jobs),
            "total_tokens": rng.integers(50, 200, jobs).astype(float),
        }
        identity = {
            "job_id": [f"job/{job}" for job in range(jobs)],
            "task": [f"task {job % tasks}" for job in range(jobs)],
            "benchmark": "made_up",
            "model": "none",
            "policy": "baseline" if number == 0 else f"policy_{number}",
            "variant": "greedy" if number == 0 else "only",
            "status": np.where(known, "ok", "failed"),
            "samples": [note(rng, p) if number % 3 == 1 else None for p in ease],
        }
        numbers = {name: np.where(known, column, np.nan) for name, column in values.items()}
        frames.append(pd.DataFrame({**identity, **numbers}))
    return pd.concat(frames, ignore_index=True).convert_dtypes(dtype_backend="pyarrow")


def note(rng: np.random.Generator, ease: float) -> str:
    """Return a pool of samples of one job, as the score stage writes it."""
    right = rng.random(SAMPLES) < ease
    answers = np.where(right, 0, rng.integers(1, 6, SAMPLES))
    return json.dumps(
        {
            "pool": {"temperature": 0.8, "top_p": 1.0},
            "rewards": right.astype(float).tolist(),
            "answers": answers.tolist(),
            "scores": {"likelihood": rng.normal(size=SAMPLES).tolist()},
            "success": 1.0,
        }
    )


def seconds(
    node: Callable[[pd.DataFrame, AggregateParams], Any], scores: pd.DataFrame, repeats: int
) -> list[float]:
    """Return the wall time of each repeat."""
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        node(scores, AggregateParams())
        times.append(time.perf_counter() - start)
    return times


def main() -> None:
    """Print the median and the range of each node, by what a cluster is."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--variants", type=int, default=20)
    parser.add_argument("--jobs", type=int, default=1000)
    parser.add_argument("--failing", type=float, default=0.02)
    parser.add_argument("--repeats", type=int, default=3)
    chosen = parser.parse_args()
    for tasks in (10, 22, chosen.jobs // 2):
        scores = table(chosen.variants, chosen.jobs, tasks, chosen.failing)
        total = 0.0
        for node in (confidence, comparisons, scaling):
            times = seconds(node, scores, chosen.repeats)
            total += statistics.median(times)
            print(
                f"{chosen.variants} variants x {chosen.jobs} jobs, {tasks:4} task types, "
                f"{node.__name__:12} {statistics.median(times):6.2f} s "
                f"({min(times):.2f} to {max(times):.2f}, n = {len(times)})"
            )
        print(f"{'all three':>62} {total:6.2f} s")


if __name__ == "__main__":
    main()
