"""A warehouse that was damaged, or is of another DuckDB, is told as that in one line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import duckdb
import pandas as pd
import pytest

from ttc_bench.dbt import TAKEN, name_fault, write_sources
from ttc_bench.errors import DataError, UserError


def newer(content: bytearray) -> bytes:
    """As DuckDB marks it: the version of its format stands behind its name."""
    content[content.index(b"DUCK") + 4] = 250
    return bytes(content)


DAMAGE: dict[str, Callable[[bytearray], bytes]] = {
    "copied as it began to be written": lambda content: bytes(content[:5000]),
    "cut in half": lambda content: bytes(content[: len(content) // 2]),
    "a block of its history lost": lambda content: bytes(content[:-300_000]) + bytes(300_000),
    "of a newer DuckDB": newer,
    "no database": lambda _: b"text",
    "empty": lambda _: b"",
}


@pytest.fixture
def warehouse(tmp_path: Path) -> Path:
    path = tmp_path / "warehouse.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(
            "create table history as select range as n, random() as x from range(99999)"
        )
    return path


@pytest.mark.parametrize("damage", DAMAGE)
def test_damage_is_told_with_the_remedy(damage: str, warehouse: Path) -> None:
    warehouse.write_bytes(DAMAGE[damage](bytearray(warehouse.read_bytes())))
    tables = {"scores": pd.DataFrame({"n": range(9)})}
    told = r"cannot be opened .* Move it away, and a new one begins"
    with pytest.raises(DataError, match=told) as raised:
        write_sources(tables, warehouse)
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("name", [*sorted(TAKEN), "Main", "TEMP"])
def test_a_name_that_is_duckdbs_own_is_refused_before_anything_is_written(
    name: str, tmp_path: Path
) -> None:
    for file in (f"{name}.duckdb", f"{name}.v2.duckdb", name):
        with pytest.raises(UserError, match=f"'{name}' is a name of its own. Take any but") as told:
            write_sources({"scores": pd.DataFrame({"n": range(9)})}, tmp_path / file)
        assert "\n" not in told.value.message
    assert not list(tmp_path.iterdir())


def test_other_names_that_sql_knows_are_as_good_as_any(tmp_path: Path) -> None:
    for name in ("select", "a b", "1x", "memory", "default", "a.main"):
        assert name_fault(tmp_path / f"{name}.duckdb") == ""
        write_sources({"scores": pd.DataFrame({"n": range(9)})}, tmp_path / f"{name}.duckdb")
