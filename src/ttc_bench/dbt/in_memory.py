"""Models of the dbt project on any part of the scores, in memory and without dbt itself.

dbt takes seconds to start. Its models are SQL with the names of other models and of variables in
it, and those of the frontier need nothing else: the same files are read here.
"""

from __future__ import annotations

import atexit
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ttc_bench.dbt import PROJECT
from ttc_bench.types import DataFrame

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection
    from jinja2 import Environment

FRONTIER = ("stg_scores", "int_quality_cost", "frontier")
"""From scores to the frontier, each from those before it."""


def frontier_of(scores: DataFrame) -> DataFrame:
    """Return the mart ``frontier`` as it is on these scores.

    Args:
        scores: Rows of ``all_scores``, at least with the columns that ``stg_scores`` reads.
    """
    import pyarrow as pa

    models = ", ".join(f"{name} as materialized ({_sql(name)})" for name in FRONTIER)
    # What a cursor registers is seen by it alone: pages of several people are made at once.
    with _database().cursor() as cursor:
        # A name of the source and of the model may not be the same.
        cursor.register("source_scores", pa.Table.from_pandas(scores, preserve_index=False))
        frontier: DataFrame = cursor.execute(f"with {models} from {FRONTIER[-1]}").df()
        return frontier


@cache
def _database() -> DuckDBPyConnection:
    """Return an empty database for all calls: making one takes as long as a query."""
    import duckdb

    # What outlives the interpreter is told by DuckDB as a leak, in the terminal.
    atexit.register(_database.cache_clear)
    return duckdb.connect()


def columns_read() -> list[str]:
    """Return the columns of the scores that ``stg_scores`` reads."""
    identity = ("run_id", "config", "job_id", "benchmark", "task", "difficulty", "model",
                "engine", "policy", "variant", "status", "error_type", "error_message",
                "replayed")  # fmt: skip
    return [*identity, *_variables()["metrics"]]


@cache
def _sql(name: str) -> str:
    path = next(PROJECT.rglob(f"{name}.sql"))
    return _environment().from_string(Path(path).read_text(encoding="utf-8")).render()


@cache
def _variables() -> dict[str, Any]:
    import yaml

    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    return dict(project["vars"])


def _environment() -> Environment:
    """Return an environment in which a model finds what dbt would hand to it."""
    from jinja2 import Environment, StrictUndefined

    # SQL, from files of the project: nothing in it becomes HTML.
    environment = Environment(undefined=StrictUndefined, autoescape=False)
    environment.globals |= {
        "ref": lambda name: name,
        "source": lambda _, name: f"source_{name}",
        "var": lambda name: _variables()[name],
    }
    return environment
