"""Tables of scores as the score stage writes them, and the marts built from them."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from ttc_bench.metrics.base import all_metrics
from ttc_bench.pipelines.aggregate.nodes import (
    build_marts,
    collect_scores,
    confidence,
    name_run,
    show,
    write_sources,
)
from ttc_bench.reporting.decision import decide
from ttc_bench.reporting.floors import floors
from ttc_bench.reporting.params import AggregateParams, DecideParams
from ttc_bench.reporting.speeds import speeds
from ttc_bench.reporting.verdicts import verdicts

PARAMS = AggregateParams()


def scores(
    policy: str, variant: str, rewards: list[float | None], **metrics: float
) -> pd.DataFrame:
    """A table of scores as the score stage writes it; a reward of ``None`` is a failed row."""
    identity = {
        "job_id": [f"crm_sim/{number}" for number in range(len(rewards))],
        "benchmark": "crm_sim",
        "task": "handle_time",
        "difficulty": "easy",
        "model": "target",
        "engine": "local",
        "policy": policy,
        "variant": variant,
        "status": ["failed" if reward is None else "ok" for reward in rewards],
        "error_type": ["timeout" if reward is None else None for reward in rewards],
        "error_message": ["no answer in 60 s" if reward is None else None for reward in rewards],
        "replayed": False,
    }
    measured = {"latency_s": 1.0, "flops": 2e9, "total_tokens": 100.0, **metrics}
    failed = [reward is None for reward in rewards]
    measured = {name: _of_answers(value, failed) for name, value in measured.items()}
    columns = {spec.name: np.nan for spec in all_metrics()}
    reward = pd.array(rewards, dtype="Float64")
    return pd.DataFrame({**identity, **columns, **measured, "reward": reward})


def _of_answers(value: Any, failed: list[bool]) -> pd.Series:
    column = pd.Series(value, range(len(failed)))
    return (column.astype(float) if column.dtype.kind == "i" else column).mask(failed)


Marts = dict[str, pd.DataFrame]


def marts_of(
    table: pd.DataFrame,
    warehouse: Path | None = None,
    run_id: str = "run 1",
    params: AggregateParams = PARAMS,
) -> Marts:
    """Build all marts of a table of scores, in a warehouse of its own unless one is given."""
    named = name_run(table, run_id, {}, params)
    with TemporaryDirectory() as folder:
        warehouse = warehouse or Path(folder) / "warehouse.duckdb"
        _, rows = write_sources(named.assign(samples=None), PARAMS, warehouse)
        return build_marts(rows, warehouse)


@contextmanager
def in_use(warehouse: Path) -> Iterator[None]:
    """Let another process have a warehouse open."""
    code = "import duckdb, sys; c = duckdb.connect(sys.argv[1]); print(1, flush=True); input()"
    with subprocess.Popen(
        [sys.executable, "-c", code, str(warehouse)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as other:
        assert other.stdout is not None
        other.stdout.readline()
        yield
        other.communicate("\n")


def as_models(tables: Mapping[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    """Make each table the scores of a model of its own, by its name."""
    return {name: table.assign(model=name) for name, table in tables.items()}


def marts_of_each(tables: Mapping[str, pd.DataFrame]) -> dict[str, Marts]:
    """Build the marts of many models at once and part them again.

    Models are weighed apart, and a build takes seconds however little there is to build.
    """
    marts = marts_of(collect_scores(*tables.values()))
    return {
        name: {mart: rows[rows["model"] == name] for mart, rows in marts.items()} for name in tables
    }


def shown(table: pd.DataFrame, marts: Marts) -> str:
    """Return what the terminal shows of a table of scores and its marts."""
    ratios = speeds(table, PARAMS)
    words = verdicts(table, ratios, PARAMS)
    return show(
        marts["bench_summary"],
        confidence(table, PARAMS),
        ratios,
        floors([]),
        words,
        decide(words, DecideParams()),
        table,
        PARAMS,
    )
