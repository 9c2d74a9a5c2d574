"""Marked reasoning is no answer: it is set apart, in every marking and on every benchmark."""

from __future__ import annotations

import re
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import REFERENCE, ingested
from transformers import PreTrainedTokenizerFast

from ttc_bench import thinking
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
    ("<scratchpad>", "</scratchpad>"),
    ("<|inner_prefix|>", "<|inner_suffix|>"),
    ("<|channel>thought\n", "<channel|>"),
    ("<unused94>thought\n", "<unused95>"),
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


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("</think></think>Answer: 3", "Answer: 3"),
        ("</think>\n</think>\nAnswer: 3", "Answer: 3"),
        ("<think>a</think></think>Answer: 3", "Answer: 3"),
        ("<think><think>a</think></think>Answer: 3", "Answer: 3"),
        ("<think>a<think>b</think>Answer: 4</think>Answer: 3", "Answer: 3"),
        ("<think>a</think>Answer: 3</think>", "Answer: 3"),
        ("<think>a<think>b</think>Answer: 3\n</think>", "Answer: 3"),
        ("a</think>b</think>Answer: 3", "b\nAnswer: 3"),
        ("[THINK]a[/THINK][/THINK]Answer: 3", "Answer: 3"),
    ],
)
def test_one_end_too_many_hides_no_answer(text: str, answer: str) -> None:
    assert split_thinking(text).answer == answer
    assert parse_answer(text) == ("3",)


MENTIONS = [
    "Models think between <think> and </think> tags.\nAnswer: 7",
    "The tag <think> opens a block.\nAnswer: 7",
    "It must end with </think>, as told.\nAnswer: 7",
    "Such a model writes [THINK] first.\nAnswer: 7",
    "Write so:\n```\n<think>\nyour thoughts\n```\nAnswer: 7",
    "Answer: 7\n(No </think> here.)",
    "Open with \u201c<think>\u201d.\nAnswer: 7",
    "<think> is the tag that opens it.\nAnswer: 7",
    "<think> tags are left out.\nAnswer: 7",
    "<think>: how a block begins.\nAnswer: 7",
    "<think> opens, and </think> closes.\nAnswer: 7",
]


@pytest.mark.parametrize("text", MENTIONS)
def test_a_marker_that_a_sentence_talks_about_hides_nothing(text: str) -> None:
    assert split_thinking(text) == (text, None, None)
    assert parse_answer(text) == ("7",)
    assert split_thinking(f"<think>\nhm\n</think>\n{text}").answer == text


@pytest.mark.parametrize(
    ("text", "reasoning"),
    [
        ("<think>\n\n</think>\n\nAnswer: 7", ""),
        ("<think>hm</think> so it is\nAnswer: 7", "hm"),
        ("Sure. <think>Answer: 42</think>\nAnswer: 7", "Answer: 42"),
        ("so it is 42.</think>Answer: 7", "so it is 42."),
        ("<think>a</think>\nAnswer: 7\n<think>Answer: 42", "a\nAnswer: 42"),
        ("<think>one</think><think>two</think>Answer: 7", "one\ntwo"),
        ("<think>a <think>b</think>Answer: 7", "a <think>b"),
        ("analysisWe need 42.assistantfinalAnswer: 7", "We need 42."),
        ("<|channel|>final<|message|>Answer: 7<|return|>", ""),
        (
            "<|channel|>analysis<|message|>hm<|end|><|start|>assistant<|channel|>commentary"
            " to=functions.x <|constrain|>json<|message|>{}<|end|><|start|>assistant"
            "<|channel|>final <|constrain|>JSON<|message|>Answer: 7<|return|>",
            "hm",
        ),
        ("<|START_THINKING|>a<|END_THINKING|><|START_RESPONSE|>Answer: 7<|END_RESPONSE|>", "a"),
        (
            "<|begin_of_thought|>a<|end_of_thought|><|begin_of_solution|>Answer: 7"
            "<|end_of_solution|>",
            "a",
        ),
    ],
)
def test_reasoning_is_set_apart_in_every_familys_words(text: str, reasoning: str) -> None:
    thought = split_thinking(text)
    assert parse_answer(text) == ("7",)
    assert "42" not in thought.answer
    assert reasoning in (thought.reasoning or "")


def test_a_text_of_many_markers_takes_no_time() -> None:
    started = time.monotonic()
    split_thinking("a <think> b " * 8000)
    assert time.monotonic() - started < 10, "in one pass; it took minutes"


@given(st.lists(st.sampled_from([*(m for block in BLOCKS for m in block), *"aAsS\u017ftİıf\n "])))
def test_a_text_in_which_no_marker_is_looked_for_has_none(parts: list[str]) -> None:
    text = "".join(parts)
    for marker in (thinking._TAG.search(text), thinking._VISIBLE.match(text)):
        assert marker is None or thinking._SIGN.search(text)


@pytest.mark.parametrize(
    "marker", ["analysis", "Analysis \u017f", "assistantfinal", "AS\u017fISTANTFINAL"]
)
def test_markers_without_brackets_are_looked_for(marker: str) -> None:
    text = f"analysis: it depends. {marker} ASSISTANTFINAL 42"
    assert thinking._SIGN.search(text)
    assert bool(thinking._SIGN.search(marker)) == bool(thinking._TAG.search(marker))
