"""Calls that have begun and not ended, written down so that a kill leaves them to be read."""

from __future__ import annotations

import fcntl
import itertools
import json
import os
import uuid
from pathlib import Path
from threading import Lock


class InFlight:
    """The calls that this process has in flight, in a file that is locked while it lives.

    The lock ends with its process, however that ends: what stands open in a file without one was
    in flight when its run broke off: killed, interrupted, or stopped by an error. A file is made
    with the first call, and emptied whenever nothing is in flight.

    Args:
        folder: Where the processes of a project keep such files.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._path: Path | None = None
        self._file = -1
        self._open: set[int] = set()
        self._numbers = itertools.count()
        self._turn = Lock()

    def begin(self, name: str) -> int:
        """Write down that a call begins; return its number.

        Raises:
            OSError: If it cannot be written.
        """
        with self._turn:
            if self._path is None:
                self._path = self._make()
            number = next(self._numbers)
            self._write({"begins": number, "name": name})
            self._open.add(number)
        return number

    def end(self, number: int) -> None:
        """Write down that a call has ended; of a number that is not open nothing.

        Raises:
            OSError: If it cannot be written.
        """
        with self._turn:
            if number not in self._open:
                return
            self._open.discard(number)
            if self._open:
                self._write({"ends": number})
            else:
                os.ftruncate(self._file, 0)

    def close(self) -> None:
        """Let go of the file; it stays if calls are open, for the next run to name them."""
        with self._turn:
            if self._path is None:
                return
            if not self._open:
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._path = None
            self._open.clear()

    def left_behind(self) -> list[str]:
        """Return the calls that processes had in flight which live no more; their files go."""
        return [name for path in sorted(self._folder.glob("*.jsonl")) for name in _taken(path)]

    def _make(self) -> Path:
        """Return the file of this process, open and locked before others can see it."""
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"{os.getpid()}-{uuid.uuid4().hex[:8]}.jsonl"
        hidden = path.with_suffix(".new")
        self._file = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        fcntl.flock(self._file, fcntl.LOCK_EX)
        hidden.rename(path)
        return path

    def _write(self, line: dict[str, object]) -> None:
        rest = json.dumps(line).encode() + b"\n"
        while rest:
            rest = rest[os.write(self._file, rest) :]


def _taken(path: Path) -> list[str]:
    """Return the calls that stand open in a file that nobody holds, and remove it.

    Of one that is held, or another user's, nothing is taken: whoever can read it tells of it.
    """
    try:
        with path.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            lines = file.read().splitlines()
            path.unlink(missing_ok=True)
    except OSError:
        return []
    calls: dict[int, str] = {}
    for line in lines:
        try:
            entry = json.loads(line)
            if "begins" in entry:
                calls[entry["begins"]] = str(entry["name"])
            else:
                calls.pop(entry["ends"], None)
        except (ValueError, TypeError, KeyError, RecursionError):
            continue  # Torn by the kill: the call had not begun. Or it is of another version.
    return list(calls.values())
