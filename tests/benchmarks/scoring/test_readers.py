"""Final answers as models and published data sets write them are read; reasoning is not."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.benchmarks.scoring.readers import (
    canonical_json,
    final_answer,
    json_value,
    letter,
    number,
    phrase,
)

CHOICES = ("Lyon", "A dog", "Paris", "3")


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("6 * 7 = 42.\n#### 42", "42"),
        ("#### 1\nno, again\n#### 2", "2"),
        ("Let's see. The answer is (C).", "(C)"),
        ("So the final answer is: 3.5 m. That was it.", "3.5 m"),
        ("The answer is U.S. Steel.", "U.S. Steel"),
        ("The best answer is B because A is wrong. Done.", "B because A is wrong"),
        ("Final Answer: The final answer is $4$. I hope it is correct.", "$4$"),
        ("It is \\boxed{\\frac{1}{2}}", "\\frac{1}{2}"),
        ("First the answer is 3. No.\nAnswer: 4", "4"),
        ("<think>Answer: 1</think>Answer: 2", "2"),
        ("<think>The answer is 1", None),
        ("I do not know", None),
        ("", None),
    ],
)
def test_published_answer_forms_are_read(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("42", 42),
        ("$1,234.50", Fraction("1234.5")),
        ("-3", -3),
        ("\u22123", -3),
        ("1e3", 1000),
        ("42 apples", 42),
        ("about 7", 7),
        ("3 + 4 = 7", 7),
        ("1/2", Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("\\frac{3}{4}", Fraction(3, 4)),
        ("50%", 50),
        ("**12**", 12),
        ("42 of 50", 42),
        ("between 3 and 5", None),
        ("none", None),
        ("", None),
        ("1/0", None),
        ("1e999999", None),
        ("A-12x", None),
        ("3-5", None),
        ("2024-01-05", None),
    ],
)
def test_a_number_is_read_however_it_is_written(answer: str, value: object) -> None:
    assert number(answer) == value


@given(st.integers(-(10**12), 10**12))
def test_every_integer_is_read_in_its_usual_forms(value: int) -> None:
    for form in ("{}", "{:,}", "{}.0", "{}.", "**{}**", "${}$", "{} kg"):
        assert number(form.format(value)) == value


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ("C", "C"),
        ("(C)", "C"),
        ("c", "C"),
        ("(c)", "C"),
        ("C. Paris", "C"),
        ("C) Paris", "C"),
        ("**C**", "C"),
        ("Option C", "C"),
        ("paris", "C"),
        ("Paris.", "C"),
        ("A dog", "B"),
        ("3", "D"),
        ("C because it is", "C"),
        ("\\text{C}", "C"),
        ("A and C", None),
        ("A, C", None),
        ("(A) or (B)", None),
        ("E", None),
        ("A cat", None),
        ("Berlin", None),
        ("", None),
    ],
)
def test_exactly_one_choice_is_named_by_letter_or_text(answer: str, chosen: str | None) -> None:
    assert letter(answer, CHOICES) == chosen


@pytest.mark.parametrize(
    ("left", "right", "same"),
    [
        ("The Eiffel Tower.", "eiffel tower", True),
        ("set-up", "set up", True),
        ("1,000", "1000.0", True),
        ('"Paris"', "PARIS", True),
        ("-5", "5", False),
        ("C++", "C", False),
        ("vitamin A", "vitamin", False),
        ("3.5", "35", False),
        ("+", "-", False),
        ("a", "b", False),
    ],
)
def test_phrases_are_equal_where_their_words_are(left: str, right: str, same: bool) -> None:
    assert (phrase(left) == phrase(right)) is same


def test_json_is_read_bare_fenced_and_last_in_a_text() -> None:
    texts = ('{"a": 1}', '```json\n{"a": 1.0}\n```', 'first {"b": [2]}, then {"a": 1}.')
    assert {canonical_json(json_value(text)) for text in texts} == {'{"a": 1}'}
    assert canonical_json(True) != canonical_json(1)
    with pytest.raises(ValueError, match="no JSON"):
        json_value("nothing {here}")
