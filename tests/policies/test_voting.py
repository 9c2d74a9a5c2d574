"""The vote is a plain count."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.policies.voting import scores_of_answers, vote

ANSWERS = st.lists(st.sampled_from(["a", "b", "c", None]), min_size=1, max_size=12)


@given(answers=ANSWERS)
def test_vote_equals_a_brute_force_count(answers: list[str | None]) -> None:
    result = vote(answers)
    readable = [answer for answer in answers if answer is not None]
    if not readable:
        assert result.votes == 0
        return
    counts = Counter(readable)
    most = max(counts.values())
    first = next(answer for answer in answers if answer is not None and counts[answer] == most)
    assert answers[result.index] == first
    assert result.votes == most
    assert result.share == most / len(answers)
    assert result.runner_up == (sorted(counts.values())[-2] if len(counts) > 1 else 0)


@given(answers=ANSWERS)
def test_an_unreadable_answer_never_wins_over_a_readable_one(answers: list[str | None]) -> None:
    assert answers[vote(answers).index] is not None or set(answers) == {None}


def test_no_sample_is_an_error() -> None:
    with pytest.raises(ValueError, match="at least one"):
        vote([])


def test_an_unreadable_sample_has_no_score() -> None:
    assert scores_of_answers(["a", None, "b"], [0.1, 0.9, 0.2]) == [0.1, -math.inf, 0.2]
