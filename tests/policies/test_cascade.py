"""A cascade at its ends is one of its models, and in between both are billed."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.policies.cascade import token_confidence
from ttc_bench.types import Job


def test_both_bills_are_counted(answer: Any, jobs: list[Job]) -> None:
    _, both = answer("cascade.confidence", jobs[0], threshold=1.0)
    _, large = answer("baseline.greedy", jobs[0])
    small = next(call for call in both.ledger.calls if call.role == "draft")
    assert both.ledger.totals()["flops"] == pytest.approx(
        small.flops + large.ledger.totals()["flops"]
    )


@given(logprobs=st.lists(st.floats(-30, 0), min_size=1, max_size=20))
def test_the_least_token_is_never_surer_than_the_mean(logprobs: list[float]) -> None:
    least, mean = token_confidence(logprobs, "min"), token_confidence(logprobs, "mean")
    assert 0 <= least <= mean * (1 + 1e-9) <= 1 + 1e-8
    assert token_confidence([], "mean") == 0.0


def test_the_verifier_can_be_the_signal_and_is_billed(answer: Any, jobs: list[Job]) -> None:
    for job in jobs:
        outcome, session = answer("cascade.confidence", job, threshold=0.5, signal="verifier")
        roles = [call.role for call in session.ledger.calls]
        assert roles[:2] == ["draft", "verifier"]
        assert outcome.info["escalated"] == (outcome.info["confidence"] < 0.5)
