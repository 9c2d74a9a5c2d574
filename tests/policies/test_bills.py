"""Every policy's bill is complete: the ledger is the sum of its calls, and replays cost nothing."""

from __future__ import annotations

import math
from typing import Any

import pytest

from ttc_bench.engines.columns import summed
from ttc_bench.engines.ledger import COLUMNS
from ttc_bench.policies import VARIANTS
from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job

SMALL: dict[str, dict[str, Any]] = {
    "best_of_n.likelihood": {"n": 2},
    "best_of_n.verifier": {"n": 2},
    "cascade.agreement": {"k": 2},
    "self_consistency.adaptive": {"n": 2},
    "self_consistency.majority": {"n": 2},
    "speculative.step": {"max_steps": 2},
    "tree_search.beam": {"depth": 2},
    "tree_search.dvts": {"depth": 2},
}


LOCAL = [name for name, cls in VARIANTS.items() if "served" not in cls.requires]
"""All but speculation inside a server, whose bill is tested with the hosted engine."""


@pytest.mark.parametrize("name", LOCAL)
def test_the_ledger_is_the_sum_of_its_calls_and_a_replay_is_free(
    name: str, answer: Any, jobs: list[Job]
) -> None:
    job = jobs[0].model_copy(update={"max_tokens": 48})
    pool = Journal()
    outcome, session = answer(name, job, pool, **SMALL.get(name, {}))
    totals = session.ledger.totals()
    for counter in (column.spec.name for column in COLUMNS if column.total is summed):
        parts = [getattr(call, counter) for call in session.ledger.calls]
        expected = None if None in parts else math.fsum(parts)
        assert totals[counter] == (None if expected is None else pytest.approx(expected))
    assert totals["flops"] is not None
    assert totals["flops"] > 0

    again, replayed = answer(name, job, pool, **SMALL.get(name, {}))
    assert again.text == outcome.text
    assert replayed.ledger.totals()["spent_calls"] == 0
    assert replayed.ledger.totals()["flops"] == totals["flops"], "its own price is the same"
