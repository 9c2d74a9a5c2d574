"""The rows of a table as dicts, for code that goes through them one by one."""

from __future__ import annotations

from typing import Any, cast

from ttc_bench.types import DataFrame


def row_dicts(table: DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table, each as a dict by column name."""
    return cast(list[dict[str, Any]], table.to_dict("records"))
