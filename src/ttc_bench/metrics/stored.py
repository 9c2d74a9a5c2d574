"""Stored tables of another version, read as far as they go."""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ttc_bench.errors import DataError
from ttc_bench.types import DataFrame

logger = logging.getLogger(__name__)

MOST_NAMES = 5
"""Columns that a message names; of more, how many there are."""


def as_of_now(
    tables: Sequence[DataFrame],
    columns: Mapping[str, Any],
    needed: Collection[str],
    what: str,
    remedy: str,
) -> list[DataFrame]:
    """Return tables with the columns of this version: what one lacks is null, which is logged.

    Args:
        tables: Tables of this version or another one.
        columns: Arrow's types of the columns of this version, by name.
        needed: Those without which a table says nothing.
        what: What the tables hold, e.g. ``scores``.
        remedy: How to have tables of this version.

    Raises:
        DataError: If a table lacks a column that is needed.
    """
    lacking = [[name for name in columns if name not in table] for table in tables]
    more = [[str(name) for name in table if name not in columns] for table in tables]
    if gone := sorted({name for names in lacking for name in names if name in needed}):
        raise DataError(
            f"a stored table of {what} has no column {gone[0]}: it is of a version that cannot be"
            f" read. {remedy}"
        )
    if any(lacking) or any(more):
        logger.warning(
            "%d of %d stored tables of %s are of another version: %s are null, %s left out. %s",
            sum(bool(less or extra) for less, extra in zip(lacking, more, strict=True)),
            len(tables),
            what,
            _told(lacking, "they lack"),
            _told(more, "they have beside"),
            remedy,
        )
    return [_filled(table, columns) for table in tables]


def _told(lists: Sequence[Sequence[str]], relation: str) -> str:
    """Return how many columns there are, and the first of their names."""
    names = sorted({name for names in lists for name in names})
    if not names:
        return "no columns"
    shown = ", ".join(names[:MOST_NAMES]) + (", ..." if len(names) > MOST_NAMES else "")
    return f"{len(names)} columns {relation} ({shown})"


def _filled(table: DataFrame, columns: Mapping[str, Any]) -> DataFrame:
    import pandas as pd

    if set(table) == set(columns):
        return table
    lacking = {name: _nothing(kind, table.index) for name, kind in columns.items()}
    return pd.DataFrame({name: table.get(name, lacking[name]) for name in columns})


def _nothing(kind: Any, index: Any) -> Any:
    """Return a column of nulls; of lists, which pandas keeps as objects, empty ones."""
    import pandas as pd
    import pyarrow as pa

    if pa.types.is_list(kind):
        return pd.Series([[] for _ in index], index, object)
    return pd.Series(pd.NA, index, pd.ArrowDtype(kind))
