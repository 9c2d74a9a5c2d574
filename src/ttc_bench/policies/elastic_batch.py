"""Variants of elastic batching: many prompts decode together, finished ones make room."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar, Literal, cast

from pydantic import Field

from ttc_bench.engines.base import Decoding
from ttc_bench.engines.completion import CallError, Completion
from ttc_bench.engines.decoding import ElasticBatch
from ttc_bench.policies import Outcome, Requirements, Session, Variant, variant


class _ElasticBatch(Variant):
    """What both orders share.

    Attributes:
        token_budget: Most padded positions in the batch.
        max_rows: Most requests in the batch.
    """

    requires: ClassVar[Requirements] = ElasticBatch.requires
    lossless: ClassVar[bool] = ElasticBatch.lossless
    order: ClassVar[Literal["greedy", "sorted"]]

    token_budget: int = Field(default=8192, ge=1)
    max_rows: int = Field(default=16, ge=1)

    @property
    def batch(self) -> ElasticBatch:
        """The decoding that runs the requests together."""
        return ElasticBatch(
            order=self.order, token_budget=self.token_budget, max_rows=self.max_rows
        )

    def decodings(self) -> tuple[Decoding, ...]:
        """Return the batch."""
        return (self.batch,)

    async def answer(self, session: Session) -> Outcome:
        """Return the answer to one job: a batch of one."""
        (completion,) = await session.complete(session.request(decoding=self.batch))
        return Outcome(completion.text, completion)

    async def outcomes(
        self, sessions: Sequence[Session]
    ) -> AsyncGenerator[tuple[Session, Outcome | Exception], None]:
        """Yield each session with its outcome, in the order in which the sequences finish.

        A batch of what the journal lacks would be another batch, and its times no measurement of
        this one: it is replayed as a whole, or decoded as a whole.
        """
        requests = [session.request(decoding=self.batch) for session in sessions]
        if all(map(Session.holds, sessions, requests)):
            for session, request in zip(sessions, requests, strict=True):
                replayed = cast(Completion, session.recall(request))
                yield session, Outcome(replayed.text, replayed)
            return
        async with contextlib.AsyncExitStack() as controls:
            for session in sessions:
                await controls.enter_async_context(session.beside_control())
                await session.enter()
            async for place, result in sessions[0].engine.complete_many(requests):
                session = sessions[place]
                if isinstance(result, CallError):
                    yield session, result
                    continue
                session.record(requests[place], result)
                yield session, Outcome(result.text, result)
                # All decode together: while the run stands still, so does the batch.
                await session.enter()


@variant("elastic_batch", "greedy")
class FirstFit(_ElasticBatch):
    """Admit waiting prompts first-fit, in the order given."""

    order: ClassVar[Literal["greedy", "sorted"]] = "greedy"


@variant("elastic_batch", "sorted")
class Sorted(_ElasticBatch):
    """Admit waiting prompts by length, longest first, so that neighbours need little padding."""

    order: ClassVar[Literal["greedy", "sorted"]] = "sorted"
