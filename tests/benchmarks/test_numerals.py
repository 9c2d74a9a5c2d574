"""One number in one unit is one answer however it is written, and nothing else is merged."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.benchmarks.answers import parse_answer
from ttc_bench.benchmarks.numerals import figure, typed, ungrouped


@pytest.mark.parametrize(
    ("written", "answer"),
    [
        ((".5", "0.5", "0.50", "+.5", "5e-1", "50e-2"), "0.5"),
        (("-0", "0", "0.0", "-0.00", "+0", "0e5", "\u22120"), "0"),
        (("1e3", "1.0e3", "1000", "1E3", "1,000", "10^3", "10\u00b3", "1 \u00d7 10^3",
          r"1\times10^{3}", "1\u202f000", "1'000", "$1,000.00", "1e+3"), "1000"),
        (("5%", "5 %", "5.0%", "5 percent", "5 per cent", r"5\%", "\uff15\uff05", "\u0665\u066a"),
         "5%"),
        (("42", "\u0664\u0662", "\uff14\uff12", "\u096a\u0968", "\u06f4\u06f2", "42."), "42"),
        (("\u20ac1,000", "\u20ac1000", "\u20ac 1000.0", "1000 \u20ac", "1.000e3\u20ac"),
         "\u20ac1000"),
        (("-\u20ac5", "\u20ac-5", "\u22125 \u20ac"), "\u20ac-5"),
        (("20\u00b0C", "20 \u00b0C", "20.0 \u00b0 C"), "20\u00b0C"),
        (("5 kg", "5.0 kg", "5.0kg"), "5kg"),
        (("3.14", "\u0663\u066b\u0661\u0664"), "3.14"),
    ],
)  # fmt: skip
def test_one_number_has_one_vote(written: tuple[str, ...], answer: str) -> None:
    assert {parse_answer(f"Answer: {number}") for number in written} == {(answer,)}


@pytest.mark.parametrize(
    "apart",
    [
        ("5", "5%", "\u20ac5", "\u00a35", "5 kg", "5 g", "-5", "0.05", "50", "5\u2030"),
        ("7", "007", "07", "7a", "7e", "7-7", "7/7"),
        ("1e3", "1e-3", "1e33", "13"),
        ("5 m", "5 mm", "5 min", "5 May"),
        ("1.2", "1.2.0", "1.20.0", "12"),
        ("12AB", "12 AB", "12"),
        ("1000000000000000000000000000001", "1000000000000000000000000000002", "1e30"),
        ("1e400", "1e401", "1e-400"),
        ("10\u00b2", "102", "10^-2"),
    ],
)
def test_what_differs_has_votes_of_its_own(apart: tuple[str, ...]) -> None:
    votes = [parse_answer(f"Answer: {text}") for text in apart]
    assert None not in votes
    assert len(set(votes)) == len(apart)


UNITS = ("", "%", " %", "kg", " kg", " \u20ac", "\u20ac", " percent", "\u00b0C")
NUMBERS = st.from_regex(
    r"[-+]?(?:0|[1-9][0-9]{0,4})?(?:\.[0-9]{1,3})?(?:[eE][-+]?[0-9]{1,2})?", fullmatch=True
)


def value_of(number: str, unit: str) -> tuple[Fraction, str]:
    return Fraction(number), unit.strip().replace("percent", "%")


@given(st.lists(st.tuples(NUMBERS, st.sampled_from(UNITS)), min_size=2, max_size=6))
def test_votes_are_equal_only_for_one_number_in_one_unit(parts: list[tuple[str, str]]) -> None:
    written = [(n, u) for n, u in parts if n.strip("+-")[:1].isdigit() or n.strip("+-")[:1] == "."]
    forms: dict[str, set[tuple[Fraction, str]]] = {}
    for number, unit in written:
        forms.setdefault(figure(ungrouped(typed(number + unit))), set()).add(value_of(number, unit))
    assert all(len(values) == 1 for values in forms.values())
    if all(unit in ("", "%") for _, unit in written):
        assert len(forms) == len({value_of(*part) for part in written})


@given(st.text(max_size=40))
def test_the_one_form_is_its_own_and_no_text_is_an_error(text: str) -> None:
    once = figure(ungrouped(typed(text)))
    assert figure(once) == once
