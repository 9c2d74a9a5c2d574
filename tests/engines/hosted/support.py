"""What the tests of the hosted engine share."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

from ttc_bench.engines.base import Engine, Request, Sampling
from ttc_bench.engines.completion import CallError, Completion
from ttc_bench.types import Message

Outcome = Completion | BaseException


def ask(text: str, **changes: Any) -> Request:
    """Return a greedy request for one user message."""
    given = {"messages": (Message(role="user", content=text),), "max_tokens": 64, **changes}
    return Request(**given)


def drawn(seed: int = 0) -> Sampling:
    """Return settings under which samples differ."""
    return Sampling(temperature=0.8, seed=seed)


def complete(engine: Engine, requests: Sequence[Request]) -> list[Outcome]:
    """Return the first sample of every request, or what went wrong; all at once."""

    async def run() -> list[Outcome]:
        try:
            calls = [engine.complete(request) for request in requests]
            outcomes = await asyncio.gather(*calls, return_exceptions=True)
        finally:
            await engine.close()
        return [o if isinstance(o, BaseException) else o[0] for o in outcomes]

    return asyncio.run(run())


def one(engine: Engine, request: Request) -> Completion:
    """Return the completion of one request, which must succeed."""
    (outcome,) = complete(engine, [request])
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def failure(engine: Engine, request: Request) -> CallError:
    """Return how one request failed, which it must."""
    (outcome,) = complete(engine, [request])
    assert isinstance(outcome, CallError), outcome
    return outcome


def percentile(values: Sequence[float], share: float) -> float:
    """Return the value below which ``share`` of the values lie."""
    return sorted(values)[int(share * (len(values) - 1))]
