"""The run in MLflow that a run of this project goes to. A server that is gone costs no result."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import quote, urlsplit

T = TypeVar("T")

RUN = "ttc_bench.run"
"""Tag of a run of MLflow: the name of the run of this project, as `tag_of` writes it."""

EMBEDDED = ("sqlite:", "file:")
"""Stores that live in the project; who reads a disk needs no server."""

SEND = "kedro run --pipeline=track"
"""Sends what is on disk of the last run to MLflow."""


@dataclass
class Tracker:
    """Where nodes log to, and what could not be logged there.

    Attributes:
        run: Id of the run in MLflow; ``None`` opens one of its own.
        server: Address of the tracking server, without a login. ``None`` is a store that lives in
            the project: its failures end the run, as those of the disk do.
        untracked: What was not logged, and the command that logs it later.
        reason: Why; the first time, as nothing is tried after it.
    """

    run: str | None = None
    server: str | None = None
    untracked: dict[str, str] = field(default_factory=dict)
    reason: str | None = None

    def log(self, what: str, send: Callable[[], T], otherwise: T, later: str = SEND) -> T:
        """Return what ``send`` returns, or ``otherwise`` if the server is gone.

        Args:
            what: What is logged, in words.
            send: Logs it.
            otherwise: What stands for its result.
            later: The command that logs it later.
        """
        if self.reason is None:
            try:
                return send()
            except Exception as error:
                self.lose(error)
        self.untracked[what] = later
        return otherwise

    def lose(self, error: Exception) -> None:
        """Note that the server is gone, or raise what is no fault of a server."""
        from mlflow.exceptions import MlflowException

        if self.server is None or not isinstance(error, MlflowException | OSError):
            raise error
        # Libraries wrap one another's words: what happened comes last.
        last = " ".join(str(error).split()).rpartition(": ")[2]
        self.reason = self.reason or last.strip("'\")(. ")[:MOST_LETTERS]

    def told(self) -> list[str]:
        """Return a line for each command that logs later what was not logged."""
        by_command: dict[str, list[str]] = {}
        for what, later in self.untracked.items():
            by_command.setdefault(later, []).append(what)
        return [
            f"not tracked: {', '.join(names)}, as {self.server} is gone ({self.reason}). The"
            f" results are on disk; `{later}` tracks them once it is back."
            for later, names in by_command.items()
        ]


MOST_LETTERS = 160
"""Letters of a reason that a line gives."""


def server_of(address: str) -> str | None:
    """Return the address of a tracking server without a login; ``None`` for an embedded store."""
    return None if address.startswith(EMBEDDED) or ":" not in address else without_login(address)


def without_login(address: str) -> str:
    """Return an address that may be shown."""
    parts = urlsplit(address)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl().rstrip("/")


def sqlite_address(path: str) -> str:
    """Return SQLAlchemy's address of an SQLite file, whatever its folders are called.

    What looks encoded it decodes, and what is behind a question mark it takes for settings. All
    else stays as it is: MLflow makes the folders of the address as it is written.
    """
    return "sqlite:///" + re.sub(r"%(?=[0-9A-Fa-f]{2})", "%25", path).replace("?", "%3F")


def name_in_mlflow(label: str) -> str:
    """Return a label as MLflow's names of metrics, parameters and tags may be.

    They hold few signs, and are paths that lead nowhere else: no empty part, no ``.`` or ``..``.
    """
    parts = (re.sub(r"[^\w\-. :]", "_", part) for part in label.split("/"))
    name = "/".join(part if part.strip(".") else "_" * max(len(part), 1) for part in parts)
    if len(name) <= MOST_OF_NAME:
        return name
    digest = hashlib.sha256(label.encode()).hexdigest()[:16]
    return f"{name[: MOST_OF_NAME - len(digest) - 1]}-{digest}"


MOST_OF_NAME = 250
"""Letters of a name in MLflow."""


def tag_of(name: str) -> str:
    """Return the name of a run as the value of its tag `RUN`; a filter takes no quotes."""
    return quote(name, safe=" :+/")


def run_named(name: str) -> str | None:
    """Return the id of MLflow's latest run of a name in the active experiment, if there is one."""
    import mlflow

    runs = mlflow.search_runs(
        filter_string=f"tags.`{RUN}` = '{tag_of(name)}'",
        order_by=["attributes.start_time DESC"],
        max_results=1,
        output_format="list",
    )
    return str(runs[0].info.run_id) if runs else None
