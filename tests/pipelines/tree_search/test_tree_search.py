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
        outcome, session = answer(name, job, beams=beams, width=width, depth=depth)
        steps = [call for call in session.ledger.calls if call.purpose == "step"]
        assert len(steps) <= beams * width * depth
        assert outcome.text.count("\n") < 64


@pytest.mark.parametrize("name", VARIANTS)
def test_one_branch_of_one_step_is_best_of_one(name: str, answer: Any, jobs: list[Job]) -> None:
    for job in jobs[::3]:
        found, _ = answer(name, job, beams=1, width=1, depth=1)
        single, _ = answer("best_of_n.likelihood", job, n=1, temperature=0.8)
        assert found.text == single.text.rstrip("\n")


@pytest.mark.parametrize("name", VARIANTS)
def test_the_answer_is_the_best_finished_branch(name: str, answer: Any, jobs: list[Job]) -> None:
    outcome, session = answer(name, jobs[0], beams=2, width=2, depth=8)
    assert outcome.text in outcome.samples
    assert any(call.role == "verifier" for call in session.ledger.calls)
