"""MLflow's store before a run: a server answers, an embedded one fits project and MLflow."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import socket
import sqlite3
import ssl
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import HTTPError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import urlopen

from ttc_bench.errors import UserError
from ttc_bench.reporting.tracker import sqlite_address, without_login

logger = logging.getLogger(__name__)

ADDRESSES = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("trace_tags", "value"),
    ("logged_models", "artifact_location"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Columns in which MLflow keeps absolute addresses of artifacts."""


PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}
"""Ports of databases whose addresses name none."""

AWAY = (502, 503, 504)
"""What a proxy says where there is nobody behind it."""

WAIT_S = 10.0
"""Seconds until a server that says nothing is taken for away."""


def check_server(address: str) -> None:
    """Raise unless somebody answers at the address of a tracking server; MLflow tries for minutes.

    Args:
        address: Address of MLflow's store. Where it names no host, there is nobody to ask.

    Raises:
        UserError: Naming the server.
    """
    try:
        fault = _fault_of(urlsplit(address))
    except ValueError as error:  # A port that is none.
        fault = str(error)
    except OSError as error:
        cause = getattr(error, "reason", error)
        fault = str(getattr(cause, "strerror", None) or cause)
    if fault:
        raise UserError(
            f"the tracking server {without_login(address)} does not answer ({fault}): start it, or"
            " take server.mlflow_tracking_uri out of mlflow.yml to track in the project. Nothing"
            " was run."
        )


def _fault_of(parts: SplitResult) -> str | None:
    """Return what is wrong with a server that answers; ``None`` is nothing."""
    if parts.hostname is None or parts.scheme == "file":
        return "it names no host" if parts.scheme in ("http", "https") else None
    if not parts.scheme.startswith("http"):
        port = parts.port or PORTS.get(parts.scheme.partition("+")[0])
        if port is not None:
            socket.create_connection((parts.hostname, port), WAIT_S).close()
        return None
    place = parts._replace(netloc=parts.netloc.rpartition("@")[2], query="")
    url = f"{place.geturl().rstrip('/')}/health"
    try:
        # Whether its certificate is trusted is for MLflow to say, by its own settings.
        urlopen(url, timeout=WAIT_S, context=ssl._create_unverified_context()).close()
    except HTTPError as error:
        return f"status {error.code}" if error.code in AWAY else None
    return None


@contextlib.contextmanager
def turn(project: Path) -> Iterator[None]:
    """Let processes of a project that begin at the same moment prepare MLflow one by one."""
    path = project / "data" / ".runs" / "mlflow.lock"
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = path.open("w")
    except OSError:  # Where nothing can be written, nothing is begun, and the checks say so.
        yield
        return
    with lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def begin_experiment(address: str, name: str, project: Path, artifacts: str | None) -> None:
    """Make tables and experiment where there are none; MLflow takes itself for the only one.

    Args:
        address: Address of the store, as MLflow takes it.
        name: Name of the experiment; without one only the tables are made.
        project: The project's folder, from which a relative place of artifacts is.
        artifacts: Where its artifacts go; ``None`` leaves that to MLflow.
    """
    import mlflow

    client = mlflow.MlflowClient(address)
    if client.get_experiment_by_name(name) is None and name:
        is_path = artifacts is not None and "://" not in artifacts
        place = (project / str(artifacts)).as_uri() if is_path else artifacts
        client.create_experiment(name, artifact_location=place)


def settle_store(store: Path, experiment: str, project: Path, artifacts: str | None) -> None:
    """Make an SQLite store one of this project and of the MLflow that is installed.

    Args:
        store: The database; it need not exist.
        experiment: Name of the experiment.
        project: The project's folder.
        artifacts: Where the artifacts of the experiment lie in the project; ``None`` is where
            MLflow keeps them by itself.

    Raises:
        UserError: If a newer MLflow wrote the database, or it cannot be read.
    """
    for place, is_right in ((store.parent, Path.is_dir), (store, Path.is_file)):
        if place.exists() and not is_right(place):
            # MLflow would try for a minute, and tell of its own tries.
            kind = "file" if place == store else "folder"
            raise UserError(
                f"{place} is no {kind}: move it away, and a new one begins with the next run."
            )
    if not store.exists():
        return
    try:
        _upgrade(store)
        if artifacts and not Path(artifacts).is_absolute():
            _readdress(store, experiment, project, Path(artifacts))
    except sqlite3.OperationalError as error:
        # It may be locked for a moment. MLflow opens it next, and cannot do without it.
        logger.warning("%s cannot be checked: %s", store, error)
    except sqlite3.DatabaseError as error:
        raise UserError(
            f"{store} cannot be read ({error}): move it away, and a new one begins with the next"
            " run. Tables, reports and the runs to compare are not in it."
        ) from error


def _readdress(store: Path, experiment: str, project: Path, artifacts: Path) -> None:
    """Bring the addresses of artifacts along to where the project has moved or was copied.

    MLflow keeps absolute ones, and would go on to write into the folder that it came from.
    """
    with closing(sqlite3.connect(store, timeout=30)) as connection, connection:
        tables = _columns(connection)
        if ("experiments", "artifact_location") not in tables:
            return
        query = "select artifact_location from experiments where name = ?"
        row = connection.execute(query, (experiment,)).fetchone()
        location = str(row[0]) if row else ""
        here, there = project.as_uri(), location.removesuffix(f"/{artifacts.as_posix()}")
        if there in (here, location):  # It never moved, or its artifacts are kept elsewhere.
            return
        moved = sum(
            _replace(connection, column, old, new)
            for column in ADDRESSES
            if column in tables
            for old, new in ((there, here), (_path(there), str(project)))
        )
    logger.info("%s came from %s: %d addresses of artifacts now lead here", store, there, moved)


def _replace(
    connection: sqlite3.Connection, column: tuple[str, str], old: str, new: str
) -> int:  # fmt: skip
    """Replace what addresses begin with; return how many there were."""
    table, name = column
    statement = f"update {table} set {name} = ? || substr({name}, ?) where substr({name}, 1, ?) = ?"
    done = connection.execute(statement, (new, len(old) + 1, len(old) + 1, f"{old}/"))
    return done.rowcount


def _path(uri: str) -> str:
    """Return the path of a file URI; of anything else, itself."""
    return unquote(urlsplit(uri).path) if uri.startswith("file:") else uri


def _columns(connection: sqlite3.Connection) -> set[tuple[str, str]]:
    names = connection.execute("select name from sqlite_master where type = 'table'").fetchall()
    return {
        (name, column[1])
        for (name,) in names
        for column in connection.execute(f"pragma table_info({name})")
    }


def _upgrade(store: Path) -> None:
    """Bring the database of an older MLflow up to date, a copy of it kept as it was."""
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError
    from mlflow.store.db import utils as untyped

    utils: Any = untyped
    with closing(sqlite3.connect(store, timeout=30)) as connection:
        columns = _columns(connection)
        if not columns:
            return
        if ("alembic_version", "version_num") not in columns:
            raise UserError(
                f"{store} is no store of MLflow: move it away, and a new one begins with the next"
                " run."
            )
        found = connection.execute("select version_num from alembic_version").fetchone()
    revision = str(found[0]) if found else ""
    if not found or revision == utils._get_latest_schema_revision():
        return
    scripts = ScriptDirectory.from_config(utils._get_alembic_config(db_url=""))
    try:
        scripts.get_revision(revision)
    except CommandError as error:
        raise UserError(
            f"{store} was written by a newer MLflow (schema {revision}): install that one, or move"
            " the file away to begin a new store."
        ) from error
    kept = store.with_name(f"{store.name}.{revision}")
    with closing(sqlite3.connect(store)) as source, closing(sqlite3.connect(kept)) as copy:
        source.backup(copy)
        runs = source.execute("select count(*) from runs").fetchone()[0]
    utils._upgrade_db(utils.create_sqlalchemy_engine(sqlite_address(str(store))))
    logger.warning(
        "%s was written by an older MLflow: brought up to date with its %d runs; as it was, it is"
        " kept as %s",
        *(store, runs, kept.name),
    )
