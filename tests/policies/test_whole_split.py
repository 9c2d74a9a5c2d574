"""Greedy speculation is token-identical to plain decoding, over the test split.

`pytest --whole-split tests/pipelines/speculative/test_whole_split.py` takes every sample of it,
which lasts minutes; by default it is every 29th, over all tasks and levels.
"""

from __future__ import annotations

from typing import Any

import pytest
from tests.conftest import ingested

STRIDE = 29


@pytest.mark.timeout(1800)
@pytest.mark.parametrize("benchmark", ["crm_sim", "worf_sim"])
def test_every_answer_of_the_split_is_the_baselines(
    benchmark: str, answer: Any, request: pytest.FixtureRequest
) -> None:
    jobs = ingested(benchmark, None)
    assert len(jobs) >= 400
    stride = 1 if request.config.getoption("--whole-split") else STRIDE
    for job in jobs[::stride]:
        plain, _ = answer("baseline.greedy", job)
        for name in ("speculative.draft_model", "speculative.prompt_lookup"):
            fast, session = answer(name, job)
            call = session.ledger.calls[0]
            assert fast.source.token_ids == plain.source.token_ids, (name, job.id)
            assert call.accepted_tokens <= call.draft_tokens
