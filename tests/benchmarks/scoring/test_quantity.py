"""A number is read whole, however it is written, or not at all."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.benchmarks.scoring.quantity import number
from ttc_bench.benchmarks.scoring.readers import final_answer


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
    ("answer", "value"),
    [
        ("42 = 6 * 7", 42), ("6 * 7 = 42", 42), ("42 = 6 \\times 7", 42), ("42 = x", 42),
        ("x = 42", 42), ("1 + 2 = 3 = 4 - 1", 3), ("1/2 = 0.5", Fraction(1, 2)),
        ("1/3 = 0.333", Fraction("0.333")), ("6 * 7 -> 42", 42), ("6 * 7 => 42", 42),
        ("3 = x = 5", None), ("50% = 0.5", None), ("x = 1 or x = 2", None),
        ("x = 1, y = 2", None), ("x=1 and y=2", None), ("2x = 10, so x = 5", 5),
        ("x >= 5", None), ("x != 5", None), ("n = x + 2", None), ("5! = 120", 120),
        ("20% of 50 is 10", 10), ("42 is 6 times 7", 42), ("the sum of 2 and 3 equals 5", 5),
    ],
)  # fmt: skip
def test_the_side_of_an_equation_that_is_a_number_counts(answer: str, value: object) -> None:
    assert number(answer) == value


@pytest.mark.parametrize(
    "answer",
    [
        "12_5", "12_{5}", "1011_2", "12<sub>5</sub>", "12\u2085", "1010 base 2", "25 (base 7)",
        "1010 (binary)", "0b101", "0x1F", "2\u00b3", "5C2", "5 choose 2", "17 mod 5", "log_2 8",
        "0.\\overline{3}", "0.3\u0305", "0.(3)", "42\u2030", "42 \u00b1 1", "|-5|", "7/-2",
        "5x", "5x + 3", "3i", "5 - x", "x - 2", "2(3 + 1)", "y = x + 2", "5 + tax",
        "5 ft 3 in", "2 hours 30 minutes", "2h30", "5'3\"", "2 dollars and 5 cents", "7 R 2",
        "7 remainder 2", "1 in 5", "5 per 100", "5 boys and 3 girls", "42 (or 43)", "42 or more",
        "12 dozen", "5 and a half", "half of 84", "6 times 7", "5 more than 3", "1. 42", "4 2",
        "42+", "up to 42", "over 42", "no more than 42", "!= 5", "12:30", "3:2", "1.2.2024",
    ],
)  # fmt: skip
def test_what_is_no_number_alone_is_not_read_as_one(answer: str) -> None:
    assert number(answer) is None


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Answer: US$42", 42), ("Answer: USD 42", 42), ("Answer: 42\u20ac", 42),
        ("#### $1,234", 1234),
        ("Answer: **$42.00**", 42), ("\\boxed{1{,}234}", 1234), ("\\boxed{42\\text{ km}}", 42),
        ("\\boxed{x = 42}", 42), ("\\boxed{\\$42}", 42), ("$$\\boxed{42\\%}$$", 42),
        ("Answer: 42_{10}", 42), ("Answer: 1.5E+3", 1500), ("Answer: 3\u00bd", Fraction(7, 2)),
        ("Answer: -\\tfrac72", Fraction(-7, 2)), ("Answer: 33 1/3%", Fraction(100, 3)),
        ("Answer: $15/hour", 15), ("Answer: 42 km/h", 42), ("Answer: 42 cm\u00b2", 42),
        ("Answer: 3 out of 5", 3), ("Answer: 5 (mod 7)", 5), ("Answer: 45^\\circ", 45),
        ("Answer: 1 234,5", Fraction("1234.5")), ("Answer: 1'234", 1234), ("Answer: a_5 = 12", 12),
        ("Answer: \\log_{2}(8) = 3", 3), ("So the answer is 42!", 42), ("```\n42\n```", 42),
        ("The answer must be 42.", 42), ("Thus the answer: 42", 42), ("So 42 is the answer.", 42),
        ("\u7b54\u6848\uff1a42", 42), ("\u7b54\u6848\u662f42\u3002", 42), ('{"answer": 42}', 42),
        ('```json\n{"steps": "6 * 7", "final_answer": "42"}\n```', 42),
        ("[42]", 42), ("\u201342", -42),
    ],
)  # fmt: skip
def test_a_number_is_read_in_the_forms_that_models_print(text: str, value: object) -> None:
    assert number(final_answer(text) or text) == value
