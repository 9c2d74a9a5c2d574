"""Steps that a small model drafts; that tokens stay the same is in `test_invariants`."""

from __future__ import annotations

from typing import Any

import pytest

from ttc_bench.policies.speculative import read_digit
from ttc_bench.types import Job


def test_no_drafted_step_is_kept_above_threshold_one(answer: Any, jobs: list[Job]) -> None:
    """With every drafted step rejected the target writes every line: its greedy answer.

    An answer that the token budget cuts off is cut at another place, since the ends of lines
    are not counted twice: up to there the texts are equal.
    """
    for job in jobs:
        outcome, _ = answer("speculative.step", job, threshold=1.01)
        assert outcome.info["drafted_steps"] == 0
        plain, _ = answer("baseline.greedy", job)
        own, expected = outcome.text.split(), plain.text.split()
        if plain.source.finish_reason == "length":
            shared = min(len(own), len(expected)) - 1
            own, expected = own[:shared], expected[:shared]
        assert own == expected


def test_every_drafted_step_is_kept_at_threshold_zero(answer: Any, jobs: list[Job]) -> None:
    for job in jobs:
        outcome, session = answer("speculative.step", job, threshold=0.0)
        assert outcome.info["drafted_steps"] == outcome.info["steps"]
        steps = [call for call in session.ledger.calls if call.purpose == "step"]
        assert {call.role for call in steps} == {"draft"}


def test_the_target_can_score_the_steps_itself(answer: Any, jobs: list[Job]) -> None:
    """Without a verifier, as on hosted models: every step costs one scoring call of the target."""
    outcome, session = answer("speculative.step", jobs[0], scorer="target", max_steps=4)
    scores = [call for call in session.ledger.calls if call.purpose == "score"]
    assert len(scores) == outcome.info["steps"]
    assert {call.role for call in scores} == {"target"}


@pytest.mark.parametrize(
    ("reply", "score"),
    [("9", 1.0), ("Score: 0.", 0.0), ("I say 3/9", 3 / 9), ("12", 0.0), ("sure", 0.0), ("7.5", 0)],
)
def test_a_score_is_a_digit_on_its_own(reply: str, score: float) -> None:
    assert read_digit(reply) == score
