"""The journal of completions: append-only, safe against kills, and the sample pool of a project.

Every finished call is one JSON line, written at once with a single system call. A later run (the
same command after ``kill -9``, or another policy that asks for the same sample) finds it by its
key and replays it, so nothing is computed or paid twice. Opening reads keys alone: a record is
parsed when it is asked for, so that a journal of a million lines costs seconds and little memory.

Several processes may write one journal: each appends whole lines under a lock of the file, which
ends with the process. A line torn by a kill is cut off under that lock, where nobody is writing;
one that was damaged otherwise is passed over, told, and costs no other. Where others remove or
replace the file of a run at work, the run goes on in what stands there, with what it has put.

A line says the version of its key and the identity that the key is a digest of. Lines of another
version, or of none, are of no use to this one; they stay in the file as they are.
"""

from __future__ import annotations

import errno
import fcntl
import json
import logging
import os
import stat
from collections.abc import Callable, Collection, Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from ttc_bench.errors import UserError
from ttc_bench.policies.in_flight import InFlight

logger = logging.getLogger(__name__)

T = TypeVar("T")

KEY_VERSION = 2
"""Raised whenever what makes a key changes; lines from before there were versions have none."""

START = b'{"version":'
"""What a line of any version begins with: without an end it was torn, and no other is."""

HEAD = f'{{"version":{KEY_VERSION},"key":'.encode()
"""What a line of this version begins with, before its key."""

BEHIND_KEY = b',"identity":'
"""What comes behind the key; within a key its quotes would be escaped."""

ENCODER = json.JSONEncoder(separators=(",", ":"), check_circular=False)
"""Writes lines; `json.dumps` would make another for each. Records are made for it: none holds
itself."""


@lru_cache(256)
def quoted(key: str) -> bytes:
    """Return a key as it stands in a line: a call looks it up, and enters it."""
    return ENCODER.encode(key).encode()


CHUNK_BYTES = 16_384

MOST_NAMED = 8
"""Calls that were in flight where a run broke off and are named; of more, their number."""


Entry = tuple[str, Mapping[str, Any], Mapping[str, Any]]
"""A key, its record, and the identity that the key is a digest of."""


class Journal:
    """A key -> JSON record store in one append-only JSONL file.

    Args:
        path: The file; made with its folder if missing. ``None`` keeps the journal in memory.

    Raises:
        UserError: If the file cannot be read or written.
    """

    def __init__(self, path: Path | None = None) -> None:
        self.path = None if path is None else path.absolute()
        self._name = str(self.path)
        self._records: dict[str, dict[str, Any]] = {}
        """Records that stand in no file."""
        self._places: dict[bytes, int] = {}
        """Where the lines of the file begin, in bytes, by the key as it stands there."""
        self._own: set[bytes] = set()
        """Keys of the lines that this process has put."""
        self._end = 0
        """Where the first line begins that was not read."""
        self._file: int | None = None
        self._turn = Lock()
        self._passed_over = self._outdated = self._damaged = self._partial = 0
        self._left_out: set[str] = set()
        """Fields of another version in the records that were read."""
        self._in_flight = None if path is None else InFlight(path.with_suffix(".in_flight"))
        if self.path is not None:
            self._open(self.path)

    def __len__(self) -> int:
        return len(self._records) + len(self._places)

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record kept under ``key``, or ``None``; so too if it cannot be read."""
        if (record := self._records.get(key)) is not None:
            return record
        place = self._places.get(quoted(key))
        if place is None:
            return None
        entry = _parse(self._line(place))
        if entry is None or entry.pop("key") != key:
            self.discard(key)
            return None
        return {name: value for name, value in entry.items() if name not in ("version", "identity")}

    def get_many(self, keys: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the records kept under keys, of those that have one."""
        records = ((key, self.get(key)) for key in keys)
        return {key: record for key, record in records if record is not None}

    def keep(self, entries: Collection[Entry]) -> None:
        """Put each entry whose key has no record yet; see `put`."""
        for key, record, identity in entries:
            if self.get(key) is None:
                self.put(key, record, identity)

    def discard(self, key: str) -> None:
        """Count what stands under ``key`` as damaged: it is computed anew; see `tell_damage`."""
        with self._turn:
            self._places.pop(quoted(key), None)
            self._records.pop(key, None)
            self._damaged += 1

    def note_left_out(self, names: Collection[str]) -> None:
        """Count a record that holds more than this version knows, if it does."""
        if names:
            with self._turn:
                self._partial += 1
                self._left_out.update(names)

    def tell_damage(self) -> None:
        """Log how many records could not be read, or not whole, since this was last told."""
        with self._turn:
            damaged, self._damaged = self._damaged, 0
            partial, self._partial = self._partial, 0
            names, self._left_out = sorted(self._left_out), set()
        if damaged:
            logger.warning(
                "%s: %d damaged records could not be read and were computed anew",
                self.path,
                damaged,
            )
        if partial:
            logger.warning(
                "%s: %d records of another version are replayed without what this one does not"
                " know (%s)",
                self.path,
                partial,
                ", ".join(names),
            )

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
        if self._file is None:
            self._records[key] = dict(record)
            return
        entry = {"version": KEY_VERSION, "key": key, "identity": identity, **record}
        line = f"{ENCODER.encode(entry)}\n".encode()
        try:
            self._locked(lambda file: self._append(file, quoted(key), line))
        except OSError as error:
            self._records[key] = dict(record)
            raise self._unwritable(error) from error
        self._records.pop(key, None)

    def _unwritable(self, error: OSError) -> UserError:
        return UserError(
            f"cannot write the journal {self.path}: {error.strerror}. Make room, then repeat"
            " the command: it replays what the journal holds."
        )

    def underway(self, call: str) -> Underway:
        """Return the block in which a call is in flight; a kill within it is told by the next run.

        Args:
            call: The call in words: which job, what for, by which model.

        Raises:
            UserError: If it cannot be written.
        """
        return Underway(self, call)

    def begin(self, call: str) -> int:
        """Note that a call begins, and return its number for `end`; see `underway`."""
        if self._in_flight is None:
            return 0
        try:
            return self._in_flight.begin(call)
        except OSError as error:
            raise self._unwritable(error) from error

    def end(self, number: int) -> None:
        """Note that a call has ended; see `underway`."""
        if self._in_flight is None:
            return
        try:
            self._in_flight.end(number)
        except OSError as error:
            raise self._unwritable(error) from error

    def close(self) -> None:
        """Close the file; only what is kept in memory stays readable."""
        if self._in_flight is not None:
            self._in_flight.close()
        with self._turn:
            if self._file is not None:
                os.close(self._file)
            self._file = None
            self._places.clear()

    def _locked(self, act: Callable[[int], T]) -> T:
        """Act on the file under its lock, with all lines read that others wrote."""
        with self._turn:
            assert self._file is not None
            fcntl.flock(self._file, fcntl.LOCK_EX)
            try:
                self._follow()
                self._read_on()
                return act(self._file)
            finally:
                fcntl.flock(self._file, fcntl.LOCK_UN)

    def _append(self, file: int, key: bytes, line: bytes) -> None:
        self._mend_tail(file)
        rest = line
        while rest:
            rest = rest[os.write(file, rest) :]
        self._places[key] = self._end
        self._own.add(key)
        self._end += len(line)

    def _mend_tail(self, file: int) -> int:
        """Cut off a line that a kill has torn, and end one that others left without an end.

        Returns:
            The bytes that were cut off.
        """
        torn = os.fstat(file).st_size - self._end
        if not torn:
            return 0
        start = os.pread(file, len(START), self._end)
        if START.startswith(start.rstrip(b"\0")):  # A disk that lost power has zeros.
            os.ftruncate(file, self._end)
            return torn
        os.write(file, b"\n")
        self._passed_over += 1
        self._end += torn + 1
        return 0

    def _follow(self) -> None:
        """Go on in the file that stands at the path, if others removed or replaced the open one.

        What this process has put is entered there where that lacks it: it was paid for.
        """
        assert self.path is not None
        assert self._file is not None
        try:
            if os.path.samestat(os.fstat(self._file), os.stat(self._name)):
                return
        except FileNotFoundError:
            pass
        own = {key: self._line(self._places[key]) for key in self._own & self._places.keys()}
        file = _opened(self.path)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.dup2(file, self._file)  # A reader in another thread has the number.
        finally:
            os.close(file)
        self._forget()
        self._read_on()
        lacking = {key: line for key, line in own.items() if line and key not in self._places}
        for key, line in lacking.items():
            self._append(self._file, key, line)
        logger.warning(
            "%s was removed or replaced by others while it was open: what stands there now is"
            " replayed, and %d completions of this run were entered there anew",
            self.path,
            len(lacking),
        )

    def _forget(self) -> None:
        self._places.clear()
        self._end = 0

    def _line(self, place: int) -> bytes:
        """Return the line that begins at ``place``."""
        assert self._file is not None
        chunks: list[bytes] = []
        while chunk := os.pread(self._file, CHUNK_BYTES, place):
            end = chunk.find(b"\n") + 1
            chunks.append(chunk[:end] if end else chunk)
            if end:
                break
            place += len(chunk)
        return b"".join(chunks)

    def _open(self, path: Path) -> None:
        try:
            self._file = _opened(path)
            self._read_on()  # Without the lock, as others write: it takes its time.
            torn = self._locked(self._mend_tail)
        except OSError as error:
            raise UserError(
                f"cannot write the journal {path}: {error.strerror}. Make its folder writable or"
                " point the catalog entry 'journal' to a place that can be written and locked."
            ) from error
        self._tell(torn)

    def _read_on(self) -> None:
        """Note the whole lines behind those that were read, by key."""
        assert self.path is not None
        assert self._file is not None
        size = os.fstat(self._file).st_size
        if size < self._end:
            logger.warning(
                "%s was cut short by others while it was open: what it holds no more is computed"
                " anew where it is asked for",
                self.path,
            )
            self._forget()
        if size == self._end:
            return
        with open(self._file, "rb", buffering=1 << 20, closefd=False) as lines:
            lines.seek(self._end)
            for line in lines:
                if not line.endswith(b"\n"):
                    break
                self._note(line)
                self._end += len(line)

    def _note(self, line: bytes) -> None:
        end = line.find(BEHIND_KEY) if line.startswith(HEAD) and line.endswith(b"}\n") else -1
        if end > 0:
            self._places[line[len(HEAD) : end]] = self._end
            return
        entry = _parse(line)  # A line of another version or writer, or none.
        if entry is None:
            self._passed_over += 1
        elif entry.get("version") != KEY_VERSION:
            self._outdated += 1
        else:
            self._places[json.dumps(entry["key"]).encode()] = self._end

    def _tell(self, torn: int) -> None:
        """Log what of the file is no use, a line for what is broken and one for what is old."""
        if torn or self._passed_over:
            logger.warning(
                "%s: cut off %d bytes of a line torn by an interrupted run, passed over %d lines"
                " that cannot be read; %d completions are kept",
                self.path,
                torn,
                self._passed_over,
                len(self),
            )
        assert self._in_flight is not None
        if calls := self._in_flight.left_behind():
            logger.warning("%s: %s", self.path, in_words(calls, "when an earlier run broke off"))
        if self._outdated:
            logger.warning(
                "%s: %d records of another key version stay as they are and are not replayed",
                self.path,
                self._outdated,
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
        self._beneath.keep([(key, record, identity)])

    def keep(self, entries: Collection[Entry]) -> None:
        """Keep entries here, and in the journal beneath those that it lacks."""
        for key, record, identity in entries:
            Journal.put(self, key, record, identity)
        self._beneath.keep(entries)

    def begin(self, call: str) -> int:
        """Note it in the journal beneath."""
        return self._beneath.begin(call)

    def end(self, number: int) -> None:
        """Note it in the journal beneath."""
        self._beneath.end(number)


class Underway:
    """The block in which a call is in flight; see `Journal.underway`.

    Args:
        journal: Where it is noted.
        call: The call in words.
    """

    def __init__(self, journal: Journal, call: str) -> None:
        self._journal, self._call = journal, call

    def __enter__(self) -> None:
        self._number = self._journal.begin(self._call)

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        # One that failed has ended, too. Of one that was interrupted nobody knows what it did.
        if kind is None or issubclass(kind, Exception):
            self._journal.end(self._number)


def in_words(calls: list[str], when: str) -> str:
    """Return the line that counts and names calls that were in flight at some moment."""
    named = "; ".join(calls[:MOST_NAMED])
    more = f" and {len(calls) - MOST_NAMED} more" if len(calls) > MOST_NAMED else ""
    noun = "call was" if len(calls) == 1 else "calls were"
    return f"{len(calls)} {noun} in flight {when}: {named}{more}"


def _opened(path: Path) -> int:
    """Return a file open for reading and appending; made with its folder if missing."""
    path.parent.mkdir(parents=True, exist_ok=True)
    file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o644)
    if not stat.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "it is no regular file")
    return file


def _parse(line: bytes) -> dict[str, Any] | None:
    if not line.endswith(b"\n"):
        return None
    try:
        record = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return record if isinstance(record, dict) and "key" in record else None
