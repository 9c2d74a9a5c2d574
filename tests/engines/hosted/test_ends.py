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
from ttc_bench.engines.hosting import client
from ttc_bench.engines.hosting.failures import from_status, retry_after_s
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


NO_WAITS = ["0", "-5", "nan", "inf", "1e999", "0.0", "Wed, 21 Oct 2015 07:28:00 GMT"]


@pytest.mark.parametrize("wait", NO_WAITS)
def test_a_wait_that_is_none_is_no_wait(wait: str) -> None:
    assert retry_after_s({"retry-after": wait}) is None
    assert retry_after_s({"retry-after-ms": wait}) is None


@pytest.mark.parametrize("wait", [NO_WAITS[0], NO_WAITS[-1]])
def test_a_wait_that_is_none_leaves_ours(server: FaultServer, wait: str) -> None:
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


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, "redirect"),
        (400, "bad_request"),
        (401, "bad_key"),
        (402, "no_credit"),
        (403, "no_permission"),
        (404, "unknown_model"),
        (405, "no_endpoint"),
        (407, "proxy"),
        (418, "bad_request"),
        (502, "server_error"),
    ],
)
def test_a_stray_page_in_a_healthy_run_stops_nothing(
    server: FaultServer, status: int, kind: str
) -> None:
    engine = server.engine()
    one(engine, ask("first"))
    server.plan(fault_share=1.0, faults=[str(status)], fault_tries=1)
    completion = one(engine, ask("second"))
    assert [entry["error"] for entry in completion.extra["attempts"]] == [kind]


@pytest.mark.parametrize("status", [302, 401, 404, 405, 407, 410, 501])
def test_a_page_in_the_place_of_the_first_answer_ends_the_run(
    server: FaultServer, status: int
) -> None:
    server.plan(fault_share=1.0, faults=[str(status)])
    error = failure(server.engine(), ask("hello"))
    assert (error.fatal, error.attempts) == (True, 1)
    assert len(server.log()) == 1


@pytest.mark.parametrize("fault", ["502", "503", "429", "hang", "418"])
def test_an_endpoint_of_which_nothing_comes_for_long_ends_the_run(
    server: FaultServer, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.plan(fault_share=1.0, faults=[fault], hang_s=5.0)
    settings = {"first_token_timeout_s": 0.2, "attempts": 1, "max_wait_s": 0, "concurrency": 1}
    requests = [ask(f"job {i}") for i in range(30)]
    waiting = complete(server.engine(**settings), requests[:8])
    if fault != "418":
        assert not any(isinstance(end, CallError) and end.fatal for end in waiting), "not at once"
    monkeypatch.setattr(client, "_SILENT_S", 0.0)
    server.plan(fault_share=1.0, faults=[fault], hang_s=5.0)
    outcomes = complete(server.engine(**settings), requests)
    (end, *_) = [end for end in outcomes if isinstance(end, CallError) and end.fatal]
    assert "5 calls in a row had no answer" in str(end)
    assert len(server.log()) < 10, "not job by job"


def test_refusals_of_requests_are_answers(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "_SILENT_S", 0.0)
    server.plan(fault_share=1.0, faults=["500"])
    outcomes = complete(server.engine(attempts=1), [ask(f"job {i}") for i in range(12)])
    assert all(isinstance(end, CallError) and not end.fatal for end in outcomes)


def test_a_pause_of_hours_that_a_proxy_asks_for_in_a_healthy_run_is_not_made(
    server: FaultServer,
) -> None:
    engine = server.engine()
    one(engine, ask("first"))
    server.plan(fault_share=1.0, faults=["503"], fault_tries=1, retry_after="7200")
    assert one(engine, ask("second")).attempts == 2


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


@pytest.mark.parametrize("transport", ["direct", "litellm"])
@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(server: FaultServer, transport: str, status: int) -> None:
    place = f"{server.root}/elsewhere/chat/completions"
    server.plan(fault_share=1.0, faults=[str(status)], location=place)
    error = failure(server.engine(transport=transport), ask("hello"))
    assert (error.error_type, error.fatal) == ("redirect", True)
    assert f"sends calls on to {server.root.removeprefix('http://')}" in str(error)
    assert [entry["path"] for entry in server.log()] == ["/v1/chat/completions"]


def test_a_provider_with_a_protocol_of_its_own_takes_no_key_elsewhere(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-planted-0123456789")
    place = f"{server.root}/elsewhere/chat/completions"
    server.plan(fault_share=1.0, faults=["307"], location=place)
    target = "anthropic/claude-sonnet-4-5"
    error = failure(server.engine(target=target, api_base=server.messages), ask("hello"))
    assert (error.error_type, error.fatal) == ("redirect", True)
    assert [entry["path"] for entry in server.log()] == ["/v1/messages"]


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
