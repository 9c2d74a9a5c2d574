"""Tree search keeps its budget of steps, and at its smallest is a single sample."""

from __future__ import annotations

from typing import Any

import pytest

from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job

VARIANTS = ("tree_search.beam", "tree_search.dvts")


@pytest.mark.parametrize("name", VARIANTS)
def test_the_answer_is_the_finalist_that_the_verifier_likes_best(
    name: str, answer: Any, jobs: list[Job]
) -> None:
    outcome, session = answer(name, jobs[0], Journal(), beams=2, width=2, depth=4)
    scores = outcome.info["scores"]
    assert outcome.text == outcome.samples[scores.index(max(scores))]
    assert len(outcome.samples) <= 2
    readings = [call for call in session.ledger.calls if call.role == "verifier"]
    expansions = {c.request for c in session.ledger.calls if c.purpose == "step"}
    assert 0 < len(readings) <= len(expansions), "an expansion is read once, and billed"
    assert not any(call.replayed for call in readings), "no text is read twice"
