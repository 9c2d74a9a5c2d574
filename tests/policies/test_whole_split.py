"""Greedy speculation is token-identical to plain decoding, over the test split.

`pytest --whole-split tests/policies/test_whole_split.py` takes every sample of it, which lasts
minutes; by default it is one of each task, their levels in turn.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import ingested

from ttc_bench.types import Job


def one_of_each(jobs: list[Job]) -> list[Job]:
    """Return a job of every task; the first task's is easy, the next one's is not."""
    levels = sorted({str(job.difficulty) for job in jobs})
    tasks = sorted({job.task for job in jobs})
    return [
        next(j for j in jobs if (j.task, j.difficulty) == (task, levels[place % len(levels)]))
        for place, task in enumerate(tasks)
    ]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("benchmark", ["crm_sim", "worf_sim"])
def test_every_answer_of_the_split_is_the_baselines(
    benchmark: str, answer: Any, request: pytest.FixtureRequest
) -> None:
    jobs = ingested(benchmark, None)
    assert len(jobs) >= 400
    for job in jobs if request.config.getoption("--whole-split") else one_of_each(jobs):
        plain, _ = answer("baseline.greedy", job)
        for name in ("speculative.draft_model", "speculative.prompt_lookup"):
            fast, session = answer(name, job)
            call = session.ledger.calls[0]
            assert fast.source.token_ids == plain.source.token_ids, (name, job.id)
            assert call.accepted_tokens <= call.draft_tokens
