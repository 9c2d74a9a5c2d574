"""Tree search keeps its budget of steps, and at its smallest is a single sample."""

from __future__ import annotations

from typing import Any

import pytest

from ttc_bench.types import Job

VARIANTS = ("tree_search.beam", "tree_search.dvts")


@pytest.mark.parametrize("name", VARIANTS)
@pytest.mark.parametrize(("beams", "width", "depth"), [(1, 2, 3), (2, 2, 4), (3, 1, 2)])
def test_never_more_steps_than_the_budget(
    name: str, beams: int, width: int, depth: int, answer: Any, jobs: list[Job]
) -> None:
    for job in jobs[::2]:
        _, session = answer(name, job, beams=beams, width=width, depth=depth)
        steps = [call for call in session.ledger.calls if call.purpose == "step"]
        assert len(steps) <= beams * width * depth
        requests = {call.request for call in steps}
        assert len(requests) <= 1 + beams * (depth - 1)


@pytest.mark.parametrize("name", VARIANTS)
def test_one_branch_of_one_step_is_best_of_one(name: str, answer: Any, jobs: list[Job]) -> None:
    for job in jobs[::3]:
        found, _ = answer(name, job, beams=1, width=1, depth=1)
        single, _ = answer("best_of_n.likelihood", job, n=1, temperature=0.8)
        assert found.text == single.text.rstrip("\n")


@pytest.mark.parametrize("name", VARIANTS)
def test_the_answer_is_the_finalist_that_the_verifier_likes_best(
    name: str, answer: Any, jobs: list[Job]
) -> None:
    outcome, session = answer(name, jobs[0], beams=2, width=2, depth=4)
    scores = outcome.info["scores"]
    assert outcome.text == outcome.samples[scores.index(max(scores))]
    assert len(outcome.samples) <= 2
    readings = [call for call in session.ledger.calls if call.role == "verifier"]
    expansions = {c.request for c in session.ledger.calls if c.purpose == "step"}
    assert len(readings) == len(expansions), "every expansion is read once, and billed"
