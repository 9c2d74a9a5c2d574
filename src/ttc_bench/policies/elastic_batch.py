"""Variants of elastic batching: many prompts decode together, finished ones make room."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import ClassVar, Literal, cast

from pydantic import Field

from ttc_bench.engines.base import BatchEngine, Capability, Decoding
from ttc_bench.engines.batching import BatchSchedule
from ttc_bench.engines.completion import CallError, Completion
from ttc_bench.policies import Outcome, Requirements, Session, Variant, variant


class _ElasticBatch(Decoding, Variant):
    """What both orders share; as a decoding it sets batched completions apart from plain ones.

    Attributes:
        token_budget: Most padded positions in the batch.
        max_rows: Most requests in the batch.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE, Capability.BATCH})
    }
    order: ClassVar[Literal["greedy", "sorted"]]

    token_budget: int = Field(default=8192, ge=1)
    max_rows: int = Field(default=16, ge=1)

    async def answer(self, session: Session) -> Outcome:
        """Return the answer to one job: a batch of one."""
        async for _, outcome in self.outcomes([session]):
            if isinstance(outcome, Exception):
                raise outcome
            return outcome
        raise AssertionError("a batch of one yields one outcome")

    async def outcomes(
        self, sessions: Sequence[Session]
    ) -> AsyncGenerator[tuple[Session, Outcome | Exception], None]:
        """Yield each session with its outcome, in the order in which the sequences finish."""
        waiting = []
        for session in sessions:
            held = session.recall(session.request(decoding=self))
            if held is None:
                waiting.append(session)
            else:
                yield session, Outcome(held.text, held)
        if not waiting:
            return
        engine = cast(BatchEngine, waiting[0].engine)
        schedule = BatchSchedule(
            order=self.order, token_budget=self.token_budget, max_rows=self.max_rows
        )
        requests = [session.request() for session in waiting]
        async for place, result in engine.complete_many(requests, schedule):
            yield waiting[place], self._keep(waiting[place], result)

    def _keep(self, session: Session, result: Completion | CallError) -> Outcome | Exception:
        if isinstance(result, CallError):
            return result
        session.record(session.request(decoding=self), result)
        return Outcome(result.text, result)


@variant("elastic_batch", "greedy")
class FirstFit(_ElasticBatch):
    """Admit waiting prompts first-fit, in the order given."""

    order: ClassVar[Literal["greedy", "sorted"]] = "greedy"


@variant("elastic_batch", "sorted")
class Sorted(_ElasticBatch):
    """Admit waiting prompts by length, longest first, so that neighbours need little padding."""

    order: ClassVar[Literal["greedy", "sorted"]] = "sorted"
