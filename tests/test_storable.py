"""What others wrote can be kept by every file and table, and what can be kept is not changed."""

from __future__ import annotations

import json
import math
from typing import Any

import pyarrow as pa
from hypothesis import example, given
from hypothesis import strategies as st

from ttc_bench.engines.hosting.door import clean
from ttc_bench.storable import REPLACEMENT, storable

TEXT = st.text(st.characters(), max_size=6)  # lone surrogates, too
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
VALUES = st.recursive(
    LEAVES, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3)
)


def is_storable(value: Any) -> bool:
    """Whether JSON in UTF-8 and a table of 64-bit numbers hold a value."""
    if isinstance(value, dict):
        return all(is_storable(key) and is_storable(part) for key, part in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_storable, value))
    if isinstance(value, str):
        return value.encode("utf-8", "ignore").decode() == value
    if isinstance(value, int):
        return -(2**63) <= value < 2**63
    return not isinstance(value, float) or math.isfinite(value)


@given(VALUES)
@example({"a": ["\ud83d\ude00", "x\ud800", 2**63, -(2**63), math.nan, math.inf]})
def test_whatever_comes_in_can_be_kept(value: Any) -> None:
    kept = storable(value)
    assert is_storable(kept)
    json.dumps(kept, allow_nan=False, ensure_ascii=False).encode()
    assert storable(kept) == kept
    if is_storable(value):
        assert kept == value


@given(TEXT, st.integers())
def test_a_table_takes_what_is_kept(text: str, number: int) -> None:
    assert pa.array([storable(text)], pa.string()).to_pylist() == [storable(text)]
    assert pa.array([storable(number)], pa.int64()).to_pylist() == [storable(number)]


def test_halves_are_put_together_and_the_rest_is_replaced() -> None:
    assert storable("a\ud83d\ude00b") == "a\U0001f600b"
    assert storable("a\ud83db") == f"a{REPLACEMENT}b"
    assert storable(("x", 2**63)) == ("x", None)
    assert storable({"\ud800": True}) == {REPLACEMENT: True}


def test_what_lies_too_deep_is_left_out_and_ends() -> None:
    value: Any = "bottom"
    for _ in range(500):
        value = [value]
    assert "bottom" not in json.dumps(storable(value))


@given(st.dictionaries(TEXT, LEAVES, max_size=3))
def test_a_server_s_answer_says_that_it_was_changed(value: dict[str, Any]) -> None:
    facts: dict[str, Any] = {}
    kept = clean(value, facts)
    assert ("sanitised" in facts) == ("sanitised" in kept) == (not is_storable(value))
