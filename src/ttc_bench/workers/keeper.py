"""One process keeps the journal of a run, and the workers of all machines write through it."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, cast

from ttc_bench.errors import UserError
from ttc_bench.policies.journal import Entry, Journal


class Keeper:
    """Owns the journal's file for the workers; an actor on the machine of the run.

    Args:
        path: The file; ``None`` keeps it in memory.
    """

    def __init__(self, path: Path | None) -> None:
        self._journal = Journal(path)
        self._calls: dict[str, dict[int, str]] = {}
        """What each worker has in flight, by the number of the call."""

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record under ``key``; see `Journal.get`."""
        return self._journal.get(key)

    def put(self, key: str, record: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        """Keep a record; on return it is in the file. Of one that is there already nothing."""
        if self._journal.get(key) is None:
            self._journal.put(key, record, identity)

    def get_many(self, keys: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the records under keys, of those that have one."""
        return self._journal.get_many(keys)

    def keep(self, entries: Collection[Entry]) -> None:
        """Keep records; on return they are in the file. Of those that are there already nothing."""
        self._journal.keep(entries)

    def discard(self, key: str) -> None:
        """Count a record as damaged; see `Journal.discard`."""
        self._journal.discard(key)

    def note_left_out(self, names: Collection[str]) -> None:
        """Count a record that holds more than this version knows."""
        self._journal.note_left_out(names)

    def tell_damage(self) -> None:
        """Log damaged records; see `Journal.tell_damage`."""
        self._journal.tell_damage()

    def begin(self, worker: str, call: str) -> int:
        """Note that a call of a worker begins; return its number."""
        number = self._journal.begin(call)
        self._calls.setdefault(worker, {})[number] = call
        return number

    def end(self, worker: str, number: int) -> None:
        """Note that it has ended."""
        self._journal.end(number)
        self._calls.get(worker, {}).pop(number, None)

    def close(self) -> None:
        """Close the journal; what is in flight stays written down."""
        self._journal.close()

    def lost(self, worker: str) -> list[str]:
        """Return what a worker had in flight that is no more, and forget it."""
        calls = self._calls.pop(worker, {})
        for number in calls:
            self._journal.end(number)
        return list(calls.values())


class RemoteJournal(Journal):
    """A worker's journal, which is the keeper's: what is put there is kept, whatever comes.

    Args:
        keeper: Handle of the `Keeper`.
        worker: Name of the worker.
    """

    def __init__(self, keeper: Any, worker: str) -> None:
        super().__init__()
        self._keeper = keeper
        self._worker = worker

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record that the keeper has under ``key``, or ``None``."""
        return cast("dict[str, Any] | None", answer_of(self._keeper.get.remote(key)))

    def put(self, key: str, record: Mapping[str, Any], identity: Mapping[str, Any]) -> None:
        """Keep ``record``; on return it is in the file of the run's own machine.

        Raises:
            UserError: If it cannot be written there.
        """
        answer_of(self._keeper.put.remote(key, record, identity))

    def get_many(self, keys: Collection[str]) -> dict[str, dict[str, Any]]:
        """Return the records that the keeper has under keys."""
        return cast("dict[str, dict[str, Any]]", answer_of(self._keeper.get_many.remote(keys)))

    def keep(self, entries: Collection[Entry]) -> None:
        """Keep entries that are not there yet; on return they are in the file.

        Raises:
            UserError: If they cannot be written there.
        """
        answer_of(self._keeper.keep.remote(entries))

    def discard(self, key: str) -> None:
        """Let the keeper count the record as damaged."""
        answer_of(self._keeper.discard.remote(key))

    def note_left_out(self, names: Collection[str]) -> None:
        """Let the keeper count a record of another version, if it is one."""
        if names:
            self._keeper.note_left_out.remote(names)

    def tell_damage(self) -> None:
        """Do nothing: the keeper tells."""

    def begin(self, call: str) -> int:
        """Note that a call begins, in the file that a kill of the run leaves behind."""
        return cast(int, answer_of(self._keeper.begin.remote(self._worker, call)))

    def end(self, number: int) -> None:
        """Note that it has ended; nobody waits for that."""
        self._keeper.end.remote(self._worker, number)


def answer_of(reference: Any) -> Any:
    """Return what an actor answers.

    Raises:
        UserError: If that is what it raised.
        RayError: If the actor is lost, or failed otherwise.
    """
    import ray
    from ray.exceptions import RayTaskError

    try:
        return ray.get(reference)
    except RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise UserError(error.cause.message) from error
        raise
