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


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("2\\frac{1}{3}", Fraction(7, 3)), ("2 1/3", Fraction(7, 3)), ("\u00bd", Fraction(1, 2)),
        ("6.02 \u00d7 10^{23}", 602 * 10**21), ("10^-7", Fraction(1, 10**7)),
        ("1 \u00d7 10\u207b\u2077", Fraction(1, 10**7)), ("\u20135", -5), ("minus 5", -5),
        ("negative 5", -5), ("42 million", 42 * 10**6), ("2.5M", 2_500_000), ("20 (x = 3)", 20),
        ("1,5", Fraction(3, 2)), ("1,234", 1234), ("10 - 12", None), ("10 * 3", None),
        ("2^10", None), ("12:30", None), ("42 or 43", None), ("1.234,5", None), ("9" * 5000, None),
    ],
)  # fmt: skip
def test_one_number_is_read_whole_or_not_at_all(answer: str, value: object) -> None:
    assert number(answer) == value


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("The answer is (B), I think.", "B"), ("Answer: B, I think", "B"), ("B is correct", "B"),
        ("London (B)", "B"), ("(B", "B"), ("B!", "B"), ("A) London", None), ("London (A)", None),
        ("Answer: <B>", "B"), ("\\boxed{<B>}", "B"), ("#### <B>", "B"), ("Answer: <London>", "B"),
        ("The answer is (<B>).", "B"), ("A: Let's think step by step. We refer to it", None),
        ("I, as an AI, cannot say.", None),
    ],
)  # fmt: skip
def test_a_letter_counts_alone_or_with_its_own_text(text: str, chosen: str | None) -> None:
    choices = ("Paris", "London", *"123456", "Rome")
    assert letter(final_answer(text) or text, choices) == chosen


def test_choices_that_are_letters_themselves_are_told_apart() -> None:
    texts = ("O", "A", "B", "AB")
    answers = ("A) O", "O", "A", "AB", "B) A")
    assert [letter(a, texts) for a in answers] == ["A", "A", "A", "D", "B"]


@pytest.mark.parametrize(
    ("left", "right"),
    [("x>5", "x<5"), ("x>5", "x=5"), ("a=b", "a!=b"), ("x^2", "x*2"), ("1:30", "1/30"),
     ("5%", "5"), ("\u20ac5", "$5"), ("007", "7"), ("11\\frac12", "111/2")],
)  # fmt: skip
def test_signs_with_a_meaning_stay(left: str, right: str) -> None:
    assert phrase(left) != phrase(right)


def test_a_part_of_broken_json_is_no_answer() -> None:
    for text in ('{"a": [1, 2],}', '{"a": [1, 2]', "[" * 5000, '{"a": 1} or {"a": [2],}'):
        with pytest.raises(ValueError, match="no JSON"):
            json_value(text)


@pytest.mark.parametrize(
    ("answer", "value"),
    [
        ("2\u221a2", None), ("2\\sqrt{2}", None), ("sqrt(2)", None), ("2\u03c0", None),
        ("2\\pi", None), ("log 2", None), ("x^2", None), ("\u221e", None), ("5 log entries", 5),
        ("> 5", None), ("\\leq 5", None), ("more than 5", None), ("not 5", None), ("<5>", 5),
        ("2\u03c0 \u2248 6.28", Fraction("6.28")), ("\\sqrt{2} \\approx 1.4", Fraction("1.4")),
        ("x = 10/4 \u2248 2.5", Fraction(5, 2)), ("\u2248 42", 42), ("3, 4", None), ("1,234", 1234),
        ("3; 4", None), ("6 \\cdot 7", None), ("6 \\times 7 = 42", 42), ("3 hundred", 300),
        ("42 apples (6 * 7)", 42), ("five (5)", 5), ("_42_", 42), ("10 m^2", 10),
        ("5 \u00b7 10\u00b3", 5000), ("9.8 m/s^2", Fraction("9.8")),
    ],
)  # fmt: skip
def test_a_part_or_a_bound_of_a_number_is_not_the_number(answer: str, value: object) -> None:
    assert number(answer) == value


@pytest.mark.parametrize(
    ("answer", "chosen"),
    [
        ("C - Rome", "C"), ("C \u2013 Rome", "C"), ("C Rome", "C"), ("C. Rome is in Italy.", "C"),
        ("C) Rome, the capital", "C"), ("C. Rome and Bern", None), ("D. Rome and Bern", "D"),
        ("C - Paris", None), ("A Rome", "C"), ("C Rome is in Italy", None), ("a Paris", "A"),
        ("C. Romeo", None), ("**C** - Rome", "C"), ("**C)** Rome", "C"),
    ],
)  # fmt: skip
def test_a_letter_before_its_own_text_names_it(answer: str, chosen: str | None) -> None:
    assert letter(answer, ("Paris", "London", "Rome", "Rome and Bern")) == chosen


def test_a_minus_behind_a_letter_stays() -> None:
    assert [
        letter(answer, ("4", "5", "-5")) for answer in ("B. -5", "B -5", "C. -5", "C - -5")
    ] == [
        None,
        None,
        "C",
        "C",
    ]
