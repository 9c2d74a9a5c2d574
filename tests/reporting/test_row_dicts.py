"""Rows as dicts are those of pandas, in its types, and what is missing is nothing."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pyarrow as pa
import pytest

from ttc_bench.reporting.row_dicts import row_dicts, typed_table

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
        "numpy": np.array([np.float64(1), np.int64(2), None], dtype=object),
        "arrow_list": pd.array([[1.5, None], None, []], pd.ArrowDtype(pa.list_(pa.float64()))),
        "words": pd.array(["a", None, "b"], "str"),
        "small": np.array([1, 2, 3], dtype="float32"),
    }
)


PLAIN = [
    "masked",
    "real",
    "flag",
    "text",
    "arrow",
    "arrow_real",
    "plain",
    "whole",
    "yes",
    "words",
    "small",
]


@pytest.mark.parametrize(
    "table",
    [TABLE, TABLE[:0], *(TABLE[[name]] for name in TABLE), TABLE[PLAIN], TABLE[PLAIN][:0]],
)
def test_rows_are_those_of_pandas(table: pd.DataFrame) -> None:
    ours, theirs = row_dicts(table), table.to_dict("records")
    assert list(map(repr, ours)) == list(map(repr, theirs))
    for row, other in zip(ours, theirs, strict=True):
        assert {name: type(v) for name, v in row.items()} == {
            name: type(v) for name, v in other.items()
        }


def test_a_typed_table_is_that_of_pandas() -> None:
    columns = {"text": "string", "n": "Int64", "share": "Float64", "flag": "boolean"}
    rows = [
        {"text": "a", "n": 1, "share": 0.5, "flag": True, "more": 1},
        {"text": None, "n": None, "share": np.nan, "flag": np.bool_(False)},
        {"n": np.int64(3), "share": np.float64("inf")},
    ]
    for some in (rows, rows[1:2], []):
        theirs = pd.DataFrame(some, columns=list(columns)).astype(columns)
        pd.testing.assert_frame_equal(typed_table(some, columns), theirs)
