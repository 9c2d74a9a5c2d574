"""A policy's metered view of an engine: every call is replayed or made, kept and billed."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from typing import Any

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.engines.base import Capability, Engine, ModelRole, Request, Sampling
from ttc_bench.engines.completion import (
    BrokenCall,
    CallError,
    Completion,
    Reading,
    Timing,
    TokenSurprisal,
    Usage,
)
from ttc_bench.errors import UserError
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.responses import Call, Ledger
from ttc_bench.types import Job, Message, Role


class Session:
    """A policy's metered view of an engine, for one job.

    Every call is looked up in the journal first and entered there when it is done; every call
    stands in `ledger`, replayed or not.

    Args:
        engine: The engine that runs what the journal does not hold.
        journal: The journal of completions.
        job: The job being answered.
        seed: Seed of the run; sample ``i`` draws from ``(seed, i)``.
    """

    def __init__(self, engine: Engine, journal: Journal, job: Job, seed: int = 0) -> None:
        self.engine = engine
        self.job = job
        self.seed = seed
        self.ledger = Ledger()
        self._journal = journal
        self._requests = itertools.count()

    def request(self, **changes: Any) -> Request:
        """Return the plain greedy request for the job, with ``changes`` to its fields."""
        defaults: dict[str, Any] = {
            "messages": self.job.messages,
            "max_tokens": self.job.max_tokens,
            "stop": self.job.stop,
        }
        return Request(**{**defaults, **changes})

    def continuing(self, *turns: str, **changes: Any) -> Request:
        """Return the request that goes on behind ``turns``, the model's and the user's by turns.

        If the last one is the model's, it goes on exactly where that one ends.
        """
        roles: Iterator[Role] = itertools.cycle(("assistant", "user"))
        said = (Message(role=role, content=text) for role, text in zip(roles, turns, strict=False))
        return self.request(messages=(*self.job.messages, *said), **changes)

    async def sample(
        self,
        n: int,
        temperature: float,
        top_p: float = 1.0,
        first_index: int = 0,
        role: ModelRole = "target",
    ) -> tuple[Completion, ...]:
        """Return ``n`` samples of the job from the pool that all sampling policies share.

        Sample ``i`` is the same whichever policy asks for it at these settings.
        """
        return await self.complete(
            self.request(
                n=n,
                first_index=first_index,
                role=role,
                sampling=self.sampling(temperature, top_p),
                purpose="sample",
            )
        )

    def sampling(self, temperature: float, top_p: float = 1.0) -> Sampling:
        """Return sampling settings under the run's seed."""
        return Sampling(temperature=temperature, top_p=top_p, seed=self.seed)

    def parse(self, text: str) -> Hashable:
        """Return the answer in ``text``, read by the benchmark's own parser."""
        return BENCHMARKS[self.job.benchmark].parse(text, self.job)

    async def complete(self, request: Request) -> tuple[Completion, ...]:
        """Return ``request.n`` completions; only those not in the journal are computed.

        Raises:
            CallError: If a call failed for good; what came back before is kept and billed.
        """
        number = next(self._requests)
        fingerprint = _identity(self.engine, request)
        wanted = range(request.first_index, request.first_index + request.n)
        keys = {i: request.key(fingerprint, i) for i in wanted}
        held = {i: self._journal.get(key) for i, key in keys.items()}
        found = {i: Completion.from_json(r).as_replay(i) for i, r in held.items() if r is not None}
        broken: list[BrokenCall] = []
        try:
            for part in _runs([i for i in wanted if i not in found]):
                run = replace(request, n=len(part), first_index=part[0])
                await self._compute(run, keys, found, broken)
        finally:
            self._bill(number, request, [found[i] for i in wanted if i in found])
            self._bill_broken(number, request, broken)
        return tuple(found[i] for i in wanted)

    async def verify(
        self, solutions: Sequence[str], messages: Sequence[Message] | None = None
    ) -> tuple[float, ...]:
        """Return the verifier's score in [0, 1] of each (partial) solution to the job."""
        asked = tuple(messages or self.job.messages)
        reading = await self._read(
            Request(messages=asked, max_tokens=1, role="verifier", purpose="verify"),
            "\x00".join(solutions),
            lambda: self.engine.verify(asked, solutions),
        )
        return reading.scores

    async def surprisal(self, text: str, role: ModelRole = "draft") -> tuple[TokenSurprisal, ...]:
        """Return how unexpected each token of ``text`` is to the model in ``role``."""
        reading = await self._read(
            Request(
                messages=(Message(role="user", content=text),),
                max_tokens=1,
                role=role,
                purpose="surprisal",
            ),
            text,
            lambda: self.engine.surprisal(text, role),
        )
        return reading.tokens

    def recall(self, request: Request) -> Completion | None:
        """Return a single-sample request's completion if the journal holds it, and bill it."""
        key = request.key(_identity(self.engine, request), request.first_index)
        held = self._journal.get(key)
        if held is None:
            return None
        completion = Completion.from_json(held).as_replay(request.first_index)
        self._bill(next(self._requests), request, [completion])
        return completion

    def record(self, request: Request, completion: Completion) -> None:
        """Journal and bill a completion that a policy got from the engine by itself."""
        key = request.key(_identity(self.engine, request), request.first_index)
        self._journal.put(key, completion.to_json())
        self._bill(next(self._requests), request, [completion])

    async def _compute(
        self,
        request: Request,
        keys: Mapping[int, str],
        found: dict[int, Completion],
        broken: list[BrokenCall],
    ) -> None:
        def keep(completion: Completion) -> None:
            found[completion.index] = completion
            self._journal.put(keys[completion.index], completion.to_json())

        unkept: list[UserError] = []

        def keep_all(done: asyncio.Future[tuple[Completion, ...]]) -> None:
            # What a callback raises reaches nobody.
            try:
                for completion in _result(done):
                    keep(completion)
            except UserError as error:
                unkept.append(error)

        if Capability.BATCHED_SAMPLING in self.engine.capabilities(request.role):
            for completion in await self.engine.complete(request):
                keep(completion)
            return
        # One call per sample, each kept the moment it is done: a kill or a failed
        # neighbour loses nothing.
        last = request.first_index + request.n
        calls = [
            asyncio.ensure_future(self.engine.complete(replace(request, n=1, first_index=i)))
            for i in range(request.first_index, last)
        ]
        for call in calls:
            call.add_done_callback(keep_all)
        outcomes = await asyncio.gather(*calls, return_exceptions=True)
        if unkept:
            raise unkept[0]
        failures = [outcome for outcome in outcomes if isinstance(outcome, BaseException)]
        for failure in failures:
            broken += failure.broken if isinstance(failure, CallError) else ()
        if failures:
            raise next((f for f in failures if isinstance(f, CallError) and f.fatal), failures[0])

    async def _read(self, request: Request, text: str, read: Callable[[], Any]) -> Reading:
        number = next(self._requests)
        key = replace(request, stop=(text,)).key(self.engine.fingerprint(request.role), 0)
        held = self._journal.get(key)
        if held is not None:
            reading = _reading_from_json(held)
        else:
            reading = await read()
            self._journal.put(key, asdict(reading))
        self.ledger.calls.append(
            _call(number, request, reading.usage, reading.timing, reading.model)(
                usd=reading.usd, replayed=reading.replayed
            )
        )
        return reading

    def _bill(self, number: int, request: Request, completions: Sequence[Completion]) -> None:
        for position, completion in enumerate(completions):
            usage = completion.usage
            if completion.shared_prefill and position:
                usage = replace(usage, cached_tokens=usage.prompt_tokens, prefill_flops=0.0)
            line = _call(number, request, usage, completion.timing, completion.model)
            self.ledger.calls.append(
                line(
                    usd=completion.usd,
                    attempts=completion.attempts,
                    replayed=completion.replayed,
                )
            )
            self._bill_broken(number, request, completion.broken, completion.replayed)

    def _bill_broken(
        self, number: int, request: Request, broken: Sequence[BrokenCall], replayed: bool = False
    ) -> None:
        """Bill what a provider charged for tries that came to nothing."""
        for call in broken:
            line = _call(
                number, replace(request, purpose="broken"), call.usage, call.timing, call.model
            )
            self.ledger.calls.append(line(usd=call.usd, replayed=replayed))


def _identity(engine: Engine, request: Request) -> str:
    """Return the fingerprints of every model that shapes the completion."""
    roles = dict.fromkeys((request.role, *request.decoding.requires))
    return "+".join(engine.fingerprint(role) for role in roles)


def _runs(indexes: Sequence[int]) -> Iterator[list[int]]:
    """Split sorted indexes into runs of consecutive ones: each run is one call."""
    for _, group in itertools.groupby(enumerate(indexes), key=lambda pair: pair[1] - pair[0]):
        yield [index for _, index in group]


def _result(done: asyncio.Future[tuple[Completion, ...]]) -> tuple[Completion, ...]:
    if done.cancelled():
        return ()
    error = done.exception()
    if error is None:
        return done.result()
    return error.completions if isinstance(error, CallError) else ()


def _reading_from_json(data: Mapping[str, Any]) -> Reading:
    return Reading(
        model=data["model"],
        usage=Usage(**data["usage"]),
        timing=Timing(**{**data["timing"], "itl_s": tuple(data["timing"]["itl_s"])}),
        scores=tuple(data["scores"]),
        tokens=tuple(TokenSurprisal(**t) for t in data["tokens"]),
        usd=data["usd"],
        replayed=True,
    )


def _call(
    number: int, request: Request, usage: Usage, timing: Timing, model: str
) -> Callable[..., Call]:
    """Return a partly filled line of the bill."""
    flops = (
        None
        if usage.prefill_flops is None or usage.decode_flops is None
        else usage.prefill_flops + usage.decode_flops
    )
    shared = {k: v for k, v in asdict(usage).items() if k in Call.__dataclass_fields__}
    if request.prompt_share_kept is not None:
        shared["prompt_share_kept"] = request.prompt_share_kept

    def line(**rest: Any) -> Call:
        return Call(
            request=number,
            role=request.role,
            purpose=request.purpose,
            model=model,
            flops=flops,
            queue_s=timing.queue_s,
            ttft_s=timing.ttft_s,
            latency_s=timing.latency_s,
            provider_s=timing.provider_s,
            provider_queue_s=timing.provider_queue_s,
            **shared,
            **rest,
        )

    return line
