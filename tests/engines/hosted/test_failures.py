"""What can pass is tried again, what cannot is a row or ends the run, and all of it is billed."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import pytest
from tests.conftest import full_after, generated
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.support import ask, complete, drawn, failure, one

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.engines.base import PLAIN, Decoding, Plain, Requirements
from ttc_bench.engines.completion import CallError, Completion
from ttc_bench.engines.decoding import ElasticBatch, FixedLayer
from ttc_bench.engines.hosted import HostedModels
from ttc_bench.engines.hosting.dry_run import DryRun
from ttc_bench.engines.hosting.failures import from_status
from ttc_bench.engines.wrappers import EngineByRole
from ttc_bench.errors import CapabilityError, UserError
from ttc_bench.policies import Session
from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job, Message

if TYPE_CHECKING:
    from ttc_bench.engines.runtime.context import DecodeContext

FAULTS = ["429", "500", "hang", "slow", "cut", "malformed", "error", "empty", "wrong_usage"]


def jobs(count: int) -> list[Job]:
    """Return jobs that differ."""
    assert "crm_sim" in BENCHMARKS
    return [
        Job(
            id=f"crm_sim/{i}",
            benchmark="crm_sim",
            task="any",
            messages=(Message(role="user", content=f"question {i}"),),
            references=("w1",),
            reward_metric="exact_match",
            max_tokens=32,
        )
        for i in range(count)
    ]


def test_five_hundred_jobs_with_thirty_percent_faults_lose_nothing(server: FaultServer) -> None:
    server.plan(fault_share=0.3, faults=FAULTS, tokens=6, retry_after="0.05", hang_s=5.0)
    engine = server.engine(
        first_token_timeout_s=0.3,
        idle_timeout_s=0.3,
        requests_per_s=None,
        attempts=12,
        concurrency=50,
        max_wait_s=60,
    )
    journal = Journal()
    frame = generated("baseline.greedy", jobs(500), engine, journal, {}, seed=0)
    assert list(frame["status"]) == ["ok"] * 500
    assert list(frame["job_id"]) == [f"crm_sim/{i}" for i in range(500)]
    log = server.log()
    last = {entry["identity"]: entry for entry in log}
    assert len(last) == 500
    assert len(log) > 600, "faults were met"
    assert int(frame["retries"].sum()) == len(log) - 500, "every try is in the bill"
    assert len(journal) == 500
    assert frame["text"].nunique() == 500, "no answer of one job is another's"


def test_a_full_disk_ends_the_run_in_a_line_and_costs_no_answer(
    server: FaultServer, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    engine = server.engine(requests_per_s=None, concurrency=5)
    generated("baseline.greedy", jobs(60), engine, Journal(path), {}, seed=0)
    with full_after(path, 20), pytest.raises(UserError, match="cannot write the journal"):
        generated("baseline.greedy", jobs(300), engine, Journal(path), {}, seed=0)
    made = len(server.log())
    assert made <= 60 + 2 * 5, "no call is paid that cannot be kept, but for those on their way"
    journal = Journal(path)
    assert len(journal) >= 60
    frame = generated("baseline.greedy", jobs(100), engine, journal, {}, seed=0)
    assert list(frame["status"]) == ["ok"] * 100
    assert int(frame["replayed"].sum()) >= 60


@pytest.mark.parametrize("policy", ["baseline.greedy", "self_consistency.majority"])
def test_a_limit_lets_calls_end_that_are_on_their_way(server: FaultServer, policy: str) -> None:
    """They are paid: a run that goes on asks for none of them again."""
    settings = {} if policy == "baseline.greedy" else {"n": 3}
    server.plan(tokens=8, ttft_s=0.05)
    journal = Journal()
    limited = server.engine(max_requests=30, requests_per_s=None, concurrency=7)
    with pytest.raises(UserError, match=r"model\.max_requests \(30\): 30 requests made"):
        generated(policy, jobs(40), limited, journal, settings, seed=0)
    assert len(server.log()) == len(journal) == 30
    frame = generated(policy, jobs(40), server.engine(), journal, settings, seed=0)
    assert (frame["status"] == "ok").all()
    assert len(server.log()) == len(journal) == 40 * settings.get("n", 1)


@pytest.mark.parametrize(
    ("fault", "error_type"),
    [
        ("429", "rate_limit"),
        ("500", "server_error"),
        ("hang", "timeout"),
        ("cut", "broken_stream"),
        ("error", "server_error"),
        ("malformed", "malformed"),
        ("empty", "empty_answer"),
    ],
)
def test_what_can_pass_is_tried_again_and_logged(
    server: FaultServer, fault: str, error_type: str
) -> None:
    server.plan(fault_share=1.0, faults=[fault], fault_tries=2, hang_s=5.0)
    completion = one(server.engine(first_token_timeout_s=0.3, idle_timeout_s=0.3), ask("hello"))
    assert completion.attempts == 3
    assert [entry["error"] for entry in completion.extra["attempts"]] == [error_type] * 2
    assert len(server.log()) == 3
    assert len(completion.text.split()) == 8


def test_a_stream_broken_half_way_is_billed_and_retried_whole(server: FaultServer) -> None:
    server.plan(fault_share=1.0, faults=["cut"], fault_tries=1, tokens=10)
    price = {"openai/known": {"prompt": 1e6, "completion": 1e6}}
    engine = server.engine(prices=price)
    job = jobs(1)[0]
    session = Session(engine, Journal(), job)

    async def run() -> Completion:
        (completion,) = await session.complete(session.request())
        await engine.close()
        return completion

    completion = asyncio.run(run())
    assert completion.usage.completion_tokens == 10
    whole, broken = session.ledger.calls
    assert (whole.purpose, broken.purpose) == ("answer", "broken")
    assert broken.completion_tokens == 5, "five pieces had come, and perhaps more tokens"
    assert broken.is_estimated
    assert whole.usd == 10 + 2
    assert broken.usd is None, "what the provider charges for it is not known"
    assert broken.prompt_tokens > 0
    totals = session.ledger.totals()
    for name in ("completion_tokens", "prompt_tokens", "broken_tokens", "usd", "spent_tokens"):
        assert totals[name] is None
    assert totals["retries"] == 1


def test_a_call_that_fails_for_good_still_bills_what_broke_off(server: FaultServer) -> None:
    server.plan(fault_share=1.0, faults=["cut"], tokens=10)
    engine = server.engine(attempts=2)
    session = Session(engine, Journal(), jobs(1)[0])

    async def run() -> None:
        with pytest.raises(CallError, match="the stream broke off"):
            await session.complete(session.request())
        await engine.close()

    asyncio.run(run())
    assert [call.purpose for call in session.ledger.calls] == ["broken", "broken"]
    assert [call.completion_tokens for call in session.ledger.calls] == [5, 5]


def test_failures_are_rows_with_class_message_and_attempts(server: FaultServer) -> None:
    server.plan(fault_share=1.0, faults=["500"])
    frame = generated("baseline.greedy", jobs(3), server.engine(attempts=2), Journal(), {}, seed=0)
    assert list(frame["status"]) == ["failed"] * 3
    assert list(frame["error_type"]) == ["server_error"] * 3
    assert frame["error_message"][0] == ("openai/known: The server had an error (HTTP 500)")
    assert list(frame["info"]) == ['{"attempts": 2}'] * 3
    assert frame["text"].isna().all()
    assert len(server.log()) == 6


def test_a_prompt_that_is_too_long_is_one_failed_row(server: FaultServer) -> None:
    server.plan(most_prompt=20)
    engine = server.engine()
    short, long = complete(engine, [ask("short"), ask("much too long for this model")])
    assert isinstance(short, Completion)
    assert isinstance(long, CallError)
    assert (long.error_type, long.attempts, long.fatal) == ("context_length", 1, False)
    assert len(server.log()) == 2, "it is not tried again"


@pytest.mark.parametrize(
    ("plan", "error_type", "line"),
    [
        ({"key": "another"}, "bad_key", "Check the key in OPENAI_API_KEY"),
        ({"models": ["other"]}, "unknown_model", "The model `known` does not exist"),
    ],
)
def test_a_bad_key_or_model_ends_the_run_at_the_first_answer(
    server: FaultServer, plan: dict[str, object], error_type: str, line: str
) -> None:
    server.plan(**plan)
    engine = server.engine(concurrency=5)
    with pytest.raises(UserError) as raised:
        generated("baseline.greedy", jobs(200), engine, Journal(), {}, seed=0)
    assert line in raised.value.message
    assert "\n" not in raised.value.message
    assert len(server.log()) <= 5, "only what was in flight"
    assert failure(engine, ask("hello")).error_type == error_type
    assert len(server.log()) <= 5, "a dead endpoint is not asked again"


def test_an_endpoint_that_is_not_there_is_named_at_once() -> None:
    engine = HostedModels(target="openai/any", api_base="http://127.0.0.1:9/v1").build()
    started = time.perf_counter()
    error = failure(engine, ask("hello"))
    assert error.fatal
    assert "cannot be reached at http://127.0.0.1:9/v1/chat/completions" in str(error)
    assert "Is the server running?" in str(error)
    assert time.perf_counter() - started < 30, "not the minutes of its retries"


def test_a_wait_longer_than_allowed_ends_the_run(server: FaultServer) -> None:
    server.plan(fault_share=1.0, faults=["429"], retry_after="3600")
    error = failure(server.engine(max_wait_s=60), ask("hello"))
    assert error.fatal
    assert "asks to wait 3600 s, longer than model.max_wait_s" in str(error)
    assert len(server.log()) == 1


def test_usage_that_cannot_be_true_is_estimated_and_has_no_price(
    server: FaultServer,
) -> None:
    server.plan(fault_share=1.0, faults=["wrong_usage"])
    prices = {"openai/known": {"prompt": 1.0, "completion": 1.0}}
    completion = one(server.engine(prices=prices), ask("hello there"))
    assert completion.usage.completion_tokens == 8
    assert completion.usage.prompt_tokens > 0
    assert completion.usd is None
    assert completion.usage.is_estimated
    assert "estimated by us" in completion.extra["usage"]


def test_samples_of_one_request_are_kept_when_a_neighbour_fails(server: FaultServer) -> None:
    server.plan(fault_share=0.5, faults=["500"], seed=3)
    engine, journal = server.engine(attempts=1), Journal()
    session = Session(engine, journal, jobs(1)[0])

    async def run() -> None:
        with pytest.raises(CallError):
            await session.complete(session.request(n=8, sampling=drawn()))
        await engine.close()

    asyncio.run(run())
    served = [entry for entry in server.log() if entry["done"]]
    assert 0 < len(served) < 8
    assert len(journal) == len(served) == len(session.ledger.calls)


def test_each_sample_has_a_seed_of_its_own_and_the_same_one_again(server: FaultServer) -> None:
    engine = server.engine()

    async def run() -> tuple[Completion, ...]:
        try:
            one_each = [ask("hello", first_index=i, sampling=drawn()) for i in range(4)]
            return tuple(
                completion
                for (completion,) in await asyncio.gather(*map(engine.complete, one_each))
            )
        finally:
            await engine.close()

    first, again = asyncio.run(run()), asyncio.run(run())
    assert [c.index for c in first] == [0, 1, 2, 3]
    assert len({c.text for c in first}) == 4
    assert [c.text for c in again] == [c.text for c in first]
    assert "seed" not in one_parameters(server, engine)


def one_parameters(server: FaultServer, engine: object) -> dict[str, object]:
    """Return the parameters that a greedy request carries."""
    server.plan()
    one(server.engine(), ask("hello"))
    (entry,) = server.log()
    return dict(entry["parameters"])


def test_a_stop_string_that_the_server_leaves_in_is_cut_off(server: FaultServer) -> None:
    server.plan(stop_text=" END of it")
    completion = one(server.engine(), ask("hello", stop=("END",)))
    assert completion.text.endswith(" ")
    assert "END" not in completion.text
    assert completion.finish_reason == "stop"


def test_what_ended_an_answer_is_known_once_a_server_has_left_a_stop_string_in(
    server: FaultServer,
) -> None:
    engine, request = server.engine(), ask("hello", stop=("END",))
    assert "stop_reason" not in one(engine, request).extra, "nothing tells: it is not made up"
    server.plan(stop_text=" END of it")
    assert one(engine, request).extra["stop_reason"] == "END"
    server.plan()
    assert one(engine, request).extra["stop_reason"] is None, "the model ended its turn"


def test_an_answer_cut_by_its_budget_says_so(server: FaultServer) -> None:
    completion = one(server.engine(), ask("hello", max_tokens=3))
    assert completion.finish_reason == "length"
    assert completion.usage.completion_tokens == 3


def test_logprobs_come_with_every_token(server: FaultServer) -> None:
    engine = server.engine(logprobs=True)
    completion = one(engine, ask("hello"))
    assert completion.logprobs == (-0.25,) * 8
    server.plan(logprobs=False)
    error = failure(engine, ask("hello"))
    assert error.fatal
    assert "set model.logprobs=false" in str(error)


def test_a_partial_answer_needs_an_endpoint_that_continues_it(server: FaultServer) -> None:
    partial = ask(
        "hello", messages=(*ask("hello").messages, Message(role="assistant", content="w"))
    )
    (refused,) = complete(server.engine(), [partial])
    assert isinstance(refused, CapabilityError)
    assert "continue" in str(refused)
    assert server.log() == []
    one(server.engine(continuation="prefill"), partial)
    one(server.engine(continuation="vllm"), partial)
    plain, marked = server.log()
    assert plain["last_role"] == "assistant"
    assert "continue_final_message" not in plain["parameters"]
    assert marked["parameters"]["continue_final_message"] is True
    assert marked["parameters"]["add_generation_prompt"] is False


class Mine(Decoding):
    """A decoding that claims to need nothing of a model, and has a loop of its own."""

    requires: ClassVar[Requirements] = PLAIN.requires

    def run(self, context: DecodeContext) -> None:
        """Fail: no engine that runs no loop may get here, or answer without."""
        raise AssertionError("no provider runs this")


class MinePlain(Plain):
    """Plain decoding under another name, which a provider does not know."""


@pytest.mark.parametrize("decoding", [Mine(), MinePlain(), FixedLayer(), ElasticBatch()], ids=repr)
def test_a_decoding_that_a_provider_cannot_run_is_refused_before_any_call(
    server: FaultServer, decoding: Decoding
) -> None:
    engine = server.engine()
    for refusing in (engine, EngineByRole({"target": engine}), DryRun(engine)):
        (refused,) = complete(refusing, [ask("hello", decoding=decoding)])
        assert isinstance(refused, CapabilityError)
        assert type(decoding).__name__ in refused.message
        assert "\n" not in refused.message
        with pytest.raises(CapabilityError, match="requests together"):
            refusing.complete_many([ask("hello", decoding=decoding)])
    assert server.log() == []


def test_samples_of_a_provider_are_calls_of_their_own(server: FaultServer) -> None:
    (refused,) = complete(server.engine(), [ask("hello", n=2, sampling=drawn())])
    assert isinstance(refused, CapabilityError)
    assert "batched_sampling" in refused.message
    assert server.log() == []


@pytest.mark.parametrize(
    ("status", "code", "error_type", "retryable", "fatal"),
    [
        (400, "", "bad_request", False, False),
        (400, "model_decommissioned", "unknown_model", False, True),
        (401, "", "bad_key", False, True),
        (402, "", "no_credit", False, True),
        (403, "", "no_permission", False, True),
        (404, "", "unknown_model", False, True),
        (408, "", "timeout", True, False),
        (413, "", "too_large", False, False),
        (422, "", "bad_request", False, False),
        (429, "", "rate_limit", True, False),
        (429, "insufficient_quota", "no_credit", False, True),
        (500, "", "server_error", True, False),
        (502, "", "server_error", True, False),
        (503, "", "server_error", True, False),
        (529, "", "server_error", True, False),
    ],
)
def test_what_a_status_means(
    status: int, code: str, error_type: str, retryable: bool, fatal: bool
) -> None:
    body = f'{{"error": {{"message": "no", "code": "{code}"}}}}'
    for provider in ("openai", "groq", "hosted_vllm", "together_ai"):
        failed = from_status(status, body, {}, provider, "model")
        assert failed.error_type == error_type
        assert (failed.retryable, failed.fatal) == (retryable, fatal)
