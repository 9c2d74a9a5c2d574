"""A cascade at its ends is one of its models, and in between both are billed."""

from __future__ import annotations

from typing import Any

import pytest

from ttc_bench.types import Job

VARIANTS = ("cascade.confidence", "cascade.agreement")


@pytest.mark.parametrize("name", VARIANTS)
def test_threshold_zero_is_always_the_small_model(name: str, answer: Any, jobs: list[Job]) -> None:
    for job in jobs:
        outcome, session = answer(name, job, threshold=0.0)
        assert outcome.info["escalated"] is False
        assert {call.role for call in session.ledger.calls} == {"draft"}


@pytest.mark.parametrize("name", VARIANTS)
def test_threshold_one_is_always_the_large_model(name: str, answer: Any, jobs: list[Job]) -> None:
    for job in jobs:
        outcome, session = answer(name, job, threshold=1.0)
        plain, _ = answer("baseline.greedy", job)
        assert outcome.text == plain.text
        assert {call.role for call in session.ledger.calls} == {"draft", "target"}


@pytest.mark.parametrize("name", VARIANTS)
def test_it_escalates_exactly_below_the_threshold(name: str, answer: Any, jobs: list[Job]) -> None:
    for job in jobs:
        outcome, session = answer(name, job, threshold=0.8)
        roles = {call.role for call in session.ledger.calls}
        assert outcome.info["escalated"] == (outcome.info["confidence"] < 0.8)
        assert ("target" in roles) == outcome.info["escalated"]


def test_both_bills_are_counted(answer: Any, jobs: list[Job]) -> None:
    _, both = answer("cascade.confidence", jobs[0], threshold=1.0)
    _, large = answer("baseline.greedy", jobs[0])
    small = next(call for call in both.ledger.calls if call.role == "draft")
    assert both.ledger.totals()["flops"] == pytest.approx(
        small.flops + large.ledger.totals()["flops"]
    )
