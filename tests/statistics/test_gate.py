"""A limit is ruled on by intervals: luck opens the gate as rarely as it says, and size decides."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.statistics.gate import (
    UNKNOWN,
    Ruling,
    Word,
    loss_at_most,
    mean_at_most,
    overall,
    quantile_at_most,
    ratio_at_least,
    ratio_at_most,
    share_at_most,
    values_needed,
)
from ttc_bench.statistics.speed import speed

ORDER: tuple[Word, ...] = ("GO", "INCONCLUSIVE", "NO-GO")


@given(st.lists(st.sampled_from(ORDER), min_size=1))
def test_the_worst_word_is_the_verdict(words: list[Word]) -> None:
    assert overall(words) == max(words, key=ORDER.index)


def test_a_loss_of_just_the_limit_is_let_through_as_rarely_as_the_level_says() -> None:
    rng, limit, opened = np.random.default_rng(0), 0.1, 0
    for _ in range(1000):
        base = (rng.random(200) < 0.8).astype(float)
        own = np.where(rng.random(200) < limit / 0.8, 0.0, base)
        opened += loss_at_most(own, base, limit, 0.95).word == "GO"
    # 2.5% by the level; 1,000 draws of it read above 4.4% in one of 10,000.
    assert opened <= 44


@pytest.mark.parametrize(("true_p95_s", "word"), [(1.0, "NO-GO"), (4.0, "GO")])
def test_a_quantile_far_from_its_limit_is_decided_and_one_on_it_hardly_ever(
    true_p95_s: float, word: Word
) -> None:
    rng = np.random.default_rng(1)
    drawn = rng.exponential(1 / np.log(20), (300, 200))  # 95% are below 1.
    words = [quantile_at_most(row, 0.95, true_p95_s / 2, 0.95).word for row in drawn]
    assert words.count(word) == 300
    on_it = [quantile_at_most(row, 0.95, 1.0, 0.95).word for row in drawn]
    assert on_it.count("GO") <= 16, "2.5% by the level"
    assert on_it.count("NO-GO") <= 16


@given(
    st.lists(st.sampled_from([-1.0, 0.0, 1.0]), min_size=4, max_size=40),
    st.floats(0.01, 0.9),
    st.floats(0.01, 0.9),
)
def test_a_wider_limit_is_never_harder_to_keep(
    losses: list[float], one: float, other: float
) -> None:
    base, narrow, wide = np.array(losses), min(one, other), max(one, other)
    rulings = [loss_at_most(np.zeros(len(base)), base, limit, 0.95) for limit in (narrow, wide)]
    assert ORDER.index(rulings[0].word) >= ORDER.index(rulings[1].word)


@pytest.mark.parametrize(("share", "n"), [(0.95, 72), (0.99, 368), (0.5, 6)])
def test_values_that_all_keep_a_limit_decide_after_their_rule_of_three(
    share: float, n: int
) -> None:
    # The least n with share ** n <= 0.025.
    assert share**n <= 0.025 < share ** (n - 1)
    assert values_needed(1.0, share, 0.95) == n


RULES: dict[str, Callable[[np.ndarray, float, np.ndarray | None], Ruling]] = {
    "loss": lambda values, limit, codes: loss_at_most(1 - values, values, limit, 0.95, codes),
    "mean": lambda values, limit, codes: mean_at_most(values, limit, 0.95, codes),
    "share": lambda values, limit, codes: share_at_most(values, limit, 0.95, codes),
    "quantile": lambda values, limit, codes: quantile_at_most(values, 0.95, limit, 0.95, codes),
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
@pytest.mark.parametrize("size", [None, 1, 2, 1000])
def test_what_is_missing_is_left_out_and_nothing_tells_nothing(
    rule: Callable[..., Ruling], size: int | None
) -> None:
    def codes(n: int) -> np.ndarray | None:
        return None if size is None else np.arange(n) // size

    for nothing in (np.array([]), np.array([np.nan] * 5)):
        assert rule(nothing, 0.1, codes(len(nothing))) == UNKNOWN
    values, gaps = np.array([0.0, 1.0] * 20), np.full(200, np.nan)
    gaps[::5] = values
    whole = None if size is None else np.arange(200)[::5] // size
    # As text, since an end that is not bounded is NaN.
    assert str(rule(gaps, 0.1, codes(200))) == str(rule(values, 0.1, whole))
    for limit in (-1.0, 0.0, 1.0, 2.0, math.inf):
        for some in (values, values[:1], values[1:2], np.zeros(30), np.full(30, 0.3)):
            assert rule(some, limit, codes(len(some))).n == len(some)
    with pytest.raises(ValueError, match="no number limits nothing"):
        rule(values, math.nan, None)


def test_a_speed_of_just_the_limit_is_let_through_as_rarely_as_the_level_says() -> None:
    rng, words = np.random.default_rng(3), list[Word]()
    for pace in np.exp(0.3 * rng.standard_normal((1000, 2, 12))):
        words.append(ratio_at_least(speed(pace[0] / 1.1, pace[1]), 1.1).word)
    # 2.5% by the level on each side; 1,000 draws of it read above 4.4% in one of 10,000.
    assert 0 < words.count("GO") <= 44
    assert 0 < words.count("NO-GO") <= 44


@given(st.floats(0.2, 5.0), st.floats(0.2, 5.0), st.integers(1, 30))
def test_a_speed_of_at_least_is_a_ratio_of_seconds_of_at_most_its_inverse(
    factor: float, limit: float, pairs: int
) -> None:
    rng = np.random.default_rng(pairs)
    own, control = np.exp(0.2 * rng.standard_normal((2, pairs)))
    ratio = speed(own / factor, control)
    ruling = ratio_at_least(ratio, limit)
    mirrored = ratio_at_most(ratio.inverse(), 1 / limit)
    assert (ruling.word, ruling.needed) == (mirrored.word, mirrored.needed)
    assert str((ruling.figure, ruling.low, ruling.high, ruling.n)) == str(tuple(ratio))
    if ruling.word != "INCONCLUSIVE":
        assert (ratio.low >= limit) if ruling.word == "GO" else (ratio.high < limit)
    else:
        assert not ratio.low > limit
        assert not ratio.high < limit


def test_what_is_said_to_be_needed_does_decide() -> None:
    rng = np.random.default_rng(4)
    own_s, control_s = np.exp(0.3 * rng.standard_normal((2, 12)))
    some = ratio_at_least(speed(own_s / 1.3, control_s), 1.1)
    assert some.word == "INCONCLUSIVE"
    assert some.needed is not None
    more = 2 * some.needed // 12
    many = speed(np.tile(own_s / 1.3, more), np.tile(control_s, more))
    assert ratio_at_least(many, 1.1).word != "INCONCLUSIVE"

    rng = np.random.default_rng(2)
    base = np.ones(20)
    own = np.array([0.0] + [1.0] * 19)
    ruling = loss_at_most(own, base, 0.2, 0.95)
    assert ruling.word == "INCONCLUSIVE"
    assert ruling.needed is not None
    times = -(-ruling.needed // 20)
    assert loss_at_most(np.tile(own, times), np.tile(base, times), 0.2, 0.95).word == "GO"
    assert loss_at_most(own, base, 0.05, 0.95).needed is None, "it lies on its limit"

    costs = rng.exponential(1.0, 20)
    dear = mean_at_most(costs, costs.mean() * 1.1, 0.95)
    assert dear.word == "INCONCLUSIVE"
    assert dear.needed is not None
    more = np.tile(costs, 1 + dear.needed // 20)
    assert mean_at_most(more, costs.mean() * 1.1, 0.95).word == "GO"

    none = share_at_most(np.zeros(10), 0.1, 0.95)
    assert none.word == "INCONCLUSIVE"
    assert none.needed is not None
    assert share_at_most(np.zeros(2 * none.needed), 0.1, 0.95).word == "GO"
