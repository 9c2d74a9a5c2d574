"""What registers itself is found by name, and a mistyped name is answered with close ones."""

from __future__ import annotations

import pytest

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.engines import ENGINES
from ttc_bench.errors import UserError
from ttc_bench.policies import VARIANTS
from ttc_bench.registry import Registry


def test_everything_the_project_ships_is_discovered() -> None:
    assert {"crm_sim", "worf_sim", "crmarena", "worfbench"} <= set(BENCHMARKS)
    assert "local" in ENGINES
    assert {"baseline.greedy", "speculative.draft_model", "early_exit.confidence"} <= set(VARIANTS)


def test_unknown_name_tells_close_ones() -> None:
    with pytest.raises(UserError, match=r"unknown benchmark 'crmsim'.*'crm_sim'"):
        BENCHMARKS["crmsim"]


def test_a_name_is_registered_once() -> None:
    registry: Registry[int] = Registry("number", "ttc_bench.metrics")
    registry.register("one")(1)
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("one")(1)
