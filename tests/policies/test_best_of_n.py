"""Best-of-n pays for what it scores; what it promises is in `test_invariants`."""

from __future__ import annotations

from typing import Any

from ttc_bench.types import Job


def test_the_verifiers_reading_is_billed(answer: Any, jobs: list[Job]) -> None:
    _, session = answer("best_of_n.verifier", jobs[0], n=6)
    reading = [call for call in session.ledger.calls if call.role == "verifier"]
    assert len(reading) == 1
    assert reading[0].verifier_tokens > 0
    assert reading[0].flops is not None
    assert reading[0].flops > 0
