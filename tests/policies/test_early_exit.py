"""Early exit runs fewer layers, or ends the reasoning early; the rest is in `test_invariants`."""

from __future__ import annotations

from typing import Any

import pytest

from ttc_bench.types import Job


def test_probes_that_never_agree_leave_the_baseline(answer: Any, marked_jobs: list[Job]) -> None:
    for job in marked_jobs:
        own = answer("early_exit.consistency", job, k=1000)[0]
        assert own.text == answer("baseline.greedy", job)[0].text


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_the_bill_counts_the_layers_that_ran(share: float, answer: Any, jobs: list[Job]) -> None:
    _, plain = answer("baseline.greedy", jobs[0])
    depth = plain.ledger.calls[0].layers_run / plain.ledger.calls[0].forward_passes
    _, early = answer("early_exit.fixed_layer", jobs[0], layers=share)
    call = early.ledger.calls[0]
    assert call.layers_run / call.forward_passes == round(share * depth)
