"""Where ratings are kept, and by what chance pairs are shown."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field

from ttc_bench.params import Params
from ttc_bench.reporting.tracker import sqlite_address

SQLITE = "sqlite:///"
"""What stands before the path of an SQLite file; an absolute one adds its own slash."""


class HumanEvaluationParams(Params):
    """Settings of the ratings of people.

    Attributes:
        database: SQLAlchemy's address of the database.
        seed: Seed of chance: pairs, sides, resamples.
    """

    database: str = "sqlite:///data/ratings.db"
    seed: int = Field(default=0, ge=0, lt=2**63)

    def address(self, folder: Path) -> str:
        """Return the address of the database as seen from a project's folder."""
        path = self.database.removeprefix(SQLITE)
        if path == self.database or path.startswith("/"):
            return self.database
        return f"{sqlite_address(str(folder))}/{path}"
