"""What carries SQuAD's name is SQuAD's; CRMArena's variant is another."""

from __future__ import annotations

import re
import string

from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.benchmarks.scoring.text import normalise, squad_normalise

TEXTS = st.text(st.sampled_from("aAtheTHEn -_.,'\u2019`\u00b4\t\nxéß"), max_size=40)


def normalize_answer(text: str) -> str:
    """SQuAD's own, transcribed from its evaluate-v1.1.py."""
    kept = "".join(letter for letter in text.lower() if letter not in set(string.punctuation))
    return " ".join(re.sub(r"\b(a|an|the)\b", " ", kept).split())


@given(st.one_of(TEXTS, st.text(max_size=60)))
def test_squad_normalisation_is_that_of_its_script(text: str) -> None:
    assert squad_normalise(text) == normalize_answer(text)


def test_the_two_differ_where_punctuation_joins_words() -> None:
    assert squad_normalise("The set-up's cost") == "setups cost"
    assert normalise("The set-up's cost") == "set up s cost"
