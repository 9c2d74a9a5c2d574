"""LiteLLM's names lead to the right address, and a missing key is one line."""

from __future__ import annotations

import pytest

from ttc_bench.engines import engine_params
from ttc_bench.engines.base import Capability, Request, Sampling
from ttc_bench.engines.hosted import HostedEngine, HostedModels
from ttc_bench.engines.hosting.endpoint import Endpoint
from ttc_bench.engines.hosting.transports import Direct, Timeouts
from ttc_bench.errors import UserError
from ttc_bench.types import Message

ABLE = frozenset({Capability.GENERATE})
KEYS = ("GROQ", "OPENAI", "TOGETHERAI", "MISTRAL", "DEEPSEEK", "OPENROUTER", "ANTHROPIC")


@pytest.fixture
def keys(monkeypatch: pytest.MonkeyPatch) -> None:
    """A key for every provider, and no addresses of the machine's own."""
    for name in KEYS:
        monkeypatch.setenv(f"{name}_API_KEY", f"key-of-{name.lower()}")
    for name in ("OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_API_BASE"):
        monkeypatch.delenv(name, raising=False)


def endpoint(target: str, **settings: object) -> Endpoint:
    return HostedEngine(HostedModels(target=target, **settings)).endpoint()


@pytest.mark.usefixtures("keys")
@pytest.mark.parametrize(
    ("target", "url", "model"),
    [
        (
            "groq/llama-3.3-70b-versatile",
            "https://api.groq.com/openai/v1/chat/completions",
            "llama-3.3-70b-versatile",
        ),
        ("openai/gpt-4o-mini", "https://api.openai.com/v1/chat/completions", "gpt-4o-mini"),
        ("together_ai/a/b", "https://api.together.ai/v1/chat/completions", "a/b"),
        ("mistral/mistral-small", "https://api.mistral.ai/v1/chat/completions", "mistral-small"),
        ("openrouter/a/b", "https://openrouter.ai/api/v1/chat/completions", "a/b"),
        ("ollama_chat/llama3.2", "http://localhost:11434/v1/chat/completions", "llama3.2"),
        ("ollama/llama3.2", "http://localhost:11434/v1/chat/completions", "llama3.2"),
    ],
)
def test_openai_compatible_providers_are_read_directly(target: str, url: str, model: str) -> None:
    resolved = endpoint(target)
    assert (resolved.url, resolved.model, resolved.name) == (url, model, target)
    assert resolved.is_direct


@pytest.mark.usefixtures("keys")
def test_the_key_of_the_provider_is_sent_to_it_alone() -> None:
    groq, ollama = endpoint("groq/any"), endpoint("ollama_chat/any")
    assert groq.headers["Authorization"] == "Bearer key-of-groq"
    assert "Authorization" not in ollama.headers
    for text in (repr(groq), repr(HostedEngine(HostedModels(target="groq/any")).__dict__)):
        assert "key-of-groq" not in text


@pytest.mark.usefixtures("keys")
def test_other_providers_go_through_litellm_and_say_so() -> None:
    engine = HostedEngine(HostedModels(target="anthropic/claude-sonnet-4-5"))
    assert not engine.endpoint().is_direct
    assert engine.name == "hosted by litellm"
    with pytest.raises(UserError, match="does not speak OpenAI's protocol"):
        HostedModels(target="anthropic/claude-sonnet-4-5", transport="direct").build()


def test_an_address_of_ones_own_needs_no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    monkeypatch.delenv("HOSTED_VLLM_API_KEY", raising=False)
    for target in ("hosted_vllm/any", "openai/any"):
        resolved = endpoint(target, api_base="http://127.0.0.1:8000/v1")
        assert resolved.url == "http://127.0.0.1:8000/v1/chat/completions"
        assert "Authorization" not in resolved.headers


@pytest.mark.parametrize(
    ("target", "variable"),
    [("groq/llama-3.3-70b-versatile", "GROQ_API_KEY"), ("openai/gpt-4o-mini", "OPENAI_API_KEY")],
)
def test_a_missing_key_is_one_line_that_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, target: str, variable: str
) -> None:
    monkeypatch.delenv(variable, raising=False)
    with pytest.raises(UserError) as raised:
        HostedModels(target=target).build()
    assert raised.value.message.startswith(
        f"{target} has no key: set the environment variable {variable}"
    )
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("target", ["groq/llama-3.3-70b-versatile", "anthropic/claude-sonnet-4-5"])
def test_what_makes_no_call_needs_no_key_and_knows_the_same(
    monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    """An estimate reads the journal by the fingerprint, and the price."""
    for variable in ("GROQ_API_KEY", "ANTHROPIC_API_KEY", "OWN"):
        monkeypatch.setenv(variable, "k-1234567890")
    models = HostedModels(target=target, headers={"X-Own": "OWN"})
    asked = models.build()
    for variable in ("GROQ_API_KEY", "ANTHROPIC_API_KEY", "OWN"):
        monkeypatch.delenv(variable)
    unasked = models.build_unasked()
    assert isinstance(unasked, HostedEngine)
    assert isinstance(asked, HostedEngine)
    assert unasked.fingerprint() == asked.fingerprint()
    assert unasked.capabilities() == asked.capabilities()
    assert unasked.endpoint().price == asked.endpoint().price is not None


def test_an_unknown_provider_is_one_line() -> None:
    with pytest.raises(UserError, match="LiteLLM knows no provider for 'bogus/model'") as raised:
        HostedModels(target="bogus/model").build()
    assert "\n" not in raised.value.message


@pytest.mark.parametrize("address", ["ftp://host/v1", "localhost:8000", "http://"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(UserError, match=r"model\.api_base"):
        HostedModels(target="openai/any", api_base=address).build()


def test_a_key_in_an_address_or_a_parameter_is_refused_and_not_shown() -> None:
    with pytest.raises(UserError) as raised:
        HostedModels(target="openai/any", api_base="http://user:hunter2secret@host/v1").build()
    assert "hunter2secret" not in raised.value.message
    settings = {"engine": "hosted", "target": "openai/any", "api_key": "hunter2secret"}
    with pytest.raises(UserError, match="unknown key 'api_key'") as raised:
        engine_params(settings)
    assert "hunter2secret" not in raised.value.message


@pytest.mark.usefixtures("keys")
def test_capabilities_go_by_the_provider() -> None:
    assert endpoint("groq/any").capabilities == ABLE | {Capability.CONTINUE}
    assert endpoint("openai/gpt-4o-mini").capabilities == ABLE | {Capability.LOGPROBS}
    vllm = endpoint("hosted_vllm/any", api_base="http://127.0.0.1:1/v1")
    assert vllm.capabilities == ABLE | {Capability.CONTINUE, Capability.LOGPROBS}
    own = endpoint("openai/any", api_base="http://127.0.0.1:1/v1")
    assert own.capabilities == ABLE
    told = endpoint("groq/any", continuation="none", logprobs=True)
    assert told.capabilities == ABLE | {Capability.LOGPROBS}


@pytest.mark.usefixtures("keys")
def test_parameters_are_named_as_the_model_wants_them() -> None:
    request = Request(
        messages=(Message(role="user", content="hi"),),
        max_tokens=7,
        stop=("END",),
        sampling=Sampling(temperature=1.0, top_p=0.9),
    )
    groq = body("groq/any", request)
    assert (groq["max_tokens"], groq["stop"], groq["top_p"]) == (7, ["END"], 0.9)
    assert groq["stream"] is True
    assert groq["stream_options"] == {"include_usage": True}
    assert groq["seed"] == 5
    plain = Request(messages=request.messages, max_tokens=7, sampling=Sampling(temperature=1.0))
    assert body("openai/o3-mini", plain)["max_completion_tokens"] == 7
    extra = body("groq/any", request, extra_body={"reasoning_effort": "low"})
    assert extra["reasoning_effort"] == "low"


def body(target: str, request: Request, **settings: object) -> dict[str, object]:
    """Return the body of the request, as it is sent."""
    import json

    transport = Direct(endpoint(target, **settings), Timeouts(1, 1))
    body = json.loads(transport._body(request, seed=5))
    assert isinstance(body, dict)
    return body


@pytest.mark.usefixtures("keys")
def test_what_changes_answers_changes_the_fingerprint_and_the_key_does_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fingerprint(**settings: object) -> str:
        return HostedModels(**{"target": "groq/a", **settings}).build().fingerprint()

    plain = fingerprint()
    others = [
        fingerprint(target="groq/b"),
        fingerprint(api_base="http://127.0.0.1:1/v1"),
        fingerprint(extra_body={"reasoning_effort": "low"}),
        fingerprint(continuation="none"),
    ]
    assert len({plain, *others}) == 5
    monkeypatch.setenv("GROQ_API_KEY", "another-key")
    assert fingerprint(concurrency=3, max_requests=9) == plain
