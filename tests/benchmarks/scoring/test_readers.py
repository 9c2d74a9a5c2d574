"""Final answers as models and published data sets write them are read; reasoning is not."""

from __future__ import annotations

import pytest

from ttc_bench.benchmarks.scoring.readers import final_answer, letter, phrase

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


@pytest.mark.parametrize(
    ("text", "chosen"),
    [
        ("I choose C", "C"), ("I would choose (C).", "C"), ("I'd go with C", "C"),
        ("Lyon is too small.\nI pick option C.", "C"), ("My choice is C", "C"), ("It is C.", "C"),
        ("The correct option is (C).", "C"), ("The correct choice is C.", "C"),
        ("It is far. C is the answer.", "C"), ("Letter C", "C"), ("C) because", "C"),
        ("The answer is C, not A.", "C"), ("C (not A)", "C"), ("{C}", "C"), ("( C )", "C"),
        ("C?", "C"), ("C = Paris", "C"), ("C \u2192 Paris", "C"), ("C only", "C"),
        ("Answer: C - Paris is the capital", "C"), ("Answer: I think it is C", "C"),
        ("The answer must be C", "C"), ("Therefore C.", "C"), ("\u7b54\u6848\uff1aC", "C"),
        ('{"answer": "C"}', "C"), ("Answer: Option: C", "C"), ("It's a dog", "B"),
        ("I choose A or C", None), ("It is not C", None), ("It is a city", None),
        ("The answer is not A but C", None), ("I choose neither", None),
        ("Is C is the answer to it?", None), ("I go with a friend", None),
    ],
)  # fmt: skip
def test_a_choice_is_read_in_the_forms_that_models_print(text: str, chosen: str | None) -> None:
    assert letter(final_answer(text) or text, CHOICES) == chosen


def test_a_word_is_not_read_where_only_a_letter_or_a_number_may_stand() -> None:
    for text in ("New York is the answer.", "This is the answer: see below.", "n choose K is 6"):
        assert final_answer(text) in (None, "see below")
    assert final_answer("I choose A random walk, and Answer: 4") != "A"
