"""Reading without generating: surprisal of a text, scores of a verifier."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_models import CORPUS, ask, save_verifier
from transformers import (
    AutoModelForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
)

from ttc_bench.engines.base import CallError, Reading
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.types import Message

SOLUTIONS = ["Answer: 42", "First, count the cases.\nThen sum the minutes.\nAnswer: 17", ""]
QUESTION = ask(CORPUS[1]).messages


def verify(engine: LocalEngine, solutions: list[str]) -> Reading:
    return asyncio.run(engine.verify(QUESTION, solutions))


@pytest.mark.parametrize("cls", [LlamaForSequenceClassification, LlamaForTokenClassification])
def test_scores_are_the_head_at_the_last_token(
    cls: type, tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    path = save_verifier(tmp_path, cls)
    engine = LocalModels(target=tiny_paths["target"], verifier=path).build()
    reading = verify(engine, SOLUTIONS)
    model = cls.from_pretrained(path)  # type: ignore[attr-defined]
    prompter = engine.language_model().prompter
    for score, solution in zip(reading.scores, SOLUTIONS, strict=True):
        tokens = prompter.encode((*QUESTION, Message(role="assistant", content=solution)))
        logit = model(torch.tensor([tokens])).logits.detach().flatten()[-1]
        assert score == pytest.approx(float(logit.sigmoid()), abs=1e-5)
    assert (reading.usage.prefill_flops or 0) > 0


def test_each_score_is_independent_of_its_company(engine: LocalEngine) -> None:
    many = [f"Step {i}: look at case {i}. " * (i % 5 + 1) for i in range(21)]
    together = verify(engine, many)
    alone = [verify(engine, [solution]).scores[0] for solution in many]
    assert together.scores == pytest.approx(alone, abs=1e-4)
    assert all(0 <= score <= 1 for score in together.scores)


def test_a_question_is_read_once_for_all_its_solutions(engine: LocalEngine) -> None:
    one, three = verify(engine, SOLUTIONS[:1]), verify(engine, SOLUTIONS[:1] * 3)
    extra = (three.usage.verifier_tokens - one.usage.verifier_tokens) / 2
    assert extra < one.usage.verifier_tokens / 2
    assert one.usage.forward_passes == three.usage.forward_passes == 2
    assert three.timing.latency_s > 0


def test_a_partial_assistant_turn_is_continued_for_the_verifier(tiny: LocalEngine) -> None:
    begun = (*QUESTION, Message(role="assistant", content="First, "))
    reading = asyncio.run(tiny.verify(begun, ["count."]))
    assert len(reading.scores) == 1


def test_a_solution_beyond_the_window_is_a_failed_call(tiny: LocalEngine) -> None:
    with pytest.raises(CallError, match="512"):
        verify(tiny, ["1" * 600])
    assert verify(tiny, []).scores == ()


def test_surprisal_is_the_models_own(engine: LocalEngine) -> None:
    text = CORPUS[3]
    reading = asyncio.run(engine.surprisal(text, "target"))
    tokens = engine.language_model().tokenizer(text, add_special_tokens=False)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(engine.models.target, dtype=torch.float32)
    logprobs = model(torch.tensor([tokens])).logits[0].log_softmax(-1)
    expected = logprobs[:-1].gather(1, torch.tensor(tokens[1:])[:, None])[:, 0].tolist()
    assert reading.tokens[0].logprob is None
    assert [t.logprob for t in reading.tokens[1:]] == pytest.approx(expected, abs=1e-4)
    assert reading.usage.verifier_tokens == len(tokens)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80))
def test_spans_partition_any_text(tiny: LocalEngine, text: str) -> None:
    reading = asyncio.run(tiny.surprisal(text, "target"))
    assert "".join(text[t.start : t.end] for t in reading.tokens) == text


def test_long_texts_are_read_in_windows(tiny: LocalEngine) -> None:
    text = " ".join(CORPUS * 12)
    reading = asyncio.run(tiny.surprisal(text, "draft"))
    assert len(reading.tokens) > 2 * 512
    assert all(t.logprob is not None and t.logprob < 0 for t in reading.tokens[1:])
    short = asyncio.run(tiny.surprisal(text[:400], "draft"))
    count = len(short.tokens) - 2
    assert [t.logprob for t in reading.tokens[1:count]] == pytest.approx(
        [t.logprob for t in short.tokens[1:count]], abs=1e-4
    )
