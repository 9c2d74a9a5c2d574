"""A run waits as long as it may, ends when nothing can go better, and keeps secrets."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest
from tests.conftest import generated, ingested
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.support import ask, complete, failure, one

from ttc_bench.engines.completion import CallError, Completion
from ttc_bench.engines.hosted import HostedModels
from ttc_bench.engines.hosting.failures import from_status, retry_after_s
from ttc_bench.engines.hosting.reported import duration_s
from ttc_bench.errors import UserError
from ttc_bench.pipelines.generate.nodes import begin_again, end_at_once
from ttc_bench.policies.journal import Journal

AT_MOST_S = 30
"""What tells waits of hours or for ever from those of seconds, on a machine that others use."""


@pytest.mark.parametrize("reset", ["6h", "21600", "6h0m0s"])
def test_a_limit_used_up_for_hours_holds_up_no_call_that_is_answered(
    server: FaultServer, reset: str
) -> None:
    headers = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": reset}
    server.plan(headers=headers)
    engine = server.engine(max_wait_s=2)
    started = time.perf_counter()
    assert isinstance(one(engine, ask("first")), Completion)
    assert isinstance(one(engine, ask("second")), Completion)
    assert time.perf_counter() - started < AT_MOST_S


def test_a_moment_in_place_of_a_span_is_a_span() -> None:
    assert duration_s(str(time.time() + 60)) == pytest.approx(60, abs=1)
    assert duration_s(str(int(1000 * (time.time() + 60)))) == pytest.approx(60, abs=1)
    assert duration_s(str(time.time() - 60)) is None
    assert duration_s("nan") is None


@pytest.mark.parametrize(
    "wait", ["0", "-5", "nan", "inf", "1e999", "0.0", "Wed, 21 Oct 2015 07:28:00 GMT"]
)
def test_a_wait_that_is_none_leaves_ours(server: FaultServer, wait: str) -> None:
    assert retry_after_s({"retry-after": wait}) is None
    assert retry_after_s({"retry-after-ms": wait}) is None
    server.plan(fault_share=1.0, faults=["429"], retry_after=wait)
    engine = server.engine(max_wait_s=1.5)
    started = time.perf_counter()
    outcomes = complete(engine, [ask(f"job {i}") for i in range(3)])
    assert all(isinstance(outcome, CallError) for outcome in outcomes)
    assert time.perf_counter() - started < AT_MOST_S
    assert len(server.log()) < 40, "backoff held them back"


def test_waits_that_the_provider_asks_for_count_towards_the_longest(server: FaultServer) -> None:
    server.plan(fault_share=1.0, faults=["429"], retry_after="0.5")
    started = time.perf_counter()
    error = failure(server.engine(max_wait_s=2), ask("hello"))
    assert error.error_type == "rate_limit"
    assert time.perf_counter() - started < AT_MOST_S
    assert len(server.log()) <= 5


@pytest.mark.parametrize(("status", "kind"), [(403, "no_permission"), (404, "unknown_model")])
def test_a_stray_page_in_a_healthy_run_stops_nothing(
    server: FaultServer, status: int, kind: str
) -> None:
    engine = server.engine()
    one(engine, ask("first"))
    server.plan(fault_share=1.0, faults=[str(status)], fault_tries=1)
    completion = one(engine, ask("second"))
    assert [entry["error"] for entry in completion.extra["attempts"]] == [kind]


def test_an_endpoint_that_is_gone_ends_the_run(server: FaultServer) -> None:
    engine = server.engine(attempts=1, concurrency=1)
    one(engine, ask("first"))
    server.plan(fault_share=1.0, faults=["404"])
    outcomes = complete(engine, [ask(f"job {i}") for i in range(30)])
    assert any(isinstance(outcome, CallError) and outcome.fatal for outcome in outcomes)
    assert len(server.log()) < 10, "not job by job"


@pytest.mark.parametrize(
    ("message", "kind"),
    [
        ("Invalid model name passed in model=x. Call `/v1/models` to see", "unknown_model"),
        ("The model `x` does not exist", "unknown_model"),
        ("Authentication Error, Invalid proxy server token passed", "bad_key"),
        ("No connected db.", "bad_key"),
        ("The plain HTTP request was sent to HTTPS port", "no_tls"),
    ],
)
def test_a_proxys_general_refusal_is_read(message: str, kind: str) -> None:
    failed = from_status(400, f'{{"error": {{"message": "{message}"}}}}', {}, "openai", "x")
    assert (failed.error_type, failed.fatal) == (kind, True)


@pytest.mark.parametrize(
    "message",
    [
        "This model's maximum context length is 4096 tokens.",
        "Invalid prompt: a token is out of range",
        "temperature must be at most 2",
    ],
)
def test_a_refusal_of_one_prompt_ends_no_run(message: str) -> None:
    failed = from_status(400, f'{{"error": {{"message": "{message}"}}}}', {}, "openai", "x")
    assert not failed.fatal


def test_tls_where_there_is_none_is_told(server: FaultServer) -> None:
    address = server.api_base.replace("http://", "https://")
    error = failure(server.engine(api_base=address), ask("hello"))
    assert error.fatal
    assert "should begin with http://" in str(error)
    assert "Is the server running?" not in str(error)


def test_a_redirect_is_not_followed(server: FaultServer) -> None:
    server.plan(fault_share=1.0, faults=["307"])
    error = failure(server.engine(), ask("hello"))
    assert error.fatal
    assert "sends calls on to elsewhere.example" in str(error)
    assert len(server.log()) == 1


@pytest.mark.parametrize(
    "settings",
    [
        {"api_base": "http://user:hunter2secret@host/v1"},
        {"api_base": "user:hunter2secret@host/v1"},
        {"api_base": "http://host/v1?api_key=hunter2secret"},
        {"extra_body": {"api_key": "hunter2secret"}},
        {"extra_body": {"any": {"x": "sk-hunter2secret"}}},
        {"headers": {"X-Key": "hunter2secret"}},
    ],
)
def test_a_secret_in_a_parameter_is_refused_with_the_remedy(settings: dict[str, object]) -> None:
    with pytest.raises(UserError) as raised:
        HostedModels(**{"target": "openai/any", "api_base": "http://h/v1", **settings}).build()
    assert "hunter2secret" not in raised.value.message
    assert "model.headers" in raised.value.message


def test_a_header_of_ones_own_is_sent_and_what_echoes_it_is_cleaned(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_HEADER", "hunter2secret")
    engine = server.engine(headers={"X-Own": "MY_HEADER"})
    server.plan(
        body='data: {"choices": [{"delta": {"content": "hunter2secret!"}, '
        '"finish_reason": "stop"}]}\n\ndata: [DONE]\n\n'
    )
    completion = one(engine, ask("hello"))
    assert completion.text == "[key hidden]!"
    (entry,) = server.log()
    assert entry["own_header"] == "hunter2secret"


@pytest.mark.parametrize(
    ("target", "settings", "fields"),
    [
        (
            "hosted_vllm/m",
            {"enable_thinking": False},
            {"chat_template_kwargs": {"enable_thinking": False}},
        ),
        ("hosted_vllm/m", {"thinking_budget": 64}, {"thinking_token_budget": 64}),
        ("hosted_vllm/m", {"reasoning_effort": "low"}, {"reasoning_effort": "low"}),
        (
            "openai/m",
            {"enable_thinking": True},
            {"chat_template_kwargs": {"enable_thinking": True}},
        ),
    ],
)
def test_how_much_a_model_thinks_is_a_parameter(
    server: FaultServer, target: str, settings: dict[str, object], fields: dict[str, object]
) -> None:
    one(server.engine(target=target, logprobs=False, **settings), ask("hello"))
    (entry,) = server.log()
    assert fields.items() <= entry["parameters"].items()


def test_a_budget_that_a_provider_is_not_known_to_take_is_refused(server: FaultServer) -> None:
    with pytest.raises(UserError, match=r"model\.thinking_budget.*model\.extra_body"):
        server.engine(thinking_budget=5)


def test_a_run_in_threads_ends_when_it_is_told_to(server: FaultServer) -> None:
    """A signal reaches the main thread, which waits for the others."""
    server.plan(ttft_s=5.0)
    jobs, ends = ingested("crm_sim", 2), list[BaseException]()

    def work() -> None:
        try:
            generated("baseline.greedy", jobs, server.engine(), Journal(), {}, seed=0)
        except BaseException as end:
            ends.append(end)

    at_work, next_one = threading.Thread(target=work), threading.Thread(target=work)
    at_work.start()
    while len(server.log()) < 2:
        time.sleep(0.02)
    next_one.start()
    end_at_once()
    try:
        at_work.join(timeout=20)
        next_one.join(timeout=20)
    finally:
        begin_again()
    assert [type(end) for end in ends] == [asyncio.CancelledError, KeyboardInterrupt]
    assert len(server.log()) == 2, "what waits for its turn does not begin"
    server.plan()
    generated("baseline.greedy", jobs, server.engine(), Journal(), {}, seed=0)
