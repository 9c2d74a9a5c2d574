"""Tables as typed rows."""

from __future__ import annotations

from typing import Any, cast

from ttc_bench.types import DataFrame


def rows_of(table: DataFrame) -> list[dict[str, Any]]:
    """Return the rows of a table, each a dict by column name."""
    return cast(list[dict[str, Any]], table.to_dict("records"))
