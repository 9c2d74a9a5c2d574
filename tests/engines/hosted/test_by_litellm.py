"""Providers with protocols of their own go through LiteLLM: same answers, same errors, marked."""

from __future__ import annotations

import pytest
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.support import ask, failure, one


def test_the_answer_is_the_same_and_marked(server: FaultServer) -> None:
    server.plan(ttft_s=0.1, itl_s=0.01, tokens=6)
    direct, other = server.engine(), server.engine(transport="litellm")
    assert (direct.name, other.name) == ("hosted", "hosted by litellm")
    read, called = one(direct, ask("hello")), one(other, ask("hello"))
    assert called.text == read.text
    assert called.usage == read.usage
    assert called.finish_reason == read.finish_reason
    assert len(called.timing.itl_s) == 5
    assert called.timing.ttft_s is not None
    assert called.timing.ttft_s > 0.09
    assert called.timing.latency_s > 0.14


def test_a_broken_stream_is_tried_again_and_billed(server: FaultServer) -> None:
    server.plan(fault_share=1.0, faults=["cut"], fault_tries=1)
    completion = one(server.engine(transport="litellm"), ask("hello"))
    assert completion.attempts == 2
    assert len(completion.broken) == 1
    assert completion.broken[0].usage.completion_tokens == 4


def test_a_refusal_is_waited_for(server: FaultServer) -> None:
    server.plan(fault_share=1.0, faults=["429"], fault_tries=1, retry_after="0.5")
    completion = one(server.engine(transport="litellm"), ask("hello"))
    assert [entry["error"] for entry in completion.extra["attempts"]] == ["rate_limit"]
    first, second = server.log()
    assert second["arrived"] - first["arrived"] >= 0.5


def test_a_bad_key_is_fatal_and_hidden(
    server: FaultServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    planted = "sk-planted-0123456789abcdefghij"
    monkeypatch.setenv("OPENAI_API_KEY", planted)
    server.plan(key="another")
    with caplog.at_level("DEBUG"):
        error = failure(server.engine(transport="litellm"), ask("hello"))
    assert planted not in caplog.text + str(error)
    assert (error.error_type, error.fatal) == ("bad_key", True)
    assert "Check the key in OPENAI_API_KEY" in str(error)
    assert len(server.log()) == 1


def test_an_unknown_model_and_a_long_prompt_are_told_apart(server: FaultServer) -> None:
    server.plan(models=["other"])
    assert failure(server.engine(transport="litellm"), ask("hello")).error_type == "unknown_model"
    server.plan(most_prompt=2)
    error = failure(server.engine(transport="litellm"), ask("hello"))
    assert (error.error_type, error.fatal) == ("context_length", False)
