"""The tokenizer: round trips, digits, chat template."""

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_bench.benchmarks.sim.tasks import TASKS
from ttc_bench.reference.batches import encode
from ttc_bench.reference.conversations import FORMATS
from ttc_bench.reference.tokenizer import END, turn_start

PLAIN = st.text(st.characters(exclude_categories=("Cs",)), max_size=200)


@given(PLAIN)
@settings(max_examples=200, deadline=None)
def test_any_text_round_trips(tiny_tokenizer: Any, text: str) -> None:
    ids = tiny_tokenizer.encode(text, add_special_tokens=False)
    if "<|" not in text:
        assert tiny_tokenizer.decode(ids) == text


@given(st.integers(0, 10**12), st.sampled_from(["", " ", "x", "+", "\n"]))
@settings(max_examples=100, deadline=None)
def test_each_digit_is_a_token(tiny_tokenizer: Any, number: int, before: str) -> None:
    tokens = tiny_tokenizer.tokenize(f"{before}{number}{before}")
    assert [t for t in tokens if t.isdigit()] == list(str(number))


def test_newlines_are_tokens(tiny_tokenizer: Any) -> None:
    assert tiny_tokenizer.tokenize("Ana: 1\n\nBen").count("Ċ") == 2


def test_chat_template_opens_and_continues_turns(tiny_tokenizer: Any) -> None:
    chat = [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    opened = tiny_tokenizer.apply_chat_template(chat, tokenize=False, add_generation_prompt=True)
    assert opened == "<|system|>s<|end|><|user|>u<|end|><|assistant|>"
    partial = [*chat, {"role": "assistant", "content": "Ana: 1"}]
    continued = tiny_tokenizer.apply_chat_template(
        partial, tokenize=False, continue_final_message=True
    )
    assert continued == opened + "Ana: 1"
    assert tiny_tokenizer.eos_token == END


@pytest.mark.parametrize("name", sorted(FORMATS))
def test_learned_pieces_tokenize_as_they_would_be_generated(tiny_tokenizer: Any, name: str) -> None:
    import random

    rng = random.Random(1)
    for task in TASKS.values():
        problem = task.problem(rng, "medium", "train")
        if task.benchmark == "worf_sim" and name in ("answer_only", "wait", "forced_answer"):
            continue
        pieces = FORMATS[name](problem, rng)
        (row,) = encode(tiny_tokenizer, [pieces])
        parts = [(tiny_tokenizer.encode(p.text, add_special_tokens=False), p.learn) for p in pieces]
        assert row.ids == [t for ids, _ in parts for t in ids]
        assert row.learn == [learn for ids, learn in parts for _ in ids]


def test_roles_are_single_tokens(tiny_tokenizer: Any) -> None:
    for role in ("system", "user", "assistant"):
        assert len(tiny_tokenizer.encode(turn_start(role), add_special_tokens=False)) == 1
