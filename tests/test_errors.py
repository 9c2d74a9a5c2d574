"""What a user can mend is a line; what only the code can, keeps its traceback."""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pandas as pd
import pytest
from kedro.io import DatasetError, MemoryDataset
from kedro_datasets.json import JSONDataset
from kedro_datasets.pandas import ParquetDataset
from mlflow.exceptions import RestException
from sqlalchemy import create_engine, text
from tests.conftest import full_after

from ttc_bench.datasets import LinesDataset, TableDataset
from ttc_bench.errors import DataError, UserError, told


def raised(call: Callable[[], Any]) -> BaseException:
    """The error of a call, as it came."""
    try:
        call()
    except Exception as error:
        return error
    raise AssertionError("nothing was raised")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES, errno.ENAMETOOLONG])
def test_a_disk_is_told_wherever_its_error_stands(number: int) -> None:
    disk = OSError(number, os.strerror(number), "out.parquet")
    wrapped = DatasetError("Failed while saving data to dataset x.")
    wrapped.__cause__ = RuntimeError("in between")
    wrapped.__cause__.__cause__ = disk
    for error in (disk, wrapped):
        line = told(error)
        assert line is not None
        assert line.message.startswith(f"out.parquet: {os.strerror(number)}.")


def test_a_store_that_is_broken_or_closed_is_told(tmp_path: Path) -> None:
    broken = tmp_path / "broken.db"
    broken.write_bytes(b"no database" * 1000)

    def query() -> None:
        with create_engine(f"sqlite:///{broken}").connect() as store:
            store.execute(text("select a from t where a = :a"), {"a": 1})

    line = told(raised(query))
    assert line is not None
    assert "file is not a database" in line.message
    assert "SQL:" not in line.message
    assert "Background" not in line.message
    line = told(raised(lambda: duckdb.connect(str(broken))))
    assert line is not None
    assert str(broken) in line.message


def test_a_full_disk_is_told_by_the_store_that_meets_it(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "small.db", isolation_level=None) as store:
        store.execute("pragma max_page_count = 2")
        store.execute("create table t (a)")
        line = told(raised(lambda: store.execute("insert into t values (?)", ["x" * 99_999])))
    store.close()
    assert line is not None
    assert "database or disk is full" in line.message


def test_a_statement_that_is_wrong_is_a_fault_of_the_code() -> None:
    assert told(raised(lambda: duckdb.sql("select nothing from nowhere"))) is None
    with create_engine("sqlite://").connect() as store:
        assert told(raised(lambda: store.execute(text("select nothing from nowhere")))) is None


def test_what_a_dataset_raises_is_told_unless_it_is_ours(tmp_path: Path) -> None:
    away = ParquetDataset(filepath=str(tmp_path / "away.parquet"))
    line = told(raised(away.load))
    assert line is not None
    assert "away.parquet" in line.message
    assert "\n" not in line.message
    assert told(raised(lambda: away.save("no table"))) is None, "a node returned it"
    assert told(raised(MemoryDataset().load)) is not None
    behind = DatasetError("Failed while loading data from dataset x.")
    behind.__cause__ = DataError("line 3: no job.")
    assert told(behind) is behind.__cause__


def test_any_other_error_keeps_its_traceback() -> None:
    assert told(KeyError("x")) is None
    assert told(OSError("no number")) is None
    assert told(None) is None
    assert told(UserError("x")) is not None


@pytest.mark.parametrize(
    ("dataset", "data"),
    [
        (TableDataset, pd.DataFrame({"a": range(1000)})),
        (LinesDataset, "text\n" * 1000),
        (JSONDataset, {"key": "value" * 1000}),
    ],
)
def test_a_disk_that_fills_up_while_a_dataset_is_written_is_told(
    dataset: type[Any], data: Any, tmp_path: Path
) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"")
    own = dataset(filepath=str(path))
    with full_after(path, 100):
        error = raised(lambda: own.save(data))
    line = told(error)
    assert line is not None
    assert "File too large" in line.message
    assert "\n" not in line.message


@pytest.mark.parametrize("code", ["UNAUTHENTICATED", "PERMISSION_DENIED"])
def test_a_tracking_server_that_lets_nobody_in_is_told(code: str) -> None:
    line = told(RestException({"error_code": code, "message": "no entry"}))
    assert line is not None
    assert f"{code}: no entry" in line.message
    assert "MLFLOW_TRACKING_PASSWORD" in line.message
    fault_of_ours = RestException({"error_code": "INVALID_PARAMETER_VALUE", "message": "a name"})
    assert told(fault_of_ours) is None, "it keeps its traceback"
