"""Ratings in a real database, so that raters at the same time lose nothing.

SQLite by default, any other by SQLAlchemy's address, e.g. ``postgresql+psycopg://...``.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from ttc_bench.errors import UserError
from ttc_bench.storable import storable
from ttc_bench.types import DataFrame

if TYPE_CHECKING:
    from sqlalchemy import Engine, MetaData, Table

Preference = Literal["left", "right", "tie", "both bad"]
"""What a rater says of two answers, by the side they were shown on."""

CHOICES: tuple[Preference, ...] = get_args(Preference)

GRADES = (1, 5)
"""The lowest and the highest grade of a criterion."""

CRITERIA = ("correct", "complete", "safe", "helpful")


MOST_SIGNS = 60
"""No name of a rater is longer."""


def rater_of(name: str) -> str:
    """Return the name under which a rater's ratings are kept: blanks around it are no part of it.

    Raises:
        UserError: If nothing is left, or it is no name.
    """
    rater = " ".join(name.split())
    if not rater:
        raise UserError("Who judges? Ratings are kept under a name.")
    if len(rater) > MOST_SIGNS or not rater.isprintable():
        raise UserError(
            f"{storable(rater)[:MOST_SIGNS]!r} is no name of a rater: at most {MOST_SIGNS} signs,"
            " all of which can be printed."
        )
    return rater


_HELD: dict[str, Any] = {"str": str, "str | None": str | None, "float": int | float}
"""What values of a field are, by its annotation; those of other fields are checked by name."""


def _check(rating: PairRating | Grading | Handed) -> None:
    """Raise `ValueError` for what no database keeps, or what would be counted wrongly."""
    values = vars(rating)
    for field, kind in rating.__annotations__.items():
        value = values[field]
        if not isinstance(value, _HELD.get(kind, object)):
            raise ValueError(f"{field} is {value!r}: no value of this column")
        if isinstance(value, str) and (not value.strip() or storable(value) != value):
            raise ValueError(f"{field} is {value!r}: no text that can be kept")
    rater = str(values["rater"])
    if (name := rater_of(rater)) != rater:
        raise ValueError(f"rater is {rater!r}: {name!r} is how it is kept")
    if not 0 <= values.get("seconds", 0.0) < math.inf:
        raise ValueError(f"seconds is {values['seconds']}: no time that was spent")
    seed = values.get("seed", 0)
    if isinstance(seed, bool) or not isinstance(seed, int) or not -(2**63) <= seed < 2**63:
        raise ValueError(f"seed is {seed!r}: no whole number of 64 bits")
    if "left" in values and values["left"] == values["right"]:
        raise ValueError(f"left and right are both {values['left']}: nothing is compared")


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
        left_answer: Digest of the text on the left, see `ttc_bench.metrics.base.answer_digest`;
            ``None`` where it was not noted, as by versions before it was.
        right_answer: That of the text on the right.
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
    left_answer: str | None = None
    right_answer: str | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` for what is no rating."""
        if self.preference not in CHOICES:
            raise ValueError(f"preference is {self.preference!r}: allowed are {', '.join(CHOICES)}")
        _check(self)


@dataclass(frozen=True)
class Handed:
    """A pair that was handed to a rater in a sheet; its number in the database is its name there.

    Attributes:
        rater: Who.
        model: The model that answered.
        benchmark: Benchmark of the question.
        job_id: The question.
        left: ``policy.variant`` of the answer on the left.
        right: That on the right.
        seed: Seed of the order of the sides.
        left_answer: Digest of the text on the left; see `PairRating`.
        right_answer: That of the text on the right.
    """

    rater: str
    model: str
    benchmark: str
    job_id: str
    left: str
    right: str
    seed: int
    left_answer: str | None = None
    right_answer: str | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` for what is no pair."""
        _check(self)


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
        answer: Digest of its text; see `PairRating`.
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
    answer: str | None = None

    def __post_init__(self) -> None:
        """Raise `ValueError` for what is no grading."""
        low, high = GRADES
        for name in CRITERIA:
            grade = getattr(self, name)
            if grade is not None and (type(grade) is not int or not low <= grade <= high):
                raise ValueError(f"{name} is {grade}: grades go from {GRADES[0]} to {GRADES[1]}")
        _check(self)


Record = PairRating | Grading | Handed

KINDS: dict[str, type[Record]] = {"pairs": PairRating, "gradings": Grading, "handed": Handed}
"""Tables by the records that they hold."""

LATER = frozenset({"left_answer", "right_answer", "answer"})
"""Columns that tables of earlier versions lack; they are added, and null in the rows there."""

_TYPES = {"float": "Float", "int": "Integer", "int | None": "Integer"}


_NEEDED = (
    "it must be a database that is there, made by this version, and may be written by this user."
)

_LOCKED = "another process holds it: try again once that is done."


class Ratings:
    """The database of ratings.

    Args:
        address: SQLAlchemy's address of the database.
    """

    def __init__(self, address: str) -> None:
        self._address = address

    def add(self, rating: Record) -> int:
        """Store a rating and return its number."""
        (number,) = self.add_all([rating])
        return number

    def add_all(self, ratings: Sequence[Record]) -> list[int]:
        """Store ratings, all or none, and return their numbers."""
        numbers = []
        with self._told():
            inserts = [self._tables[_kind(one)].insert().values(**asdict(one)) for one in ratings]
            with self._engine.begin() as connection:
                for insert in inserts:
                    key = connection.execute(insert).inserted_primary_key
                    numbers.append(int(key[0]) if key else 0)
        return numbers

    def undo(self, rater: str, kind: str = "pairs", number: int | None = None) -> bool:
        """Take back a rating of a rater; return whether it was there.

        Args:
            rater: Whose it is.
            kind: Its table.
            number: Its number; ``None`` is the last one.
        """
        from sqlalchemy import delete, func, select

        with self._told():
            table = self._tables[kind]
            own = table.c.rater == rater
            last = select(func.max(table.c.id)).where(own).scalar_subquery()
            which = table.c.id == (last if number is None else number)
            with self._engine.begin() as connection:
                return bool(connection.execute(delete(table).where(own, which)).rowcount)

    def rows(self, kind: str = "pairs") -> DataFrame:
        """Return all ratings of a kind, in the order they came.

        Raises:
            UserError: If the database cannot be read, or a row is no rating: somebody wrote it by
                hand.
        """
        import pandas as pd
        from sqlalchemy import select

        with self._told():
            table = self._tables[kind]
            with self._engine.connect() as connection:
                result = connection.execute(select(table).order_by(table.c.id))
                columns, rows = list(result.keys()), result.fetchall()
        for row in rows:
            self._check_row(kind, dict(zip(columns, row, strict=True)))
        return pd.DataFrame(map(tuple, rows), columns=columns)

    def _check_row(self, kind: str, row: Mapping[str, Any]) -> None:
        """Check that a row is what it is counted as.

        Raises:
            UserError: Naming the row and what is wrong with it.
        """
        record = KINDS[kind]
        try:
            record(**{field: row[field] for field in record.__annotations__})
        except (ValueError, TypeError, UserError) as error:
            raise UserError(
                f"parameter human_evaluation.database: {_shown(self._address)}: table"
                f" {self._tables[kind].name}, row {row['id']}: {error}. It was written by hand:"
                " correct it, or delete it."
            ) from error

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Tell what the database cannot do in a line, whoever of its libraries says it.

        Raises:
            UserError: Naming the database, without its password.
        """
        import sqlite3

        from sqlalchemy.exc import DBAPIError, SQLAlchemyError

        try:
            yield
        except (SQLAlchemyError, sqlite3.Error, OSError, ValueError, TypeError) as error:
            # A file that was removed, or replaced by another one, is entered anew the next time.
            self.__dict__.pop("_tables", None)
            cause = error.orig if isinstance(error, DBAPIError) else error
            said = " ".join(str(cause).split()).rstrip(".")
            raise UserError(
                f"parameter human_evaluation.database: {_shown(self._address)}: {said};"
                f" {_LOCKED if 'locked' in said else _NEEDED}"
            ) from error

    @cached_property
    def _engine(self) -> Engine:
        from sqlalchemy import create_engine, event
        from sqlalchemy.engine import make_url
        from sqlalchemy.exc import ArgumentError, NoSuchModuleError
        from sqlalchemy.pool import NullPool

        try:
            url = make_url(self._address)
            is_sqlite = url.get_backend_name() == "sqlite"
            is_file = is_sqlite and url.database not in (None, "", ":memory:")
            # A connection that is kept open writes into a file that was replaced, unseen.
            pool: dict[str, Any] = {"poolclass": NullPool} if is_file else {"pool_pre_ping": True}
            engine = create_engine(url, **pool)
        except (ArgumentError, NoSuchModuleError, ModuleNotFoundError, ValueError) as error:
            raise UserError(
                f"parameter human_evaluation.database: {error}. Allowed: an address of SQLAlchemy,"
                " e.g. sqlite:///data/ratings.db or postgresql+psycopg://user@host/name, with its"
                " driver installed (for PostgreSQL pip install -e '.[postgres]')."
            ) from error
        if is_file:
            Path(str(url.database)).parent.mkdir(parents=True, exist_ok=True)
        if is_sqlite:
            event.listen(engine, "connect", _wait_for_others)
        return engine

    @cached_property
    def _tables(self) -> dict[str, Table]:
        from sqlalchemy import Column, DateTime, Integer, MetaData, Table, func
        from sqlalchemy import types as kinds

        metadata, tables = MetaData(), {}
        for name, record in KINDS.items():
            columns = [
                Column(field, getattr(kinds, _TYPES.get(str(kind), "String"))())
                for field, kind in record.__annotations__.items()
            ]
            stamp = Column("rated_at", DateTime(timezone=True), server_default=func.now())
            key = Column("id", Integer(), primary_key=True)
            tables[name] = Table(f"{name}_rated", metadata, key, *columns, stamp)
        self._create(metadata)
        for table in tables.values():
            self._widen(table)
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

    def _widen(self, table: Table) -> None:
        """Add the columns that a table of an earlier version lacks, while others may do so, too.

        A table that lacks any other column is no such table, and left as it is.
        """
        from sqlalchemy import text
        from sqlalchemy.exc import DatabaseError
        from sqlalchemy.schema import CreateColumn

        lacking = self._lacking(table)
        for name in sorted(lacking) if lacking <= LATER else ():
            column = CreateColumn(table.c[name]).compile(dialect=self._engine.dialect)
            try:
                with self._engine.begin() as connection:
                    connection.execute(text(f"ALTER TABLE {table.name} ADD COLUMN {column}"))
            except DatabaseError:
                if name in self._lacking(table):
                    raise

    def _lacking(self, table: Table) -> set[str]:
        from sqlalchemy import inspect

        there = {str(column["name"]) for column in inspect(self._engine).get_columns(table.name)}
        return set(table.c.keys()) - there


def _shown(address: str) -> str:
    """Return an address without its password."""
    from sqlalchemy.engine import make_url

    return make_url(address).render_as_string(hide_password=True)


def _kind(rating: Record) -> str:
    return next(name for name, record in KINDS.items() if isinstance(rating, record))


def _wait_for_others(connection: Any, _: object) -> None:
    """Let one writer wait for another.

    A write-ahead log would let readers go on meanwhile, but the change to it fails at once, waiting
    for nobody, where two enter a new database at the same moment.
    """
    connection.execute("pragma busy_timeout = 30000")
