"""Limits hold in every window that the server sees, and no more is held back than they ask."""

from __future__ import annotations

import asyncio
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.support import ask, complete, one

from ttc_bench.engines.completion import Completion
from ttc_bench.engines.hosting.concurrency import ConcurrencyLimiter
from ttc_bench.engines.hosting.limits import SlidingWindow


def most_in_a_window(times: list[float], window_s: float) -> int:
    """Return the most events in any half-open window of ``window_s``."""
    ordered, first, most = sorted(times), 0, 0
    for last, at in enumerate(ordered):
        while ordered[first] <= at - window_s:
            first += 1
        most = max(most, last - first + 1)
    return most


@pytest.mark.parametrize("limit", [20, 100])
def test_no_second_holds_more_than_the_limit_and_the_limit_is_used(
    server: FaultServer, limit: int
) -> None:
    seconds = 4
    engine = server.engine(requests_per_s=limit)
    outcomes = complete(engine, [ask(f"job {i}") for i in range(limit * seconds)])
    assert all(isinstance(outcome, Completion) for outcome in outcomes)
    arrived = [entry["arrived"] for entry in server.log()]
    assert len(arrived) == limit * seconds
    # Between leaving and arriving a busy machine may hold a request up: a window of 0.8 s leaves
    # 0.2 s for that. What leaves is held to the second by a clock of its own, below.
    assert most_in_a_window(arrived, 0.8) <= limit
    # From its first request to the one that opens the last window, a limiter without loss
    # takes exactly seconds - 1.
    spans = sorted(arrived)
    rate = limit * (seconds - 1) / (spans[limit * (seconds - 1)] - spans[0])
    assert rate >= 0.6 * limit, "on a quiet machine 0.98; half of it would be a limiter that loses"


@given(st.integers(1, 6), st.lists(st.floats(0.0, 2.0), min_size=1, max_size=60))
def test_no_second_holds_more_leaving_requests_than_the_limit(
    limit: int, gaps_s: list[float]
) -> None:
    now, left = 0.0, list[float]()
    window = SlidingWindow(limit, 1.0, clock=lambda: now)
    for gap_s in gaps_s:
        now += gap_s
        while (delay_s := window.delay_s(1)) > 0:
            now += delay_s
        window.take(1).sent_s = now
        left.append(now)
    assert most_in_a_window(left, 1.0) <= limit
    if sum(gaps_s) < 0.5:
        # All ask at once: the limit is used, but for the margin that the window keeps.
        full = (len(gaps_s) - 1) // limit
        assert left[-1] <= sum(gaps_s) + 1.1 * full + 0.1


def test_a_window_forgets_what_is_past_and_counts_what_is_about_to_leave() -> None:
    now = 0.0
    window = SlidingWindow(2, 1.0, clock=lambda: now)
    first, second = window.take(1), window.take(1)
    assert window.delay_s(1) > 0, "two are about to leave"
    now = 5.0
    assert window.delay_s(1) > 0, "they still are, however long it takes"
    first.sent_s = second.sent_s = 5.0
    now = 6.0
    assert 0 < window.delay_s(1) < 0.1
    now = 6.1
    assert window.delay_s(1) == 0


def test_tokens_are_booked_as_used_not_as_estimated() -> None:
    now = 0.0
    window = SlidingWindow(1000, 60.0, clock=lambda: now)
    slot = window.take(900)
    slot.sent_s = 0.0
    assert window.delay_s(200) > 0
    window.change(slot, 100)
    assert window.delay_s(200) == 0
    assert window.delay_s(1001) > 0
    now = 61.0
    assert window.delay_s(1001) == 0, "what never fits is for the provider to refuse"


def test_tokens_per_minute_hold_requests_back(server: FaultServer) -> None:
    server.plan(tokens=10)
    engine = server.engine(tokens_per_minute=400)

    async def run() -> int:
        calls = [asyncio.ensure_future(engine.complete(ask(f"job {i}"))) for i in range(60)]
        done, pending = await asyncio.wait(calls, timeout=1.5)
        for call in pending:
            call.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        await engine.close()
        return len(done)

    done = asyncio.run(run())
    # Each takes 12 tokens, and an estimate of about 74 has to fit while it is on its way.
    assert 400 / 12 - 7 <= done <= 400 / 12


def test_retry_after_is_obeyed_by_all_calls(server: FaultServer) -> None:
    server.plan(per_second=10, retry_after="0.7")
    engine = server.engine(requests_per_s=None)
    outcomes = complete(engine, [ask(f"job {i}") for i in range(40)])
    assert all(isinstance(outcome, Completion) for outcome in outcomes)
    log = sorted(server.log(), key=lambda entry: entry["arrived"])
    first_refusal = next(entry["arrived"] for entry in log if entry["status"] == 429)
    later = [entry["arrived"] for entry in log if entry["arrived"] > first_refusal + 0.1]
    assert min(later) >= first_refusal + 0.7 - 0.001
    assert any(outcome.attempts > 1 for outcome in outcomes if isinstance(outcome, Completion))


def test_concurrency_falls_on_refusals_and_rises_again(server: FaultServer) -> None:
    server.plan(most_at_once=6, ttft_s=0.05, tokens=2)
    engine = server.engine(concurrency=48, requests_per_s=None)
    outcomes = complete(engine, [ask(f"job {i}") for i in range(250)])
    assert all(isinstance(outcome, Completion) for outcome in outcomes)
    log = sorted(server.log(), key=lambda entry: entry["arrived"])
    half = len(log) // 2
    refused_early = sum(entry["status"] == 429 for entry in log[:half])
    refused_late = sum(entry["status"] == 429 for entry in log[half:])
    assert refused_early > refused_late
    assert refused_late < 0.3 * half, "the limiter has found what the server takes"

    server.plan(ttft_s=0.02, tokens=2)
    outcomes = complete(engine, [ask(f"more {i}") for i in range(1500)])
    assert max(entry["inside"] for entry in server.log()) > 24, "and it opens again"


def test_a_gate_halves_once_per_overload_and_never_closes() -> None:
    limiter = ConcurrencyLimiter(40, "endpoint")
    before = time.perf_counter()
    for _ in range(10):
        limiter.refused(before)
    assert limiter.limit == 20, "ten calls that were refused together are one overload"
    for _ in range(10):
        limiter.refused(time.perf_counter())
    assert limiter.limit == 1
    for _ in range(1000):
        limiter.succeeded()
    assert limiter.limit == 40


def test_used_up_limits_are_waited_for_by_the_providers_headers(server: FaultServer) -> None:
    server.plan(
        headers={"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "600ms"}
    )
    engine = server.engine()
    one(engine, ask("first"))
    one(engine, ask("second"))
    first, second = (entry["arrived"] for entry in server.log())
    assert second - first >= 0.6
