"""A policy's metered view of an engine: every call is replayed or made, kept and billed."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Hashable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import TYPE_CHECKING, Any

from ttc_bench.benchmarks import benchmark_of
from ttc_bench.engines.base import (
    PLAIN,
    Decoding,
    Engine,
    ModelRole,
    ReadRequest,
    Request,
    Sampling,
)
from ttc_bench.engines.columns import slowest
from ttc_bench.engines.completion import BrokenCall, Completion, TokenLogprob
from ttc_bench.engines.ledger import Ledger
from ttc_bench.errors import UserError
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.replay import Replay
from ttc_bench.policies.steering import Passage
from ttc_bench.types import Job, Message, Role

if TYPE_CHECKING:
    from ttc_bench.policies.control import Control


class JobRequests:
    """Builds the requests of one job and reads its answers; nothing here calls a model.

    Args:
        job: The job being answered.
        seed: Seed of the run; sample ``i`` draws from ``(seed, i)``.

    Attributes:
        job: The job.
        seed: The seed.
    """

    def __init__(self, job: Job, seed: int) -> None:
        self.job = job
        self.seed = seed

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
        more = (Message(role=role, content=text) for role, text in zip(roles, turns, strict=False))
        return self.request(messages=(*self.job.messages, *more), **changes)

    def sampling(self, temperature: float, top_p: float = 1.0) -> Sampling:
        """Return sampling settings under the run's seed."""
        return Sampling(temperature=temperature, top_p=top_p, seed=self.seed)

    def parse(self, text: str) -> Hashable:
        """Return the answer in ``text``, read by the benchmark's own parser."""
        return benchmark_of(self.job).parse(text, self.job)


class Session(JobRequests):
    """A policy's metered view of an engine, for one job.

    Requests are built by `JobRequests`; each is replayed from the journal or made and entered
    there by `Replay`; either way it stands in the bill.

    Args:
        engine: The engine that runs what the journal does not hold.
        journal: The journal of completions.
        job: The job being answered.
        seed: Seed of the run; sample ``i`` draws from ``(seed, i)``.
        control: What the policy's time is measured beside; ``None`` where it is not.
        decodings: What may be asked for beside plain decoding; ``None`` for anything.

    Attributes:
        engine: The engine.
        ledger: The bill.
        control: The control.
        passage: The way of its calls past what the run is ordered meanwhile.
    """

    def __init__(
        self,
        engine: Engine,
        journal: Journal,
        job: Job,
        seed: int = 0,
        control: Control | None = None,
        decodings: Collection[Decoding] | None = None,
    ) -> None:
        super().__init__(job, seed)
        self.engine = engine
        self.ledger = Ledger()
        self.control = control
        self._decodings = decodings
        self.passage = Passage()
        self._replay = Replay(engine, journal, job.id, self.enter)
        self._scores: dict[tuple[tuple[Message, ...], str], float] = {}

    @property
    def elapsed_s(self) -> float:
        """Seconds that all calls so far take, one request after the other."""
        return slowest(self.ledger.calls, "latency_s") or 0.0

    def go_by(self, passage: Passage) -> None:
        """Let its calls, and those of its control, take this way."""
        self.passage = passage
        if self.control is not None:
            self.control.session.go_by(passage)

    async def enter(self) -> None:
        """Wait until a call may be made; whoever calls the engine by itself asks here first."""
        await self.passage.enter()

    def beside_control(self) -> AbstractAsyncContextManager[None]:
        """Return the block in which the policy answers: the control runs before or after it."""
        return self.control.beside() if self.control else nullcontext()

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
        sampling = self.sampling(temperature, top_p)
        return await self.complete(
            self.request(
                n=n, first_index=first_index, role=role, sampling=sampling, purpose="sample"
            )
        )

    async def complete(self, request: Request) -> tuple[Completion, ...]:
        """Return ``request.n`` completions; only those not in the journal are computed.

        Raises:
            CallError: If a call failed for good; what came back before is kept and billed.
            UserError: If the journal cannot be written, or the decoding is not one of those that
                the variant says it asks for, which were checked before the first call.
        """
        self._check(request)
        completions: dict[int, Completion] = {}
        broken: list[BrokenCall] = []
        try:
            await self._replay.complete(request, completions, broken)
        finally:
            self.ledger.bill(request, [completions[i] for i in sorted(completions)], broken)
        return tuple([completions[i] for i in request.indexes])

    async def verify(
        self, solutions: Sequence[str], messages: Sequence[Message] | None = None
    ) -> tuple[float, ...]:
        """Return the verifier's score in [0, 1] of each (partial) solution to the job.

        What was read before for the job is not read, nor billed, again.
        """
        question = tuple(messages or self.job.messages)
        unread = tuple(text for text in solutions if (question, text) not in self._scores)
        if unread:
            request = ReadRequest(unread, "verify", "verifier", question)
            reading = await self._replay.read(request, lambda: self.engine.verify(question, unread))
            self.ledger.bill_reading(request, reading)
            read = ((question, text) for text in unread)
            self._scores.update(zip(read, reading.scores, strict=True))
        return tuple(self._scores[question, text] for text in solutions)

    async def prompt_logprobs(
        self, text: str, role: ModelRole = "draft"
    ) -> tuple[TokenLogprob, ...]:
        """Return how likely the model in ``role`` finds each token of ``text``."""
        request = ReadRequest((text,), "prompt_logprobs", role)
        reading = await self._replay.read(request, lambda: self.engine.prompt_logprobs(text, role))
        self.ledger.bill_reading(request, reading)
        return reading.tokens

    def holds(self, request: Request) -> bool:
        """Return whether the journal holds a single-sample request's completion."""
        return bool(self._replay.recall(request))

    def recall(self, request: Request) -> Completion | None:
        """Return a single-sample request's completion if the journal holds it, and bill it."""
        completion = self._replay.recall(request).get(request.first_index)
        if completion is not None:
            self.ledger.bill(request, [completion])
        return completion

    def record(self, request: Request, completion: Completion) -> None:
        """Journal and bill a completion that a policy got from the engine by itself.

        Raises:
            UserError: As `complete` does.
        """
        self._check(request)
        self._replay.keep(request, completion)
        self.ledger.bill(request, [completion])

    def _check(self, request: Request) -> None:
        allowed, decoding = self._decodings, request.decoding
        if allowed is not None and decoding != PLAIN and decoding not in allowed:
            raise UserError(
                f"the decoding {decoding.label} is not among the variant's `decodings()`: name it"
                " there, so that a run is checked before its first call."
            )
