"""The rows of a table as dicts, for code that goes through them one by one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

from ttc_bench.types import GROUP, DataFrame

Row = Mapping[str, Any]


def row_dicts(table: DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table, each as a dict by column name."""
    return cast(list[dict[str, Any]], table.to_dict("records"))


def group_key(row: Row) -> tuple[Any, ...]:
    """Return the values of `GROUP` in a row."""
    return tuple(row[name] for name in GROUP)


def full_name(row: Row, side: str = "") -> str:
    """Return ``policy.variant`` of a row; with a side such as ``_a``, of that side."""
    return f"{row[f'policy{side}']}.{row[f'variant{side}']}"
