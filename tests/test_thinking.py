"""Marked reasoning is no answer: it is set apart, in every marking and on every benchmark."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import REFERENCE, ingested
from transformers import PreTrainedTokenizerFast

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.benchmarks.answers import parse_answer, parse_workflow
from ttc_bench.engines.runtime.stream import decode
from ttc_bench.thinking import split_thinking

BLOCKS = [
    ("<think>", "</think>"),
    ("<THINK>", "</THINK>"),
    ("<thinking>", "</thinking>"),
    ("<seed:think>", "</seed:think>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("[THINK]", "[/THINK]"),
    ("\u25c1think\u25b7", "\u25c1/think\u25b7"),
    ("<|begin_of_thought|>", "<|end_of_thought|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
]


@pytest.mark.parametrize(("opening", "closing"), BLOCKS)
def test_no_block_is_read_closed_or_not(opening: str, closing: str) -> None:
    block = f"{opening}I cannot share private data.\nAnswer: 42"
    assert split_thinking(f"{block}{closing}\nAnswer: 7").answer == "Answer: 7"
    assert parse_answer(f"{block}{closing}\nAnswer: 7") == ("7",)
    assert parse_answer(f"{block}{closing}\nno answer") is None
    assert split_thinking(block).answer == ""
    assert parse_answer(block) is None
    rest = split_thinking(block).closing or ""
    assert parse_answer(f"{block}\n{rest}\nAnswer: 7") == ("7",), "a closed block can be answered"


def test_a_block_that_the_prompt_opened_ends_at_its_end() -> None:
    thought = split_thinking("1. first\nAnswer: 42\n</think>\n\nAnswer: 7")
    assert thought == ("Answer: 7", "1. first\nAnswer: 42", None)


@given(st.text(alphabet=st.characters(blacklist_characters="<[\u25c1")))
def test_a_text_without_markers_is_left_as_it_is(text: str) -> None:
    assert split_thinking(text) == (text, None, None)


@pytest.mark.parametrize("name", ["crm_sim", "worf_sim"])
def test_the_answer_scores_as_if_nothing_had_been_thought(name: str) -> None:
    benchmark = BENCHMARKS[name]
    for job in ingested(name, 3):
        gold = str(job.references[0])
        answer = gold if name == "worf_sim" else f"Answer: {gold}"
        plain = benchmark.score(answer, job)
        assert benchmark.score(f"<think>Node: 1: a\n(1,END)</think>\n{answer}", job) == plain
        assert benchmark.score(f"<think>\n{answer}", job)["reward"] == 0.0
        assert benchmark.parse(f"<think>\n{answer}", job) is None
    assert parse_workflow("<think>Node:\n1: a\nEdges: (START,1)</think>") is None


@pytest.mark.parametrize("quote", ["`", '"', "'"])
@pytest.mark.parametrize(("opening", "closing"), BLOCKS[:5])
def test_a_marker_in_quotes_hides_nothing(opening: str, closing: str, quote: str) -> None:
    text = f"Write {quote}{opening}{quote} first and {quote}{closing}{quote} last.\nAnswer: 7"
    assert split_thinking(text) == (text, None, None)
    assert split_thinking(f"{opening}\nhm\n{closing}\n{text}").answer == text


@pytest.mark.parametrize(("opening", "closing"), BLOCKS)
def test_reasoning_between_special_tokens_is_told_from_the_answer(
    opening: str, closing: str
) -> None:
    """A decoder leaves special tokens out, and those that mark reasoning with them."""
    tokenizer = PreTrainedTokenizerFast.from_pretrained(REFERENCE / "target")
    parts = re.findall(r"<\|\w+\|>|<[^>]*>|\[/?THINK\]|\u25c1/?think\u25b7", opening + closing)
    tokenizer.add_special_tokens({"additional_special_tokens": [*parts, "<|tool|>"]})
    text = f"{opening}forty{closing}<|tool|>forty-two"
    tokens = [*tokenizer.encode(text, add_special_tokens=False), tokenizer.eos_token_id]
    thought = split_thinking(decode(tokenizer, tokens))
    assert thought.answer == "forty-two"
    assert (thought.reasoning or "").strip().endswith("forty")
