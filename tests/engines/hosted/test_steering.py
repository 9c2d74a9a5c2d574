"""What is asked of a run on hosted models holds from the next request on."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any

import pytest
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.support import ask

from ttc_bench.engines.base import CallLimits
from ttc_bench.engines.completion import CallError, Completion
from ttc_bench.engines.hosted import HostedEngine
from ttc_bench.engines.hosting.attempts import Attempts
from ttc_bench.engines.hosting.limits import Throttle
from ttc_bench.errors import UserError

PRICES = {"openai/known": {"prompt": 100.0, "completion": 100.0}}

Ask = Callable[[int], Awaitable[Sequence[object]]]


def on(engine: HostedEngine, act: Callable[[Ask], Coroutine[Any, Any, None]]) -> None:
    """Do something on an event loop, which may ask so many questions at once."""

    async def asked(count: int) -> Sequence[object]:
        calls = (engine.complete(ask(f"job {i}")) for i in range(count))
        return await asyncio.gather(*calls, return_exceptions=True)

    async def run() -> None:
        try:
            await act(asked)
        finally:
            await engine.close()

    asyncio.run(run())


def are_answers(outcomes: Sequence[object]) -> bool:
    return all(isinstance(one, tuple) and isinstance(one[0], Completion) for one in outcomes)


def test_a_pause_holds_what_waits_for_its_turn_and_retries_too(server: FaultServer) -> None:
    server.plan(fault_share=1.0, faults=["500"], fault_tries=1)
    engine = server.engine(concurrency=4)

    async def logged() -> int:
        return len(await asyncio.to_thread(server.log))

    async def act(asked: Ask) -> None:
        calls = asyncio.ensure_future(asked(12))
        while await logged() == 0:
            await asyncio.sleep(0.01)
        engine.limit(CallLimits(paused=True))
        before = -1
        while (now := await logged()) != before:
            before = now  # What was on its way arrives.
            await asyncio.sleep(0.3)
        await asyncio.sleep(0.7)  # Longer than the first wait for another try.
        assert await logged() == before < 24
        engine.limit(CallLimits())
        assert are_answers(await calls)

    on(engine, act)
    assert len(server.log()) == 24


def test_a_pause_is_no_time_that_a_sample_loses() -> None:
    throttle = Throttle()
    throttle.hold(True)
    time.sleep(0.05)
    throttle.hold(True)
    held_s = throttle.held_s
    assert held_s >= 0.05
    throttle.hold(False)
    assert throttle.held_s >= held_s
    attempts = Attempts(started_s=time.perf_counter() - 1000.0)
    assert attempts.lost_s >= 1000.0
    attempts.held_s = 900.0
    assert 100.0 <= attempts.lost_s < 200.0


def test_fewer_and_more_calls_at_once(server: FaultServer) -> None:
    server.plan(ttft_s=0.05)
    engine = server.engine(concurrency=6)
    inside: list[int] = []

    async def act(asked: Ask) -> None:
        for most in (6, 2, 12):
            seen = len(server.log())
            engine.limit(CallLimits(concurrency=most))
            assert engine.concurrency == most
            assert are_answers(await asked(24))
            inside.append(max(entry["inside"] for entry in server.log()[seen:]))

    on(engine, act)
    first, few, many = inside
    assert first <= 6
    assert few <= 2
    assert 2 < many <= 12


def test_a_limit_a_minute_counts_what_left_before_it(server: FaultServer) -> None:
    engine = server.engine()

    async def act(asked: Ask) -> None:
        assert are_answers(await asked(3))
        engine.limit(CallLimits(requests_per_minute=3))
        calls = asyncio.ensure_future(asked(4))
        await asyncio.sleep(0.5)
        assert len(server.log()) == 3
        engine.limit(CallLimits())
        assert are_answers(await calls)

    on(engine, act)


def test_dollars_that_are_spent_count_for_a_lower_limit(server: FaultServer) -> None:
    engine = server.engine(prices=PRICES)

    async def act(asked: Ask) -> None:
        assert are_answers(await asked(3))
        engine.limit(CallLimits(max_usd=0.001))
        errors = await asked(3)
        assert all(isinstance(error, CallError) and error.fatal for error in errors)
        assert "model.max_usd (0.001 dollars)" in str(errors[0])
        engine.limit(CallLimits(max_usd=100.0))
        assert are_answers(await asked(3))

    on(engine, act)


def test_what_cannot_be_changed_is_refused_and_nothing_is(server: FaultServer) -> None:
    engine = server.engine(concurrency=5)
    with pytest.raises(UserError, match="no price is known for openai/known"):
        engine.limit(CallLimits(max_usd=1.0, concurrency=2))
    assert engine.concurrency == 5
    counted = server.engine(concurrency=5, counters=True)
    with pytest.raises(UserError, match=r"model\.counters"):
        counted.limit(CallLimits(concurrency=2))
