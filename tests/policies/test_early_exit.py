"""Early exit runs fewer layers, or ends the reasoning early; at its neutral setting it is plain."""

from __future__ import annotations

from typing import Any

import pytest

from ttc_bench.policies import VARIANTS
from ttc_bench.types import Job

NEUTRAL = [
    ("early_exit.fixed_layer", {"layers": 1.0}),
    ("early_exit.confidence", {"threshold": 1.0}),
    ("early_exit.consistency", {"k": 1000}),
]


@pytest.mark.parametrize(("name", "settings"), NEUTRAL)
def test_the_neutral_setting_is_the_baseline(
    name: str, settings: dict[str, float], answer: Any, jobs: list[Job]
) -> None:
    for job in (job for job in jobs if VARIANTS[name].suits(job)):
        assert answer(name, job, **settings)[0].text == answer("baseline.greedy", job)[0].text


@pytest.mark.parametrize("share", [0.25, 0.5, 0.75])
def test_the_bill_counts_the_layers_that_ran(share: float, answer: Any, jobs: list[Job]) -> None:
    _, plain = answer("baseline.greedy", jobs[0])
    depth = plain.ledger.calls[0].layers_run / plain.ledger.calls[0].forward_passes
    _, early = answer("early_exit.fixed_layer", jobs[0], layers=share)
    call = early.ledger.calls[0]
    assert call.layers_run / call.forward_passes == round(share * depth)
