"""What others stored: tables of another version as far as they go, columns by their types.

What is not of its type is told with the column and the response that it is of.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, TypeVar

from ttc_bench.errors import DataError
from ttc_bench.types import DataFrame

if TYPE_CHECKING:
    from pydantic import TypeAdapter

T = TypeVar("T")

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


def of_json(kind: TypeAdapter[T], response: Mapping[str, Any], column: str) -> T | None:
    """Return what a column of JSON holds; ``None`` where it is null, empty, or not there.

    Raises:
        DataError: If it holds something else.
    """
    text = response.get(column)
    return valid(kind, text, response, column) if isinstance(text, str) and text else None


def valid(kind: TypeAdapter[T], value: Any, response: Mapping[str, Any], column: str) -> T:
    """Return a value of a column as its type has it; text is JSON.

    Raises:
        DataError: If it is of another one.
    """
    from pydantic import ValidationError

    try:
        is_json = isinstance(value, str)
        return kind.validate_json(value) if is_json else kind.validate_python(value)
    except ValidationError as error:
        first = error.errors()[0]
        raise damaged(response, column, first["loc"], first["msg"]) from error


def damaged(
    row: Mapping[str, Any], column: str, at: Sequence[str | int], why: str, part: str = ""
) -> DataError:
    """Return what is told of a column.

    Args:
        row: The response, or a row of its trace.
        column: The column.
        at: Where in it.
        why: What is wrong there.
        part: What of the response it is a column of, if not of itself.
    """
    where = f" at {'.'.join(map(str, at))}" if at else ""
    of = f"the {part} of the response" if part else "the response"
    name = f"{row['policy']}.{row['variant']}"
    return DataError(
        f"The column {column} of {of} of {name} to {row['job_id']} is damaged{where}:"
        f" {why[:1].lower()}{why[1:]}. `kedro run` generates the response anew once its file is"
        " removed."
    )
