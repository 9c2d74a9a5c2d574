"""A stop string ends a sample, whichever tokens write it."""

from __future__ import annotations

import time
from typing import Any

import pytest
from tests.conftest import REFERENCE

from ttc_bench.engines.runtime.stream import TokenStream


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(REFERENCE / "target")


@pytest.mark.parametrize(
    ("stop", "written", "text"),
    [
        ("<|user|>", "ten calls<|user|>more", "ten calls"),
        ("<|user|>", "ten<|pad|> calls<|user|>more", "ten calls"),
        ("calls<|user|>", "ten calls<|user|>more", "ten "),
        ("<|assistant|>\n", "ten<|assistant|>\nmore", "ten"),
        ("calls", "ten<|user|> calls more", "ten "),
    ],
)
def test_a_stop_string_of_special_tokens_is_seen(
    tokenizer: Any, stop: str, written: str, text: str
) -> None:
    tokens = tokenizer(written, add_special_tokens=False)["input_ids"]
    stream = TokenStream(tokenizer, frozenset(), (stop,), 99, time.perf_counter())
    stream.emit(tokens, [0.0] * len(tokens))
    assert (stream.finish_reason, stream.stop_string, stream.text()) == ("stop", stop, text)
    assert len(stream.tokens) < len(tokens), "what comes behind it is not taken"
