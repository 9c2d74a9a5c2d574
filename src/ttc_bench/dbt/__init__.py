"""The dbt project of the marts, and how to run it on a table of scores."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from ttc_bench.errors import DataError
from ttc_bench.types import DataFrame

PROJECT = Path(__file__).parent


def build(scores: DataFrame, marts: Sequence[str]) -> dict[str, DataFrame]:
    """Run and test the dbt project on ``scores`` and return some of its models by name.

    Everything dbt writes goes to a temporary folder.

    Raises:
        DataError: If a model or a test fails; the message names it.
    """
    import duckdb

    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        scores.to_parquet(work / "scores.parquet")
        database = work / "marts.duckdb"
        _run(
            work,
            {"TTC_BENCH_SCORES": str(work / "scores.parquet"), "TTC_BENCH_MARTS": str(database)},
        )
        with duckdb.connect(str(database)) as connection:
            return {name: connection.table(name).df() for name in marts}


def _run(work: Path, variables: Mapping[str, str]) -> None:
    from dbt.cli.main import dbtRunner

    arguments = ["--quiet", "--no-use-colors", "--log-level-file", "none", "build"]
    places = {
        "--project-dir": PROJECT,
        "--profiles-dir": PROJECT,
        "--target-path": work / "target",
        "--log-path": work / "logs",
    }
    for option, place in places.items():
        arguments += [option, str(place)]
    with _environment({**variables, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}):
        result = dbtRunner().invoke(arguments)
    if result.exception is not None:
        raise DataError(f"dbt could not run: {result.exception}") from result.exception
    if not result.success:
        outcomes: Any = result.result
        bad = [r for r in outcomes if str(r.status) not in ("success", "pass", "skipped")]
        raise DataError(
            "the scores do not pass the dbt project: "
            + "; ".join(f"{r.node.name}: {str(r.message).strip()}" for r in bad)
        )


@contextmanager
def _environment(variables: Mapping[str, str]) -> Iterator[None]:
    """Set environment variables for a while: dbt reads paths from nowhere else."""
    before = {name: os.environ.get(name) for name in variables}
    os.environ.update(variables)
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value
