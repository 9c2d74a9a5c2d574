"""The clock of the hosted engine is that of the server, at any concurrency."""

from __future__ import annotations

import itertools
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pytest
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.support import ask, complete, one

from ttc_bench.engines.completion import Completion
from ttc_bench.engines.hosted import HostedModels

CALLS, TOKENS = 150, 24


@pytest.fixture(scope="module")
def timed() -> Iterator[str]:
    """Address of a server with TTFT 200 ms +-40%, ITL 20 ms, 24 tokens."""
    process = subprocess.Popen(
        [
            sys.executable,
            str(Path(__file__).parent / "timed_server.py"),
            "0.2",
            "0.02",
            str(TOKENS),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin
    assert process.stdout
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.stdin.close()
    process.wait(timeout=10)


def test_times_are_those_of_the_servers_own_log(timed: str) -> None:
    """Nothing is seen before it was sent, token by token; how close, bench_timing.py tells."""
    engine = HostedModels(
        target="openai/timed", api_base=f"{timed}/v1", requests_per_s=None
    ).build()
    texts = [f"job {i}" for i in range(CALLS)]
    completions = dict(zip(texts, complete(engine, [ask(text) for text in texts]), strict=True))
    with urlopen(timed) as answer:
        log: dict[str, Any] = {entry["prompt"]: entry for entry in json.load(answer)}
    assert log.keys() == completions.keys()
    for text, completion in completions.items():
        assert isinstance(completion, Completion)
        timing, entry = completion.timing, log[text]
        assert timing.ttft_s is not None
        assert len(timing.itl_s) == TOKENS - 1, "every token has its time"
        ours = list(itertools.accumulate(timing.itl_s, initial=timing.ttft_s))
        theirs = [mark - entry["arrived"] for mark in entry["marks"]]
        assert all(seen >= sent for seen, sent in zip(ours, theirs, strict=True))
        assert timing.latency_s == pytest.approx(ours[-1])
        assert timing.latency_s < 5, "the wait for a place is no latency"


def test_the_wait_in_our_own_limiter_is_kept_apart(server: FaultServer) -> None:
    server.plan(ttft_s=0.05, tokens=4)
    engine = server.engine(requests_per_s=4)
    completions = complete(engine, [ask(f"job {i}") for i in range(8)])
    timings = [c.timing for c in completions if isinstance(c, Completion)]
    assert len(timings) == 8
    waited = sorted(timing.queue_s for timing in timings)
    assert waited[3] < 0.5
    assert waited[4] > 1.0, "the fifth waits for the next second"
    assert max(timing.ttft_s or 9.0 for timing in timings) < 0.5


def test_the_wait_for_a_place_is_a_wait_too(server: FaultServer) -> None:
    server.plan(ttft_s=0.2, tokens=1)
    engine = server.engine(concurrency=1)
    completions = complete(engine, [ask(f"job {i}") for i in range(3)])
    queued = sorted(c.timing.queue_s for c in completions if isinstance(c, Completion))
    assert queued[0] < 0.1
    assert queued[1] > 0.19
    assert queued[2] > 0.39
    assert max(entry["inside"] for entry in server.log()) == 1


def test_the_providers_own_figures_stand_beside_ours(server: FaultServer) -> None:
    timed = {"queue_time": 0.25, "prompt_time": 0.1, "completion_time": 0.4, "total_time": 0.5}
    server.plan(
        extra_chunk={"x_groq": {"id": "req", "usage": timed}},
        headers={"x-ratelimit-limit-requests": "14400", "x-ratelimit-remaining-tokens": "9000"},
    )
    completion = one(server.engine(), ask("hello"))
    assert completion.timing.provider_s == pytest.approx(0.75), "queue and total"
    assert completion.timing.provider_queue_s == pytest.approx(0.25)
    assert completion.extra["headers"] == {
        "x-ratelimit-limit-requests": "14400",
        "x-ratelimit-remaining-tokens": "9000",
    }


def test_what_vllm_reports_about_a_request_is_read(server: FaultServer) -> None:
    metrics = {
        "time_to_first_token_ms": 85.0,
        "generation_time_ms": 1240.0,
        "queue_time_ms": 12.0,
        "speculative_decoding": {"num_draft_tokens": 129, "num_accepted_draft_tokens": 10},
    }
    server.plan(extra_chunk={"metrics": metrics})
    completion = one(server.engine(), ask("hello"))
    assert completion.timing.provider_s == pytest.approx(1.337)
    assert completion.timing.provider_queue_s == pytest.approx(0.012)
    assert (completion.usage.draft_tokens, completion.usage.accepted_tokens) == (129, 10)


def test_what_is_not_reported_is_unknown_not_zero(server: FaultServer) -> None:
    completion = one(server.engine(), ask("hello"))
    assert completion.usage.draft_tokens is None
    assert completion.usage.accepted_tokens is None
    assert completion.usage.forward_passes is None
    assert completion.timing.provider_s is None
    assert completion.usd is None


def test_an_engine_serves_one_event_loop_after_another(server: FaultServer) -> None:
    engine = server.engine()
    texts = {one(engine, ask("the same")).text for _ in range(3)}
    assert len(texts) == 1
    assert len({entry["peer"] for entry in server.log()}) == 3, "a loop's connections are closed"


def test_connections_are_used_again(server: FaultServer) -> None:
    engine = server.engine(concurrency=4)
    complete(engine, [ask(f"job {i}") for i in range(40)])
    log = server.log()
    assert len(log) == 40
    assert len({entry["peer"] for entry in log}) <= 4
