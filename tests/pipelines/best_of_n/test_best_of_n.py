"""Best-of-n picks the argmax of its score."""

from __future__ import annotations

from typing import Any

import pytest

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.types import Job

VARIANTS = ("best_of_n.likelihood", "best_of_n.verifier")


@pytest.mark.parametrize("name", VARIANTS)
def test_the_pick_has_the_highest_score(name: str, answer: Any, jobs: list[Job]) -> None:
    for job in jobs:
        outcome, _ = answer(name, job, n=6)
        scores = outcome.info["scores"]
        assert outcome.info["score"] == max(scores)
        assert outcome.text == outcome.samples[scores.index(max(scores))]


@pytest.mark.parametrize("name", VARIANTS)
def test_best_of_one_is_one_sample(name: str, answer: Any, jobs: list[Job]) -> None:
    one, _ = answer(name, jobs[0], n=1)
    many, _ = answer(name, jobs[0], n=6)
    assert one.text == many.samples[0]


@pytest.mark.parametrize("name", VARIANTS)
def test_the_oracle_is_at_least_as_good_as_the_pick(
    name: str, answer: Any, jobs: list[Job]
) -> None:
    for job in jobs:
        outcome, _ = answer(name, job, n=6)
        score = BENCHMARKS[job.benchmark].score
        picked = score(outcome.text, job)["reward"] or 0.0
        assert max(score(text, job)["reward"] or 0.0 for text in outcome.samples) >= picked


def test_the_verifiers_reading_is_billed(answer: Any, jobs: list[Job]) -> None:
    _, session = answer("best_of_n.verifier", jobs[0], n=6)
    reading = [call for call in session.ledger.calls if call.role == "verifier"]
    assert len(reading) == 1
    assert reading[0].verifier_tokens > 0
    assert reading[0].flops is not None
    assert reading[0].flops > 0
