"""A version moves whenever answers do: else a journal would replay what is no longer true."""

from __future__ import annotations

import json
import warnings
from typing import Any

import pytest
from tests.conftest import REFERENCE
from tests.policies.answer_digests import (
    ANEW,
    FILE,
    Answers,
    answers,
    build,
    complaint,
    decodings,
    digest,
    models,
    version,
)

from ttc_bench.engines.base import Engine

HELD = json.loads(FILE.read_text())


@pytest.fixture(scope="module")
def reference() -> Engine:
    return build(REFERENCE)


def test_the_digests_are_of_the_shipped_models_and_of_decodings_there_are(
    reference: Engine,
) -> None:
    """A new decoding is one file: it is told that its answers are not held yet, and how to."""
    assert HELD["models"] == models(reference), f"other models or runtime: {ANEW}"
    held = HELD["decodings"]
    assert list(held) == [name for name in decodings() if name in held]
    if unheld := sorted(decodings().keys() - held.keys()):
        warnings.warn(f"answers of {', '.join(unheld)} are not held yet: {ANEW}", stacklevel=1)
    for name, entry in HELD["decodings"].items():
        assert sum(case["tokens"] for case in entry["answers"].values()) >= 32, name


@pytest.mark.parametrize("name", HELD["decodings"])
def test_answers_change_only_together_with_their_version(name: str, reference: Engine) -> None:
    decoding = decodings()[name]
    tokens = answers(reference, decoding)
    fault = complaint(name, HELD["decodings"][name], tokens, version(decoding))
    assert fault is None, fault


TOKENS: Answers = {"greedy a": (1, 2, 3, 4)}


@pytest.mark.parametrize(
    ("tokens", "now", "fault"),
    [
        (TOKENS, "2.1", None),
        ({"greedy a": (1, 2, 3, 9)}, "2.1", None),
        ({"greedy a": (1, 2, 9, 4)}, "2.1", r"x answers differently \(greedy a\).*raise `version`"),
        ({"greedy a": (1, 2)}, "2.1", r"raise `version`"),
        ({"greedy a": (1, 2, 9, 4)}, "2.2", r"as it should: run `python -m"),
        (TOKENS, "2.2", r"version 2\.2 in place of 2\.1, and answers as before"),
    ],
)
def test_a_complaint_says_what_to_raise(tokens: Answers, now: str, fault: str | None) -> None:
    held = {"tokens": 3, "digest": digest((1, 2, 3))}
    stored: dict[str, Any] = {"version": "2.1", "answers": {"greedy a": held}}
    told = complaint("x", stored, tokens, now)
    if fault is None:
        assert told is None
    else:
        with pytest.raises(AssertionError, match=fault):
            raise AssertionError(told)
