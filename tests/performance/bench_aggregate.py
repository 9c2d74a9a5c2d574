"""How long SQL takes over many scores, and the most memory the process holds.

``python tests/performance/bench_aggregate.py`` makes a million score rows (all metrics, 20
variants, 4 benchmarks), and runs and tests the whole dbt project on them. It prints the seconds
of SQL by model and of the tests (dbt's execution times; two run at a time), wall seconds,
and the peak resident memory of the process. ``--rows`` takes another number.
"""

from __future__ import annotations

import argparse
import resource
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from ttc_bench.dbt import invoke, write_sources
from ttc_bench.dbt.describe import metrics
from ttc_bench.metrics.base import all_metrics
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.scaling import scaling

VARIANTS = 20
BENCHMARKS = 4


def write_scores(path: Path, rows: int, seed: int = 0) -> int:
    """Write scores, one variant at a time so that writing holds little; return their number."""
    jobs = rows // (VARIANTS * BENCHMARKS)
    rng = np.random.default_rng(seed)
    count = jobs * BENCHMARKS
    number = np.arange(count)
    benchmark = np.char.add("bench_", (number % BENCHMARKS).astype(str))
    job = np.char.add(np.char.add(benchmark, "/"), number.astype(str))
    writer = None
    for variant in range(VARIANTS):
        table = _variant(variant, benchmark, job, rng)
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    if writer is not None:
        writer.close()
    return count * VARIANTS


def _variant(
    variant: int, benchmark: np.ndarray, job: np.ndarray, rng: np.random.Generator
) -> pa.Table:
    count = len(job)
    ok = rng.random(count) > 0.01
    none = np.full(count, None)
    identity = {
        "run_id": "bench",
        "config": "bench",
        "model": "target",
        "engine": "local",
        "policy": "baseline" if variant == 0 else f"policy_{variant % 10}",
        "variant": "greedy" if variant == 0 else f"variant_{variant}",
        "task": "task",
    }
    columns = {
        **{name: np.full(count, value) for name, value in identity.items()},
        "benchmark": benchmark,
        "job_id": job,
        "difficulty": np.array(["easy", "medium", "hard"])[np.arange(count) % 3],
        "status": np.where(ok, "ok", "failed"),
        "error_type": np.where(ok, none, "timeout"),
        "error_message": np.where(ok, none, "no answer in 60 s"),
    }
    values = {name: rng.gamma(2.0, 50.0, count) for name in metrics()}
    values["reward"] = (rng.random(count) < 0.3 + 0.02 * variant).astype(float)
    other = [spec.name for spec in all_metrics() if spec.name not in values]
    numbers = {**values, **dict.fromkeys(other, values["flops"])}
    return pa.table(
        {
            **{name: pa.array(column, pa.string()) for name, column in columns.items()},
            "replayed": pa.array(np.zeros(count, dtype=bool)),
            **{name: pa.array(column, mask=~ok) for name, column in numbers.items()},
        }
    )


def main(rows: int) -> None:
    """Make the scores, build, and print the figures."""
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        made = write_scores(work / "made.parquet", rows)
        # As the catalog does: the node gets the table in memory and hands it to DuckDB as a file.
        scores = pd.read_parquet(work / "made.parquet", dtype_backend="pyarrow")
        empty = pd.DataFrame({"model": [], "benchmark": [], "samples": []})
        tables = {"scores": scores, "scaling_curves": scaling(empty, AggregateParams())}
        before = _peak_gib()
        start = time.perf_counter()
        warehouse = work / "warehouse.duckdb"
        write_sources(tables, warehouse)
        print(f"scores written for DuckDB in {time.perf_counter() - start:.2f} s")
        start = time.perf_counter()
        invoke("build", warehouse, work)
        wall = time.perf_counter() - start
        _print(made, _timings(work / "target" / "run_results.json"), wall)
        size = warehouse.stat().st_size / 2**20
        print(f"peak memory {_peak_gib():.2f} GiB ({before:.2f} with the table loaded)")
        print(f"warehouse {size:.0f} MiB")


def _timings(path: Path) -> pd.Series:
    import json

    results = json.loads(path.read_text())["results"]
    return pd.Series({r["unique_id"]: r["execution_time"] for r in results}).sort_values()


def _print(rows: int, seconds: pd.Series, wall: float) -> None:
    is_model = seconds.index.str.startswith("model.")
    for name, value in seconds[is_model].items():
        print(f"  {name.removeprefix('model.ttc_bench.'):24} {value:6.2f} s")
    models, tests = seconds[is_model].sum(), seconds[~is_model].sum()
    slowest = ", ".join(f"{n.split('.')[2]} {v:.2f} s" for n, v in seconds[~is_model][-3:].items())
    print(f"{rows} rows: models {models:.2f} s, tests {tests:.2f} s (slowest: {slowest})")
    print(f"SQL {models + tests:.2f} s, dbt {wall:.2f} s wall")


def _peak_gib() -> float:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2 ** (30 if sys.platform == "darwin" else 20)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    main(parser.parse_args().rows)
