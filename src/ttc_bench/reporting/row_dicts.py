"""The rows of a table as dicts, for code that goes through them one by one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

from ttc_bench.types import GROUP, DataFrame

Row = Mapping[str, Any]

TEXTS = ("str", "string", "string[pyarrow]", "large_string[pyarrow]")
"""Names of the types of texts."""


def row_dicts(table: DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table, each as a dict by column name; ``pd.NA`` is ``None``.

    They are those of pandas' own ``to_dict("records")``, which goes through each column value by
    value, as only lists, times and the like ask for.
    """
    import pandas as pd

    if not all(map(_is_plain, table.dtypes)):
        return cast(list[dict[str, Any]], table.to_dict("records"))
    names, rows = list(table.columns), table.to_numpy(dtype=object).tolist()
    return [
        {name: None if value is pd.NA else value for name, value in zip(names, row, strict=True)}
        for row in rows
    ]


def typed_table(rows: Sequence[Row], columns: Mapping[str, Any]) -> DataFrame:
    """Return rows as a table; what a row does not tell is missing.

    Args:
        rows: The rows.
        columns: The columns that are kept, with pandas' names of their types.
    """
    import pandas as pd

    return pd.DataFrame(
        {name: pd.array([row.get(name) for row in rows], kind) for name, kind in columns.items()}
    )


def _is_plain(dtype: Any) -> bool:
    """Return whether a column holds numbers, flags or texts alone."""
    from pandas.api import types

    return types.is_numeric_dtype(dtype) or dtype.name in TEXTS


def group_key(row: Row) -> tuple[Any, ...]:
    """Return the values of `GROUP` in a row."""
    return tuple(row[name] for name in GROUP)


def full_name(row: Row, side: str = "") -> str:
    """Return ``policy.variant`` of a row; with a side such as ``_a``, of that side."""
    return f"{row[f'policy{side}']}.{row[f'variant{side}']}"
