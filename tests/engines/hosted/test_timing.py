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
from tests.conftest import generated, ingested
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.support import ask, complete, one
from tests.metrics.support import run

from ttc_bench.engines.completion import Completion, Timing
from ttc_bench.engines.hosted import HostedModels
from ttc_bench.metrics.base import ScoreParams, ScoringBatch
from ttc_bench.policies.journal import Journal

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
    assert process.stdout
    yield f"http://127.0.0.1:{int(process.stdout.readline())}"
    process.kill()
    process.communicate()


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
        assert timing.retry_s == 0


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


def assert_waited(timing: Timing, tries: list[dict[str, Any]]) -> None:
    """The user waited from the first try's leave to the last token that the server's log has."""
    first, last = tries[0], tries[-1]
    gaps_s = sum(timing.itl_s)
    assert timing.ttft_s is not None
    assert timing.ttft_s >= last["marks"][0] - first["arrived"]
    assert timing.latency_s >= last["marks"][-1] - first["arrived"]
    assert timing.latency_s == pytest.approx(timing.ttft_s + gaps_s)
    assert len(timing.itl_s) == len(last["marks"]) - 1, "the gaps are those of the last try"
    assert timing.latency_s - timing.retry_s >= last["marks"][-1] - last["arrived"]
    assert timing.retry_s >= tries[-2]["marks"][-1] - first["arrived"], "all tries but the last"
    assert timing.queue_s < 0.3, "nothing waited before the first try"


@pytest.mark.parametrize("transport", ["direct", "litellm"])
def test_the_user_waits_for_failed_tries_too(server: FaultServer, transport: str) -> None:
    server.plan(
        faults=["hang"],
        fault_share=1.0,
        fault_tries=1,
        hang_s=5.0,
        ttft_s=0.1,
        itl_s=0.01,
        tokens=6,
    )
    engine = server.engine(first_token_timeout_s=0.5, transport=transport)
    timing = one(engine, ask("hello")).timing
    assert timing.retry_s >= 0.5
    assert timing.latency_s >= 0.65
    assert timing.latency_s - timing.retry_s >= 0.15, "the try that came through"
    assert sum(timing.itl_s) < timing.latency_s - timing.retry_s


@pytest.mark.parametrize("fault", ["cut", "malformed", "error"])
def test_an_answer_after_a_broken_one_has_its_times(server: FaultServer, fault: str) -> None:
    server.plan(faults=[fault], fault_share=1.0, fault_tries=2, ttft_s=0.05, itl_s=0.02, tokens=10)
    completion = one(server.engine(), ask("hello"))
    assert_waited(completion.timing, server.log())
    first, second = (broken.timing for broken in completion.broken)
    assert first.latency_s >= 0.05 + 0.02 * 4, "half of the answer had come"
    assert second.latency_s > first.latency_s
    assert first.latency_s == first.retry_s
    assert completion.timing.retry_s >= second.latency_s, "the wait after the last break counts"


def test_a_row_with_a_broken_try_has_the_times_of_its_answer(server: FaultServer) -> None:
    server.plan(faults=["cut"], fault_share=1.0, fault_tries=1, ttft_s=0.05, itl_s=0.02, tokens=10)
    jobs = ingested("crm_sim", 2)
    frame = generated("baseline.greedy", jobs, server.engine(), Journal(), {}, seed=0)
    metrics = run("latency", ScoringBatch.of(frame, jobs, ScoreParams()))
    assert frame["broken_tokens"].isna().all(), "pieces are no tokens"
    for row in range(len(jobs)):
        gaps = frame["itl_s"][row]
        assert frame["retry_s"][row] > 0.05 + 0.02 * 4
        assert frame["ttft_s"][row] > frame["retry_s"][row] + 0.05
        assert frame["latency_s"][row] == pytest.approx(frame["ttft_s"][row] + sum(gaps))
        assert metrics["retry_s"][row] == frame["retry_s"][row]
        assert metrics["tpot_s"][row] == pytest.approx(sum(gaps) / 9)


def test_a_failed_row_keeps_the_time_until_its_last_try_broke(server: FaultServer) -> None:
    server.plan(faults=["cut"], fault_share=1.0, ttft_s=0.05, itl_s=0.02, tokens=10)
    engine, jobs = server.engine(attempts=2), ingested("crm_sim", 1)
    frame = generated("baseline.greedy", jobs, engine, Journal(), {}, seed=0)
    first, last = server.log()
    assert list(frame["status"]) == ["failed"]
    assert frame["latency_s"][0] >= last["marks"][-1] - first["arrived"]
    assert frame["retry_s"][0] == frame["latency_s"][0]


def test_a_row_whose_every_try_failed_has_no_time_instead_of_none_at_all(
    server: FaultServer,
) -> None:
    server.plan(faults=["500"], fault_share=1.0, tokens=10)
    engine = server.engine(attempts=2)
    jobs = ingested("crm_sim", 1)
    frame = generated("baseline.greedy", jobs, engine, Journal(), {}, seed=0)
    assert list(frame["status"]) == ["failed"]
    assert frame[["latency_s", "retry_s", "queue_s", "ttft_s"]].isna().all().all()
    assert frame["itl_s"][0].tolist() == []


@pytest.mark.parametrize("seed", range(3))
def test_a_row_that_broke_at_some_try_lasted_until_it_was_given_up(
    server: FaultServer, seed: int
) -> None:
    server.plan(
        faults=["cut", "500"], fault_share=1.0, seed=seed, ttft_s=0.05, itl_s=0.02, tokens=10
    )
    jobs = ingested("crm_sim", 1)
    frame = generated("baseline.greedy", jobs, server.engine(attempts=3), Journal(), {}, seed=0)
    log = server.log()
    waited = log[-1]["arrived"] - log[0]["arrived"]
    broke = any(entry["marks"] for entry in log)
    assert frame["latency_s"].notna()[0] == broke
    assert not broke or waited <= frame["latency_s"][0] < waited + 1.0


def test_a_wait_before_the_first_try_is_queue_and_after_it_retry(server: FaultServer) -> None:
    """The first call is refused; the second one has to wait for it before it may leave."""
    server.plan(faults=["429"], fault_share=1.0, fault_tries=1, retry_after="0.3", tokens=2)
    refused, held_up = complete(server.engine(concurrency=1), [ask("first"), ask("second")])
    assert isinstance(refused, Completion)
    assert isinstance(held_up, Completion)
    assert refused.timing.retry_s >= 0.3
    assert refused.timing.latency_s >= refused.timing.retry_s
    assert held_up.timing.queue_s >= refused.timing.queue_s + 0.3
    assert held_up.timing.retry_s >= 0.3


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


def test_a_wait_in_the_servers_queue_is_none_within_the_answer(server: FaultServer) -> None:
    server.plan(fault_share=1.0, faults=["hang"], hang_s=1.0)
    completion = one(server.engine(idle_timeout_s=0.2), ask("hello"))
    assert completion.attempts == 1
    assert completion.timing.ttft_s is not None
    assert completion.timing.ttft_s >= 1.0


def test_what_a_call_cost_that_was_never_begun_is_not_known(
    server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    server.plan(fault_share=1.0, faults=["hang"], fault_tries=1, hang_s=5.0)
    prices = {"openai/known": {"prompt": 1.0, "completion": 1.0}}
    engine = server.engine(first_token_timeout_s=0.4, prices=prices, concurrency=8)
    completion = one(engine, ask("hello"))
    (broken,) = completion.broken
    assert (broken.error_type, broken.usd, broken.usage.is_estimated) == ("timeout", None, True)
    assert completion.usd is not None
    assert (
        "did not begin to answer within model.first_token_timeout_s: now at most 4" in caplog.text
    )


@pytest.mark.parametrize("fault", ["429", "500", "hang", "cut", "malformed", "error", "empty"])
def test_a_job_lasts_as_long_as_its_user_waits_whatever_failed(
    server: FaultServer, fault: str
) -> None:
    server.plan(
        faults=[fault],
        fault_share=1.0,
        fault_tries=2,
        ttft_s=0.1,
        itl_s=0.02,
        tokens=10,
        hang_s=9.0,
    )
    engine, jobs = server.engine(first_token_timeout_s=0.5), ingested("crm_sim", 1)
    frame = generated("baseline.greedy", jobs, engine, Journal(), {}, seed=0)
    log = server.log()
    assert list(frame["status"]) == ["ok"]
    lasted = log[-1]["marks"][-1] - log[0]["arrived"]
    assert lasted <= frame["latency_s"][0] < lasted + 0.5
    assert frame["ttft_s"][0] >= log[-1]["marks"][0] - log[0]["arrived"]
    metrics = run("latency", ScoringBatch.of(frame, jobs, ScoreParams()))
    assert metrics["tpot_s"][0] == pytest.approx(0.02, rel=0.5)
