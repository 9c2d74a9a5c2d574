"""Rows as dicts are those of pandas, in its types, and what is missing is nothing."""

from __future__ import annotations

import pandas as pd
import pyarrow as pa
import pytest

from ttc_bench.reporting.row_dicts import row_dicts

TABLE = pd.DataFrame(
    {
        "masked": pd.array([1, None, 3], "Int64"),
        "real": pd.array([0.5, None, float("inf")], "Float64"),
        "flag": pd.array([True, None, False], "boolean"),
        "text": pd.array(["a", None, ""], "string"),
        "arrow": pd.array(["a", None, "b"], pd.ArrowDtype(pa.string())),
        "arrow_real": pd.array([0.5, None, 2.0], pd.ArrowDtype(pa.float64())),
        "plain": [1.5, float("nan"), 2.0],
        "whole": [1, 2, 3],
        "yes": [True, False, True],
        "day": pd.to_datetime(["2026-01-01", None, "2026-01-03"]),
        "list": [[1, 2], None, []],
        "dict": [{"a": 1}, {}, None],
    }
)


@pytest.mark.parametrize("table", [TABLE, TABLE[:0], TABLE[["whole"]], TABLE[["flag", "list"]]])
def test_rows_are_those_of_pandas(table: pd.DataFrame) -> None:
    ours, theirs = row_dicts(table), table.to_dict("records")
    assert list(map(repr, ours)) == list(map(repr, theirs))
    for row, other in zip(ours, theirs, strict=True):
        assert {name: type(v) for name, v in row.items()} == {
            name: type(v) for name, v in other.items()
        }
