"""The journal of completions: append-only, safe against kills, and the sample pool of a project.

Every finished call is one JSON line, written at once with a single system call. A later run (the
same command after ``kill -9``, or another policy that asks for the same sample) finds it by its
key and replays it, so nothing is computed or paid twice. A line torn by a kill is cut off when
the journal is opened again; one torn by a full disk is passed over, and costs no other.

A line says the version of its key and the identity that the key is a digest of. Lines of another
version, or of none, are of no use to this one; they stay in the file as they are.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ttc_bench.errors import UserError

logger = logging.getLogger(__name__)

KEY_VERSION = 2
"""Raised whenever what makes a key changes; lines from before there were versions have none."""


class Journal:
    """A key -> JSON record store in one append-only JSONL file.

    Args:
        path: The file; made with its folder if missing. ``None`` keeps the journal in memory.

    Raises:
        UserError: If the file cannot be read or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = path
        self._records: dict[str, dict[str, Any]] = {}
        self._file: int | None = None
        self._torn = False
        if path is not None:
            self._open(path)

    def __len__(self) -> int:
        return len(self._records)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record kept under ``key``, or ``None``."""
        return self._records.get(key)

    def put(self, key: str, record: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        """Keep ``record`` under ``key``; on return it is out of this process's hands.

        Args:
            key: The key.
            record: What is kept; JSON-ready, with no field named ``version``, ``key`` or
                ``identity``.
            identity: What the key is a digest of, for people who read the file.

        Raises:
            UserError: If it cannot be written whole. It is kept in memory all the same.
        """
        self._records[key] = dict(record)
        if self._file is not None:
            entry = {"version": KEY_VERSION, "key": key, "identity": identity, **record}
            line = json.dumps(entry, separators=(",", ":")) + "\n"
            self._append(self._file, line.encode())

    def close(self) -> None:
        """Close the file; the records stay readable."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def _append(self, file: int, line: bytes) -> None:
        """Write a line; behind half a line it goes on a new one, or it would be lost with it."""
        rest = b"\n" + line if self._torn else line
        try:
            while rest:
                rest = rest[os.write(file, rest) :]
                self._torn = bool(rest)
        except OSError as error:
            raise UserError(
                f"cannot write the journal {self.path}: {error.strerror}. Make room, then repeat"
                " the command: it replays what the journal holds."
            ) from error

    def _open(self, path: Path) -> None:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
        except OSError as error:
            raise UserError(
                f"cannot write the journal {path}: {error.strerror}. Make its folder writable or"
                " point the catalog entry 'journal' to another place."
            ) from error
        self._load(path)

    def _load(self, path: Path) -> None:
        torn = passed_over = outdated = 0
        with path.open("rb") as lines:
            for line in lines:
                record = _parse(line)
                if record is None:
                    passed_over += line.endswith(b"\n")
                    torn = 0 if line.endswith(b"\n") else len(line)
                elif record.pop("version", None) != KEY_VERSION:
                    outdated += 1
                else:
                    record.pop("identity", None)
                    self._records[record.pop("key")] = record
        if torn:
            os.truncate(path, path.stat().st_size - torn)
        self._tell(torn, passed_over, outdated)

    def _tell(self, torn: int, passed_over: int, outdated: int) -> None:
        """Log what of the file is no use, a line for what is broken and one for what is old."""
        if torn or passed_over:
            logger.warning(
                "%s: cut off %d bytes of a line torn by an interrupted run, passed over %d lines"
                " that cannot be read; %d completions are kept",
                self.path,
                torn,
                passed_over,
                len(self._records),
            )
        if outdated:
            logger.warning(
                "%s: %d records of another key version stay as they are and are not replayed",
                self.path,
                outdated,
            )


class Anew(Journal):
    """A journal that replays nothing of an earlier call: what is measured is computed.

    Args:
        journal: Keeps what it lacks.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._beneath = journal

    def put(self, key: str, record: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        """Keep ``record`` here, and in the journal beneath if that lacks it."""
        super().put(key, record, identity)
        if self._beneath.get(key) is None:
            self._beneath.put(key, record, identity)


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "key" in record else None
