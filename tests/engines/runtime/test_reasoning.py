"""Reasoning of local models is counted, timed apart, and ended at its budget."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from tests.engines.tiny_models import TEMPLATE, ask, run, save_llama

from ttc_bench.engines.base import Capability
from ttc_bench.engines.decoding import PromptLookup
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.engines.runtime.reasoning import reasoning_of
from ttc_bench.engines.runtime.stream import TokenStream
from ttc_bench.thinking import split_thinking
from ttc_bench.types import Message

OPENS = TEMPLATE.replace("<|assistant|>{% endif %}", "<|assistant|><think>\n{% endif %}")


@pytest.fixture(scope="module", params=[OPENS, TEMPLATE], ids=["template opens", "plain"])
def folder(request: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random model; its chat template opens a thinking block, or does not."""
    return save_llama(tmp_path_factory.mktemp("model"), seed=5, template=request.param)


def engine(folder: str, **settings: Any) -> LocalEngine:
    return LocalEngine(LocalModels(target=folder, device="cpu", **settings))


def opens(folder: str) -> bool:
    return "<think>" in (Path(folder) / "chat_template.jinja").read_text()


def test_a_block_that_never_ends_is_all_reasoning(folder: str) -> None:
    (completion,) = run(engine(folder), ask("hello", max_tokens=12))
    usage, timing = completion.usage, completion.timing
    thought = split_thinking(completion.text)
    if opens(folder):
        assert (thought.answer, thought.closing) == ("", "</think>")
        assert usage.reasoning_tokens == usage.completion_tokens == 12
        assert timing.ttft_s is None
        assert timing.reasoning_s == pytest.approx(timing.latency_s, abs=timing.latency_s)
    else:
        assert thought.reasoning is None
        assert (usage.reasoning_tokens, timing.reasoning_s) == (0, 0.0)
        assert timing.ttft_s is not None


@pytest.mark.parametrize("budget", [0, 3, 7])
def test_a_budget_ends_the_block_and_the_answer_follows(folder: str, budget: int) -> None:
    plain = run(engine(folder), ask("hello", max_tokens=40))[0]
    (completion,) = run(engine(folder, thinking_budget=budget), ask("hello", max_tokens=40))
    usage, thought = completion.usage, split_thinking(completion.text)
    if not opens(folder):
        assert completion.text == plain.text, "there is nothing to end"
        assert "thinking" not in completion.extra
        return
    forced = completion.text.index("\n</think>\n\n")
    assert plain.text.startswith(completion.text[:forced]), "what was thought is the model's own"
    assert thought.answer
    assert thought.closing is None
    assert "thinking" in completion.extra
    assert usage.completion_tokens == len(completion.token_ids) <= 40
    assert usage.reasoning_tokens is not None
    marker = usage.reasoning_tokens - budget
    assert 0 < marker < 12, "the block's end is counted with it"
    assert completion.logprobs is not None
    assert 0 < len(completion.token_ids) - len(completion.logprobs) < 12, "nobody chose the end"
    timing = completion.timing
    assert timing.reasoning_s is not None
    assert timing.ttft_s is not None
    assert timing.reasoning_s < timing.ttft_s <= timing.latency_s
    assert len(timing.itl_s) == usage.completion_tokens - usage.reasoning_tokens - 1


def test_a_lossless_decoding_thinks_and_answers_the_same(folder: str) -> None:
    thinks = engine(folder, thinking_budget=6)
    (plain,) = run(thinks, ask("one two one two", max_tokens=40))
    (copied,) = run(thinks, ask("one two one two", max_tokens=40, decoding=PromptLookup()))
    assert copied.token_ids == plain.token_ids
    assert copied.text == plain.text


def test_a_turn_that_goes_on_goes_on_in_its_block(folder: str) -> None:
    (whole,) = run(engine(folder), ask("hello", max_tokens=20))
    (begun,) = run(engine(folder), ask("hello", max_tokens=8))
    turns = (Message(role="user", content="hello"), Message(role="assistant", content=begun.text))
    model = engine(folder).language_model()
    head = model.prompter.encode(turns[:1])
    assert model.prompter.encode(turns)[: len(head)] == head
    assert whole.text.startswith(begun.text)
    (rest,) = asyncio.run(engine(folder).complete(ask("", messages=turns, max_tokens=5)))
    assert "<think>" not in rest.text
    assert rest.usage.reasoning_tokens == (5 if opens(folder) else 0)


def test_batches_do_not_keep_a_budget_and_say_so(folder: str) -> None:
    limited = engine(folder, thinking_budget=5)
    assert Capability.BATCH in engine(folder).capabilities()
    assert Capability.BATCH not in limited.capabilities()
    assert "thinking_budget" in limited.shortcoming("target", Capability.BATCH)
    assert limited.fingerprint() != engine(folder).fingerprint()


def test_tokens_of_blocks_are_counted_one_by_one(folder: str) -> None:
    tokenizer = engine(folder).language_model().tokenizer
    parts = ["<think>", "The case was", "</think>", "\n", "Answer: 42"]
    counts = [len(tokenizer(part, add_special_tokens=False)["input_ids"]) for part in parts]
    tokens = [t for part in parts for t in tokenizer(part, add_special_tokens=False)["input_ids"]]
    stream = TokenStream(tokenizer, frozenset({0}), (), 99, 0.0)
    stream.emit([*tokens, 0], [0.0] * (len(tokens) + 1))
    reasoning = reasoning_of(stream, "")
    assert reasoning.tokens == sum(counts[:4])
    assert reasoning.first == sum(counts[:4])
