"""Self-refine keeps its rounds, stops when the critique passes, and keeps its token budget."""

from __future__ import annotations

from typing import Any

import pytest

from ttc_bench.types import Job


@pytest.mark.parametrize("waits", [0, 1, 2])
def test_budget_forcing_keeps_the_jobs_token_budget(
    waits: int, answer: Any, marked_jobs: list[Job]
) -> None:
    for job in marked_jobs:
        outcome, session = answer("self_refine.budget_forcing", job, waits=waits)
        written = sum(call.completion_tokens for call in session.ledger.calls)
        assert written <= job.max_tokens
        assert outcome.info["waits"] <= waits


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
