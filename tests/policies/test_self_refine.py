"""Forced thinking waits and ends as it is set; the budgets are in `test_invariants`."""

from __future__ import annotations

from typing import Any

from ttc_bench.types import Job


def test_thinking_is_ended_where_the_limit_says(answer: Any, marked_jobs: list[Job]) -> None:
    for job in marked_jobs:
        outcome, session = answer(
            "self_refine.budget_forcing", job, waits=0, max_thinking_tokens=10
        )
        assert outcome.info["thinking_tokens"] <= 10
        assert len(session.ledger.calls) <= 2


def test_waiting_makes_it_think_longer(answer: Any, marked_jobs: list[Job]) -> None:
    longer = [
        answer("self_refine.budget_forcing", job, waits=1)[0].info["thinking_tokens"]
        - answer("self_refine.budget_forcing", job, waits=0)[0].info["thinking_tokens"]
        for job in marked_jobs
    ]
    assert min(longer) >= 0
    assert max(longer) > 0


def test_thinking_that_is_long_enough_does_not_wait(answer: Any, marked_jobs: list[Job]) -> None:
    for job in marked_jobs:
        settings = {"waits": 2, "min_thinking_tokens": 1}
        forced, _ = answer("self_refine.budget_forcing", job, **settings)
        plain, _ = answer("self_refine.budget_forcing", job, waits=0)
        assert forced.info["waits"] == 0
        assert forced.text == plain.text
