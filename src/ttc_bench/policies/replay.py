"""The engine behind the journal: what was computed once is replayed, the rest is kept at once."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from ttc_bench.engines.base import Capability, Engine, ReadRequest, Request, key_of
from ttc_bench.engines.completion import (
    BrokenCall,
    CallError,
    Completion,
    Reading,
    unknown_fields,
)
from ttc_bench.errors import UserError
from ttc_bench.policies.journal import Entry, Journal, Underway

R = TypeVar("R", Completion, Reading)

Keys = Mapping[int, tuple[str, Mapping[str, Any]]]
"""The key of each sample of a request and the identity that it is a digest of, by seed index."""


class Replay:
    """Runs on an engine what a journal does not hold.

    Args:
        engine: The engine.
        journal: The journal of completions.
        job: Id of the job that asks.
        enter: Waits until a call may be made.
    """

    def __init__(
        self, engine: Engine, journal: Journal, job: str, enter: Callable[[], Awaitable[None]]
    ) -> None:
        self._engine = engine
        self._journal = journal
        self._job = job
        self._enter = enter

    def recall(self, request: Request) -> dict[int, Completion]:
        """Return the samples of a request that the journal holds, by seed index."""
        return self._recalled(self._keys(request))

    def keep(self, request: Request, completion: Completion) -> None:
        """Enter a sample of a request in the journal, if that lacks it."""
        self._journal.keep([_entry(self._keys(request), completion)])

    def _keys(self, request: Request) -> Keys:
        models = self._models(request)
        identities = {i: request.identity(models, i) for i in request.indexes}
        return {i: (key_of(identity), identity) for i, identity in identities.items()}

    def _recalled(self, keys: Keys) -> dict[int, Completion]:
        records = self._journal.get_many(list(dict.fromkeys(key for key, _ in keys.values())))
        kept = {
            i: self._restored(key, records.get(key), Completion) for i, (key, _) in keys.items()
        }
        return {i: completion.as_replay(i) for i, completion in kept.items() if completion}

    async def complete(
        self, request: Request, completions: dict[int, Completion], broken: list[BrokenCall]
    ) -> None:
        """Add the samples of a request to ``completions``: of the journal, or made and kept there.

        A kill or a failed neighbour loses nothing: one call per sample, unless the engine draws
        samples together.

        Args:
            request: The request.
            completions: Takes the samples, by seed index.
            broken: Takes the tries that broke off and are billed.

        Raises:
            CallError: If a call failed for good, one that no other can survive before any other.
            UserError: If the journal cannot be written.
        """
        keys = self._keys(request)
        completions |= self._recalled(keys)
        missing = [i for i in request.indexes if i not in completions]
        if not missing:
            return
        runs = self._together(request, missing)
        # Between calls the loop gets to what watches over them.
        await asyncio.sleep(0)
        if len(runs) == 1:
            await self._call(_part(request, runs[0]), keys, completions, broken)
            return
        calls = [self._call(_part(request, run), keys, completions, broken) for run in runs]
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        if failures:
            raise next(filter(_ends_the_run, failures), failures[0])

    def _together(self, request: Request, indexes: Sequence[int]) -> list[list[int]]:
        """Return the samples of each call that a request takes."""
        able = self._engine.capabilities(request.role) if len(indexes) > 1 else ()
        if Capability.BATCHED_SAMPLING in able:
            return list(_consecutive(indexes))
        return [[i] for i in indexes]

    async def _call(
        self,
        request: Request,
        keys: Keys,
        completions: dict[int, Completion],
        broken: list[BrokenCall],
    ) -> None:
        """Run a request as one call, and keep what comes back."""
        await self._enter()
        with self.underway(request):
            try:
                samples = await self._engine.complete(request)
            except CallError as error:
                broken.extend(error.broken)
                raise
            completions |= {completion.index: completion for completion in samples}
            self._journal.keep([_entry(keys, completion) for completion in samples])

    async def read(self, request: ReadRequest, read: Callable[[], Awaitable[Reading]]) -> Reading:
        """Return a reading from the journal, or make it by ``read`` and keep it."""
        identity = request.identity(self._engine.fingerprint(request.role))
        key = key_of(identity)
        if (kept := self._restored(key, self._journal.get(key), Reading)) is not None:
            return kept
        await self._enter()
        with self._journal.underway(f"{self._job}, {request.purpose}"):
            reading = await read()
            self._journal.put(key, reading.to_json(), identity)
        return reading

    def underway(self, request: Request) -> Underway:
        """Return the block in which the call of a request is in flight."""
        first, n = request.first_index, request.n
        samples = f"sample {first}" if n == 1 else f"samples {first} to {first + n - 1}"
        return self._journal.underway(
            f"{self._job}, {request.purpose} by {request.role}, {samples}"
        )

    def _restored(self, key: str, record: dict[str, Any] | None, kind: type[R]) -> R | None:
        """Return what a record holds; one that is no ``kind`` is damaged."""
        if record is None:
            return None
        try:
            restored = kind.from_json(record)
        except (AttributeError, KeyError, TypeError, ValueError):
            self._journal.discard(key)
            return None
        self._journal.note_left_out(unknown_fields(kind, record))
        return restored

    def _models(self, request: Request) -> str:
        """Return the fingerprints of every model that shapes the completion."""
        roles = dict.fromkeys((request.role, *request.decoding.requires))
        return "+".join([self._engine.fingerprint(role) for role in roles])


def _entry(keys: Keys, completion: Completion) -> Entry:
    key, identity = keys[completion.index]
    return key, completion.to_json(), identity


def _part(request: Request, run: Sequence[int]) -> Request:
    """Return the request of some of its samples, that follow each other."""
    if len(run) == request.n:
        return request
    return replace(request, n=len(run), first_index=run[0])


def _consecutive(indexes: Sequence[int]) -> Iterator[list[int]]:
    """Split sorted indexes into runs of consecutive ones: each run is one call."""
    for _, group in itertools.groupby(enumerate(indexes), key=lambda pair: pair[1] - pair[0]):
        yield [index for _, index in group]


def _ends_the_run(failure: BaseException) -> bool:
    return isinstance(failure, UserError) or (isinstance(failure, CallError) and failure.fatal)
