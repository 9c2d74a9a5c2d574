"""A smaller budget saves cache, and the bill says how much."""

from __future__ import annotations

from typing import Any

import pytest

from ttc_bench.types import Job


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("kv_cache.static", {"budget": 0.5}),
        ("kv_cache.cosine", {"budget_start": 0.5, "budget_end": 0.5}),
    ],
)
def test_a_smaller_budget_saves_cache(
    name: str, settings: dict[str, float], answer: Any, jobs: list[Job]
) -> None:
    for job in jobs:
        _, small = answer(name, job, **settings)
        call = small.ledger.calls[0]
        assert call.kv_share_kept is not None
        assert call.kv_share_kept < 0.65
