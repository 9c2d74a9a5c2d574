"""No key gets out, in whatever form a server sends it back."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.support import ask, failure, one

from ttc_bench.engines import engine_params
from ttc_bench.engines.hosted import HostedModels
from ttc_bench.engines.hosting.secrets import HIDDEN, Redactor, addresses_with_keys, name_of_secret
from ttc_bench.errors import UserError

SECRET = "hunter2/secret+of mine"


@pytest.mark.parametrize(
    "echo",
    [
        SECRET,
        quote(SECRET),
        quote(SECRET, safe=""),
        quote_plus(SECRET),
        SECRET.encode().hex(),
        base64.b64encode(SECRET.encode()).decode(),
        base64.b64encode(f"me:{SECRET}".encode()).decode(),
        base64.urlsafe_b64encode(f"Bearer {SECRET}".encode()).decode(),
        json.dumps({"key": SECRET}),
    ],
)
def test_a_key_is_hidden_however_it_is_written(echo: str) -> None:
    hidden = Redactor([SECRET]).known(f"you sent {echo}, did you?")
    assert HIDDEN in hidden
    for part in (SECRET, quote(SECRET, safe=""), echo):
        assert part not in hidden


@given(st.binary(max_size=20), st.text(st.characters(codec="ascii"), min_size=12), st.binary())
def test_a_key_is_hidden_in_base64_of_what_holds_it(before: bytes, key: str, behind: bytes) -> None:
    coded = base64.b64encode(before + key.encode() + behind).decode()
    hidden = Redactor([key]).known(coded)
    assert HIDDEN in hidden
    others = len(before) + len(behind) + 2  # Two bytes of it stand with its neighbours.
    assert len(hidden) - len(HIDDEN) <= 4 * (others + 2) / 3 + 4


def test_what_a_header_holds_is_hidden_without_its_scheme() -> None:
    login = base64.b64encode(b"someone:long-password").decode()
    redact = Redactor([f"Basic {login}", "Bearer abcdefgh12345678"])
    for text in (login, "someone:long-password", "long-password", "abcdefgh12345678"):
        assert redact.known(text) == HIDDEN


@pytest.mark.parametrize("part", ["hunter2/secr", "hunter2/***mine", "hunter2/se…"])
def test_a_key_that_is_echoed_in_part_is_hidden_in_messages_alone(part: str) -> None:
    redact = Redactor([SECRET])
    assert "hunter2" not in redact(f"no such key: {part}")
    assert redact.known(part) == part, "an answer is the model's own"


@pytest.mark.parametrize(
    ("name", "value", "is_hidden"),
    [
        ("MY_API_KEY", "0123456789abc", True),
        ("MY_API_KEY_2", "0123456789abc", True),
        ("db_password", "0123456789abc", True),
        ("HTTPS_PROXY", "http://me:0123456789abc@proxy:3128", True),
        ("KEY_FOLDER", "/0123456789abc", False),
        ("MAX_TOKENS", "0123456789abc", False),
        ("OLDPWD", "0123456789abc", False),
    ],
)
def test_variables_that_hold_secrets(
    name: str, value: str, is_hidden: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert (HIDDEN in Redactor()("it is 0123456789abc or /0123456789abc")) == is_hidden


@pytest.mark.parametrize(
    "fields",
    [
        {"apiKey": "x"},
        {"a": [{"authorization_token": "x"}]},
        {"tools": [{"headers": {"X-API-Key": "x"}}]},
        {"clientSecret": "x"},
        {"passwd": "x"},
        {"Cookie": "x"},
        {"note": "Authorization: Bearer abcdefgh"},
        {"url": "https://me:word@host/"},
        {"url": "https://host/?sig=x"},
        {"jwt": "eyJhbGciOi.eyJzdWIiOi.c2ln"},
    ],
)
def test_fields_that_hold_keys(fields: dict[str, Any]) -> None:
    assert name_of_secret(fields) is not None


@pytest.mark.parametrize(
    "fields",
    [
        {"prompt_cache_key": "session 1"},
        {"max_tokens": 5, "stop_token": "</s>", "tokens": "x"},
        {"response_format": {"type": "json_object"}},
        {"url": "https://host/?page=2", "keyword": "x", "api_key": ""},
    ],
)
def test_fields_that_hold_none(fields: dict[str, Any]) -> None:
    assert name_of_secret(fields) is None


def test_an_address_with_a_password_is_named_wherever_it_stands() -> None:
    settings = {
        "human_evaluation": {"database": "postgresql://me:word@host/db"},
        "sources": {"mine": {"path": "https://host/q.csv?X-Amz-Signature=1"}},
        "prompting": {"system": "ask https://host/?page=2 or me: word@host"},
        "list": ["sqlite:///data/x.db", "postgresql://me@host/db"],
    }
    named = ["human_evaluation.database", "sources.mine.path"]
    assert list(addresses_with_keys(settings)) == named


@pytest.mark.parametrize(
    "settings",
    [
        {"api_base": "http://me:hunter2secret@host/v1"},
        {"draft_api_base": "http://host/v1?key=hunter2secret"},
        {"served_api_base": "http://host/v1#hunter2secret"},
        {"extra_body": {"a": [{"apiKey": "hunter2secret"}]}},
        {"extra_body": "Bearer hunter2secret"},
        {"headers": "Bearer hunter2secret"},
        {"headers": {"X-Key": ["hunter2secret"]}},
    ],
)
def test_secrets_are_refused_where_parameters_are_read_whatever_runs(
    settings: dict[str, Any],
) -> None:
    with pytest.raises(UserError) as raised:
        engine_params({"engine": "hosted", "target": "openai/any", **settings})
    assert "hunter2secret" not in raised.value.message


@pytest.mark.parametrize(
    "address", ["http://[::1/v1", "http://host:99999/v1", "http://a..b/v1", "http://a b/v1", "x"]
)
def test_what_is_no_address_is_told(address: str) -> None:
    with pytest.raises(UserError, match=r"is no http\(s\) address"):
        HostedModels(target="openai/any", api_base=address)


@pytest.mark.parametrize("variable", ["OPENAI_API_KEY", "MY_HEADER"])
def test_a_line_break_in_a_key_is_told_before_any_call(
    variable: str, server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-plain")
    monkeypatch.setenv("MY_HEADER", "plain")
    monkeypatch.setenv(variable, "hunter2secret\n")
    with pytest.raises(UserError, match=f"{variable} holds a line break") as raised:
        server.engine(headers={"X-Own": "MY_HEADER"})
    assert "hunter2secret" not in raised.value.message


def test_a_server_that_echoes_a_key_everywhere_gets_it_into_nothing_that_is_kept(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("MY_HEADER", f"Bearer {SECRET}")
    coded = base64.b64encode(SECRET.encode()).decode()
    delta = {"content": f"{SECRET} {coded}", "reasoning_content": quote(SECRET)}
    choice = {"delta": delta, "finish_reason": SECRET, "stop_reason": SECRET}
    event = {
        "choices": [choice],
        "system_fingerprint": SECRET,
        "timings": {"note": [SECRET], SECRET: 1},
    }
    server.plan(
        body=f"data: {json.dumps(event)}\n\ndata: [DONE]\n\n",
        headers={"x-request-id": SECRET, "x-ratelimit-note": quote(SECRET)},
    )
    completion = one(server.engine(headers={"X-Own": "MY_HEADER"}), ask("hello"))
    kept = json.dumps(completion.to_json())
    for form in (SECRET, quote(SECRET), coded):
        assert form not in kept
    assert kept.count(HIDDEN) >= 7


def test_what_a_refusal_echoes_of_a_header_is_hidden(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "own-key-without-a-known-shape")
    server.plan(fault_share=1.0, faults=["500"], echo_key=True)
    error = failure(server.engine(attempts=1), ask("hello"))
    assert "own-key" not in str(error)
    assert HIDDEN in str(error)
