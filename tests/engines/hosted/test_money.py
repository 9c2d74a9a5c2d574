"""Dollars come from the price map, and a budget is never passed."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.support import ask, complete, one

from ttc_bench.engines.completion import CallError, Completion, Usage
from ttc_bench.engines.hosted import HostedModels
from ttc_bench.engines.hosting.endpoint import resolve
from ttc_bench.engines.hosting.library import litellm
from ttc_bench.engines.hosting.money import Price, listed_price, most_prompt_tokens
from ttc_bench.errors import UserError

PRICES = {"openai/known": {"prompt": 10.0, "completion": 100.0}}


def cost(log: list[dict[str, object]], prompt: int, completion: int) -> float:
    """Return the dollars that the provider asks for what it answered."""
    answered = sum(entry["status"] == 200 for entry in log)
    return answered * (prompt * 10.0 + completion * 100.0) / 1e6


def test_prices_are_those_of_litellms_map() -> None:
    price = listed_price("gpt-4o-mini", "openai")
    assert price is not None
    assert (price.prompt, price.completion, price.cached) == pytest.approx((0.15, 0.6, 0.075))
    usage = Usage(prompt_tokens=1000, cached_tokens=400, completion_tokens=100)
    assert price.usd(usage) == pytest.approx((600 * 0.15 + 400 * 0.075 + 100 * 0.6) / 1e6)


@pytest.mark.parametrize("name", ["llama-3.3-70b-versatile", "llama-3.1-8b-instant"])
def test_the_models_of_the_groq_environment_have_a_price(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "key")
    price = resolve(f"groq/{name}", None).price
    assert price is not None
    assert 0 < price.prompt < price.completion < 1
    own = Price(prompt=7.0, completion=9.0)
    assert resolve(f"groq/{name}", None, price=own).price == own


def test_an_unknown_price_is_unknown(server: FaultServer) -> None:
    assert listed_price("no-such-model", "openai") is None
    assert one(server.engine(), ask("hello")).usd is None


def test_a_price_of_ones_own_is_billed(server: FaultServer) -> None:
    completion = one(server.engine(prices=PRICES), ask("two words"))
    assert completion.usd == pytest.approx((2 * 10.0 + 8 * 100.0) / 1e6)


def test_requests_stop_at_their_limit(server: FaultServer) -> None:
    outcomes = complete(server.engine(max_requests=7), [ask(f"job {i}") for i in range(20)])
    errors = [o for o in outcomes if isinstance(o, CallError)]
    assert len(server.log()) == 7
    assert len(errors) == 13
    assert all(error.fatal for error in errors)
    assert "before it passes model.max_requests (7): 7 requests made" in str(errors[0])


def test_tries_count_as_requests(server: FaultServer) -> None:
    server.plan(fault_share=1.0, faults=["500"])
    (outcome,) = complete(server.engine(max_requests=3), [ask("hello")])
    assert isinstance(outcome, CallError)
    assert outcome.error_type == "budget"
    assert len(server.log()) == 3


def test_dollars_are_used_but_never_passed(server: FaultServer) -> None:
    server.plan(tokens=8, ttft_s=0.01)
    limit = 0.05
    engine = server.engine(prices=PRICES, max_usd=limit, concurrency=20)
    outcomes = complete(engine, [ask(f"job {i}", max_tokens=16) for i in range(200)])
    spent = cost(server.log(), 2, 8)
    most = Price(**PRICES["openai/known"]).usd(
        Usage(prompt_tokens=most_prompt_tokens(["job 100"]), completion_tokens=16)
    )
    assert limit - most - 0.00082 < spent <= limit
    assert sum(o.usd or 0.0 for o in outcomes if isinstance(o, Completion)) == pytest.approx(spent)
    errors = [o for o in outcomes if isinstance(o, CallError)]
    assert errors
    assert "model.max_usd (0.05 dollars)" in str(errors[0])


def test_a_limit_in_dollars_needs_a_price(server: FaultServer) -> None:
    with pytest.raises(UserError, match=r"no price is known for openai/known.*model\.prices"):
        server.engine(max_usd=1.0)


def test_a_prompt_is_never_more_tokens_than_reckoned() -> None:
    texts = ["hello", "żółć " * 50, "🦜🔗" * 30, "a" * 1000, " \n\t" * 200, ""]
    for text in texts:
        assert len(litellm().encode(model="gpt-4o", text=text)) <= most_prompt_tokens([text])


def test_limits_are_those_of_a_run_over_all_its_models(server: FaultServer) -> None:
    engine = HostedModels(
        target="openai/known",
        draft="openai/small",
        api_base=f"{server.root}/v1",
        max_requests=4,
    ).build()
    requests = [ask("hello", role=role) for role in ("target", "draft") for _ in range(4)]
    outcomes = complete(engine, requests)
    assert sum(isinstance(outcome, Completion) for outcome in outcomes) == 4
    assert len(server.log()) == 4


def raw(*events: dict[str, Any], done: bool = True) -> str:
    """Return the body of an event stream."""
    lines = "".join(f"data: {json.dumps(event)}\n\n" for event in events)
    return lines + ("data: [DONE]\n\n" if done else "")


LARGE = {"choices": [{"delta": {"content": "word " * 400}}]}
MALFORMED = "data: {\n\n"


@pytest.mark.parametrize("first", [[LARGE], [], [{"choices": [{"delta": {"role": "assistant"}}]}]])
def test_what_a_broken_stream_cost_is_not_known_and_booked_at_the_most(
    server: FaultServer, first: list[dict[str, Any]]
) -> None:
    server.plan(body=raw(*first, done=False) + MALFORMED)
    engine = server.engine(prices=PRICES, max_usd=0.3, attempts=3)
    outcomes = complete(engine, [ask(f"job {i}", max_tokens=500) for i in range(20)])
    most = 500 * 100.0 / 1e6
    assert len(server.log()) * most <= 0.3, "each may have been answered to its last token"
    for outcome in outcomes:
        assert isinstance(outcome, CallError)
        assert all(broken.usd is None for broken in outcome.broken)


def test_a_whole_answer_in_json_is_paid_once(server: FaultServer) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 30}
    answer = {"choices": [{"message": {"content": "yes"}, "finish_reason": "stop"}], "usage": usage}
    server.plan(body=json.dumps(answer), content_type="application/json")
    completion = one(server.engine(prices=PRICES), ask("hello"))
    assert completion.usd == pytest.approx((10 * 10.0 + 20 * 100.0) / 1e6)
    assert len(server.log()) == 1


@pytest.mark.parametrize("transport", ["direct", "litellm"])
def test_a_server_that_ignores_its_limit_is_cut_off_and_said(
    server: FaultServer, transport: str
) -> None:
    server.plan(tokens=500, itl_s=0.01, ignores_limit=True)
    engine = server.engine(prices=PRICES, transport=transport)
    completion = one(engine, ask("hello", max_tokens=8))
    assert len(completion.text.split()) == 8
    assert completion.finish_reason == "length"
    assert "went on past max_tokens" in completion.extra["past_max_tokens"]
    assert completion.usd is None
    (entry,) = server.log()
    assert len(entry["marks"]) < 100, "it noticed soon that nobody listens"


def test_what_went_past_its_limit_is_booked_at_what_came(server: FaultServer) -> None:
    server.plan(body=raw(*[LARGE] * 50), hold_s=0.0)
    engine = server.engine(prices=PRICES, max_usd=0.05, concurrency=1)
    outcomes = complete(engine, [ask(f"job {i}", max_tokens=2) for i in range(30)])
    errors = [outcome for outcome in outcomes if isinstance(outcome, CallError)]
    assert errors, "the run stops, however little was asked for"
    assert errors[0].error_type == "budget"


def test_more_than_was_asked_for_is_billed_as_told_and_said(server: FaultServer) -> None:
    usage = {"prompt_tokens": 10, "completion_tokens": 999}
    end = {"choices": [{"delta": {"content": "x"}, "finish_reason": "stop"}], "usage": usage}
    server.plan(body=raw(end))
    completion = one(server.engine(prices=PRICES), ask("hello", max_tokens=8))
    assert completion.usd == pytest.approx((10 * 10.0 + 999 * 100.0) / 1e6)
    assert "999 tokens billed where 8" in completion.extra["past_max_tokens"]


def test_letters_that_come_one_by_one_are_no_tokens(server: FaultServer) -> None:
    letters = [{"choices": [{"delta": {"content": letter}}]} for letter in "an answer of letters"]
    usage = {"prompt_tokens": 10, "completion_tokens": 4}
    end = {"choices": [{"delta": {}, "finish_reason": "stop"}], "usage": usage}
    server.plan(body=raw(*letters, end))
    completion = one(server.engine(), ask("hello", max_tokens=8))
    assert completion.text == "an answer of letters"


TIERED = ["input_cost_per_token_above_200k_tokens", "tiered_pricing"]


@pytest.mark.parametrize("field", [*TIERED, "output_cost_per_reasoning_token"])
def test_prices_with_steps_are_litellms(field: str) -> None:
    library = litellm()
    names = [
        (name.removeprefix(f"{entry['litellm_provider']}/"), entry["litellm_provider"])
        for name, entry in library.model_cost.items()
        if field in entry and entry.get("mode") == "chat"
    ]
    usages = [
        Usage(prompt_tokens=prompt, cached_tokens=prompt // 2, completion_tokens=900)
        for prompt in (1_000, 150_000, 250_000)
    ]
    known = 0
    for model, provider in names:
        price = listed_price(model, provider)
        if price is None:
            continue
        figures = [
            price.usd(replace(usage, reasoning_tokens=n)) for usage in usages for n in (0, 800)
        ]
        if None in figures:
            continue
        known += 1
        small, _, _, _, large, _ = figures
        assert small is not None
        assert large is not None
        assert 0 <= small <= large
        assert price.most_usd(["x" * 250_000], 900) >= max(f or 0.0 for f in figures)
    assert known > 5


def test_a_large_prompt_has_the_price_of_large_prompts() -> None:
    price = listed_price("gemini-2.5-pro", "gemini")
    assert price is not None
    usage = Usage(prompt_tokens=250_000, completion_tokens=1_000)
    assert price.usd(usage) == pytest.approx(250_000 * 2.5e-6 + 1_000 * 15e-6)


def test_hidden_reasoning_may_have_a_price_of_its_own() -> None:
    price = Price(prompt=1.0, completion=10.0, reasoning=20.0)
    usage = Usage(prompt_tokens=100, completion_tokens=50, reasoning_tokens=30)
    assert price.usd(usage) == pytest.approx((100 + 20 * 10 + 30 * 20) / 1e6)
