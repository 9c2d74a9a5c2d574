"""Dollars come from the price map, and a budget is never passed."""

from __future__ import annotations

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
