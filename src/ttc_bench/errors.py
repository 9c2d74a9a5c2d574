"""Errors that a user can act on: printed as one line, without a traceback."""

from __future__ import annotations

import errno
import re
import traceback
from typing import IO, Any, TypeGuard

import click


class UserError(click.ClickException):
    """Something the user gave is wrong; the message says what, where and what to do.

    As a `click.ClickException` it ends ``kedro run`` with one line and exit code 1.
    """


class CapabilityError(UserError):
    """A model cannot execute what a policy needs; raised before any call is made."""


class DataError(UserError):
    """A record of a data source is malformed; the message names file, record and field."""


class TrainingError(UserError):
    """A process that trains was lost; the message says how to go on."""


class GateError(UserError):
    """The gate stays closed. It has said so, so the end of the run only has its exit code."""

    def show(self, file: IO[Any] | None = None) -> None:
        """Print nothing: a verdict is no error, and stands above already."""


class NoGoError(GateError):
    """The gate stays closed: a limit is shown to be broken. Exit codes 1 and 2 mean errors."""

    exit_code = 10


class InconclusiveError(GateError):
    """The gate stays closed: no limit is shown to be broken, but not all are shown to be kept."""

    exit_code = 11


_OF_THE_MACHINE = frozenset(
    getattr(errno, name)
    for name in ("EACCES", "EDQUOT", "EFBIG", "EIO", "ENAMETOOLONG", "ENOSPC", "EPERM", "EROFS")
)
"""Numbers of errors of a disk or of its rights, which are no fault of a program."""

_STORES = ("duckdb", "mlflow", "sqlalchemy", "sqlite3")
"""Libraries that keep files of their own, and tell in words what the disk tells them."""

_OF_MLFLOW = (
    "Make room or change the rights of the store that mlflow.yml names (data/mlflow/mlflow.db), or"
    " move it away if it is damaged; then repeat the command."
)
_OF_A_SERVER = re.compile(
    r"API request to|Connection refused|Max retries|connection failed|could not connect"
    r"|connection to server|unsupported URI"
    r"|UNAUTHENTICATED|PERMISSION_DENIED|TEMPORARILY_UNAVAILABLE|REQUEST_LIMIT_EXCEEDED",
    re.IGNORECASE,
)
"""What MLflow says where its store is a server."""

_OF_MLFLOW_SERVER = (
    "The store is server.mlflow_tracking_uri in mlflow.yml: start its server, correct the address,"
    " or give the login that it asks for (MLFLOW_TRACKING_USERNAME, MLFLOW_TRACKING_PASSWORD); then"
    " repeat the command."
)
_REMEDIES = {
    "duckdb": "Make room, or move away the file that it names; then repeat the command.",
    **dict.fromkeys(("mlflow", "sqlalchemy", "sqlite3"), _OF_MLFLOW),
}

_OF_A_STORE = re.compile(
    r"disk is full|database or disk|No space left|File too large|readonly database|read-only"
    r"|not a database|malformed|unable to open database|not a valid DuckDB|Permission denied"
    rf"|disk I/O error|could not set lock|{_OF_A_SERVER.pattern}",
    re.IGNORECASE,
)
"""What those say of a disk that is full or closed, a file that is damaged, a server away."""


def told(error: BaseException | None) -> UserError | None:
    """Return what a user can mend behind an error, in one line; ``None`` if it is the code's fault.

    A disk that is full or closed, a file that cannot be read and a server that is away are told by
    many libraries, each in its own classes, and Kedro wraps what a dataset raises.
    """
    while error is not None:
        if isinstance(error, UserError):
            return error
        if line := _line(error):
            return UserError(line)
        error = error.__cause__
    return None


def _line(error: BaseException) -> str | None:
    """Return the line for one error of a chain, or ``None``."""
    if _is_of_machine(error):
        name = f"{error.filename}: " if error.filename else ""
        return f"{name}{error.strerror}. Make room or change the rights, then repeat the command."
    text = " ".join(str(error).split())
    kinds = {cls.__module__.partition(".")[0].lstrip("_") for cls in type(error).__mro__}
    if kinds.intersection(_STORES) and (said := _OF_A_STORE.search(text)):
        library = next(name for name in _STORES if name in kinds)
        is_server = library != "duckdb" and _OF_A_SERVER.search(text)
        remedy = _OF_MLFLOW_SERVER if is_server else _REMEDIES[library]
        return f"{library}: {_around(text, said)}. {remedy}"
    if any(cls.__name__ == "DatasetError" for cls in type(error).__mro__):
        return _line_of_dataset(error, text)
    return None


def _around(text: str, said: re.Match[str], most: int = 240) -> str:
    """Return the part of a text that says what happened: SQL and its values are no news."""
    text = re.split(r" (?:\[SQL:|\(Background on)", text)[0]
    start = max(text.rfind("(sqlite3.", 0, said.end()), 0, said.end() - most)
    return text[start : start + most].strip().rstrip(".")


def _line_of_dataset(error: BaseException, text: str) -> str | None:
    """Return what Kedro says of a dataset, unless what we wrote is what broke in it."""
    root = error
    while root.__cause__ is not None and not isinstance(root, UserError):
        root = root.__cause__
    if isinstance(root, UserError) or _is_of_machine(root):
        return None  # It is told by the line of that one.
    is_saving = "Failed while saving" in text and not isinstance(root, OSError)
    frames = [frame for frame, _ in traceback.walk_tb(root.__traceback__)]
    is_ours = root is not error and bool(frames) and _is_ours(frames[-1].f_globals)
    return None if is_saving or is_ours else f"{text.rstrip('.')}."


def _is_of_machine(error: BaseException) -> TypeGuard[OSError]:
    return isinstance(error, OSError) and error.errno in _OF_THE_MACHINE


def _is_ours(names: dict[str, object]) -> bool:
    return str(names.get("__name__", "")).startswith("ttc_bench")
