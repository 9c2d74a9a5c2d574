"""Ratings in a real database, so that raters at the same time lose nothing.

SQLite by default, any other by SQLAlchemy's address, e.g. ``postgresql+psycopg://...``.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ttc_bench.errors import UserError
from ttc_bench.types import DataFrame

if TYPE_CHECKING:
    from sqlalchemy import Engine, MetaData, Table

Preference = Literal["left", "right", "tie", "both bad"]
"""What a rater says of two answers, by the side they were shown on."""

CHOICES: tuple[Preference, ...] = get_args(Preference)

GRADES = (1, 5)
"""The lowest and the highest grade of a criterion."""

CRITERIA = ("correct", "complete", "safe", "helpful")


@dataclass(frozen=True)
class PairRating:
    """What one person said of two answers to one question.

    Attributes:
        rater: Who.
        model: The model that answered.
        benchmark: Benchmark of the question.
        job_id: The question.
        left: ``policy.variant`` of the answer that was shown on the left.
        right: That on the right.
        preference: What was said.
        seconds: Time spent, in seconds.
        seed: Seed of the order in which the sides were shown.
    """

    rater: str
    model: str
    benchmark: str
    job_id: str
    left: str
    right: str
    preference: Preference
    seconds: float
    seed: int


@dataclass(frozen=True)
class Grading:
    """The grades that one person gave one answer; ``None`` is no grade.

    Attributes:
        rater: Who.
        model: The model that answered.
        benchmark: Benchmark of the question.
        job_id: The question.
        variant: ``policy.variant`` of the answer.
        correct: From 1 to 5, as all grades.
        complete: Nothing that was asked for is missing.
        safe: Nothing is told that must not be.
        helpful: It serves who asked.
        seconds: Time spent, in seconds.
    """

    rater: str
    model: str
    benchmark: str
    job_id: str
    variant: str
    correct: int | None
    complete: int | None
    safe: int | None
    helpful: int | None
    seconds: float

    def __post_init__(self) -> None:
        """Raise `ValueError` for a grade that is none."""
        for name in CRITERIA:
            grade = getattr(self, name)
            if grade is not None and not GRADES[0] <= grade <= GRADES[1]:
                raise ValueError(f"{name} is {grade}: grades go from {GRADES[0]} to {GRADES[1]}")


KINDS: dict[str, type[PairRating] | type[Grading]] = {"pairs": PairRating, "gradings": Grading}
"""Tables by the records that they hold."""

_TYPES = {"float": "Float", "int": "Integer", "int | None": "Integer"}


class Ratings:
    """The database of ratings.

    Args:
        address: SQLAlchemy's address of the database.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def add(self, rating: PairRating | Grading) -> int:
        """Store a rating and return its number."""
        table = self._tables[_kind(rating)]
        with self._engine.begin() as connection:
            key = connection.execute(table.insert().values(**asdict(rating))).inserted_primary_key
        return int(key[0]) if key else 0

    def undo(self, rater: str, kind: str = "pairs") -> bool:
        """Take back the last rating of a rater; return whether there was one."""
        from sqlalchemy import delete, func, select

        table = self._tables[kind]
        with self._engine.begin() as connection:
            last = select(func.max(table.c.id)).where(table.c.rater == rater).scalar_subquery()
            return bool(connection.execute(delete(table).where(table.c.id == last)).rowcount)

    def rows(self, kind: str = "pairs") -> DataFrame:
        """Return all ratings of a kind, in the order they came."""
        import pandas as pd
        from sqlalchemy import select

        table = self._tables[kind]
        with self._engine.connect() as connection:
            result = connection.execute(select(table).order_by(table.c.id))
            return pd.DataFrame(result.fetchall(), columns=list(result.keys()))

    @cached_property
    def _engine(self) -> Engine:
        from sqlalchemy import create_engine, event
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError

        try:
            url = make_url(self._address)
            engine = create_engine(url)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError) as error:
            raise UserError(
                f"parameter human_evaluation.database: {error}. Allowed: an address of SQLAlchemy,"
                " e.g. sqlite:///data/ratings.db or postgresql+psycopg://user@host/name, with its"
                " driver installed."
            ) from error
        if url.get_backend_name() == "sqlite":
            if url.database:
                Path(url.database).parent.mkdir(parents=True, exist_ok=True)
            event.listen(engine, "connect", _wait_for_others)
        return engine

    @cached_property
    def _tables(self) -> dict[str, Table]:
        from sqlalchemy import Column, DateTime, Integer, MetaData, Table, func
        from sqlalchemy import types as kinds
        from sqlalchemy.exc import DatabaseError

        metadata, tables = MetaData(), {}
        for name, record in KINDS.items():
            columns = [
                Column(field, getattr(kinds, _TYPES.get(str(kind), "String"))())
                for field, kind in record.__annotations__.items()
            ]
            stamp = Column("rated_at", DateTime(timezone=True), server_default=func.now())
            key = Column("id", Integer(), primary_key=True)
            tables[name] = Table(f"{name}_rated", metadata, key, *columns, stamp)
        try:
            self._create(metadata)
        except DatabaseError as error:
            raise UserError(
                f"parameter human_evaluation.database: {error.orig}; the database must be there"
                " and may be written by this user."
            ) from error
        return tables

    def _create(self, metadata: MetaData) -> None:
        """Make the tables that are not there yet, while others may be making them too."""
        from sqlalchemy.exc import DatabaseError
        from sqlalchemy.schema import CreateTable

        for table in metadata.sorted_tables:
            statement = CreateTable(table, if_not_exists=True)
            try:
                with self._engine.begin() as connection:
                    connection.execute(statement)
            except DatabaseError:
                # PostgreSQL checks and makes in two steps: who comes second between them fails,
                # and finds the table at the next try.
                with self._engine.begin() as connection:
                    connection.execute(statement)


def _kind(rating: PairRating | Grading) -> str:
    return next(name for name, record in KINDS.items() if isinstance(rating, record))


def _wait_for_others(connection: Any, _: object) -> None:
    """Let one writer wait for another.

    A write-ahead log would let readers go on meanwhile, but the change to it fails at once, waiting
    for nobody, where two enter a new database at the same moment.
    """
    connection.execute("pragma busy_timeout = 30000")
