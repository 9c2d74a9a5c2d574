"""Strengths are those that choices were drawn by, intervals cover them, agreement is the books'."""

from __future__ import annotations

import math

import numpy as np
import pytest

from ttc_bench.statistics.agreement import cohen_kappas, krippendorff_alpha, share_interval
from ttc_bench.statistics.preferences import Choice, bradley_terry

TRUE = np.array([-0.6, 0.0, 0.6])


def drawn(rng: np.random.Generator, questions: int) -> list[Choice]:
    """All pairs once a question, won by chance as Bradley and Terry have it."""
    return [
        Choice(i, j, float(rng.random() < 1 / (1 + math.exp(TRUE[j] - TRUE[i]))), question)
        for question in range(questions)
        for i, j in ((0, 1), (0, 2), (1, 2))
    ]


def test_strengths_are_found_and_their_intervals_cover() -> None:
    rng, covered = np.random.default_rng(0), 0
    for _ in range(100):
        fitted = bradley_terry(drawn(rng, 60), 3)
        covered += int(((fitted.low <= TRUE) & (fitted.high >= TRUE)).sum())
        assert fitted.strength.sum() == pytest.approx(0.0)
    assert covered >= 0.9 * 300
    fitted = bradley_terry(drawn(rng, 5000), 3)
    assert fitted.strength == pytest.approx(TRUE, abs=0.08)


def test_who_never_lost_has_a_finite_strength_and_ties_make_none() -> None:
    won = bradley_terry([Choice(0, 1, 1.0, question) for question in range(10)], 2)
    assert 0 < won.strength[0] < 10
    tied = bradley_terry([Choice(0, 1, 0.5, question) for question in range(10)], 2)
    assert tied.strength == pytest.approx([0.0, 0.0])


@pytest.mark.parametrize(("questions", "gap"), [(3, 0.0), (3, 3.0), (10, 1.0), (10, 3.0)])
def test_few_questions_that_say_the_same_leave_much_open(questions: int, gap: float) -> None:
    rng, covered = np.random.default_rng(0), 0
    chance = 1 / (1 + math.exp(-gap))
    for _ in range(100):
        choices = [Choice(0, 1, float(rng.random() < chance), q) for q in range(questions)]
        fitted = bradley_terry(choices, 2, draws=200)
        assert fitted.low[0] < fitted.strength[0] < fitted.high[0]
        covered += int(fitted.low[0] <= gap / 2 <= fitted.high[0])
    assert covered >= 90


def test_who_never_met_may_be_anything() -> None:
    fitted = bradley_terry([Choice(0, 1, 1.0, 0)], 3)
    assert (fitted.high - fitted.low > 3).all()


def test_agreement_is_that_of_the_worked_examples() -> None:
    said = {
        "one": dict(enumerate("aaabbb")),
        "two": dict(enumerate("aaabbb")),
    }
    assert krippendorff_alpha(said) == 1.0
    assert cohen_kappas(said) == {("one", "two"): (1.0, 6)}
    # Cohen's kappa of 20 yes-yes, 5 yes-no, 10 no-yes, 15 no-no is 0.4 (Wikipedia's example).
    first = "y" * 25 + "n" * 25
    second = "y" * 20 + "n" * 5 + "y" * 10 + "n" * 15
    (value,) = cohen_kappas({"a": dict(enumerate(first)), "b": dict(enumerate(second))}).values()
    assert value == (pytest.approx(0.4), 50)
    # Krippendorff, "Computing Krippendorff's Alpha-Reliability" (2011), C: alpha is 0.743.
    rows = {"A": "123321412...", "B": "1233224125.3", "C": ".3332342251.", "D": "12332441251."}
    known = {
        name: {unit: value for unit, value in enumerate(row) if value != "."}
        for name, row in rows.items()
    }
    assert krippendorff_alpha(known) == pytest.approx(0.743, abs=5e-4)
    assert math.isnan(krippendorff_alpha({"one": {1: "a"}, "two": {2: "a"}}))


def test_a_share_has_its_exact_interval() -> None:
    assert share_interval([True] * 24) == pytest.approx((1.0, 0.8575, 1.0), abs=1e-4)
    assert all(math.isnan(end) for end in share_interval([]))
