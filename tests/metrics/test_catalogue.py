from __future__ import annotations

from pathlib import Path

import pytest

from ttc_bench.metrics.base import METRICS, all_metrics
from ttc_bench.metrics.catalogue import BEGIN, catalogue, insert

ROOT = Path(__file__).parents[2]


def test_every_metric_is_defined() -> None:
    specs = list(all_metrics())
    assert len(specs) >= 40
    names = [spec.name for spec in specs]
    assert len(set(names)) == len(names)
    for spec in specs:
        assert spec.unit, spec.name
        assert spec.source, spec.name
        assert spec.definition.endswith("."), spec.name
        low, high = spec.range
        assert low is None or high is None or low < high, spec.name
        assert spec.family in METRICS


def test_the_catalogue_is_a_table_of_all_metrics() -> None:
    lines = catalogue().splitlines()
    rows = [line for line in lines if line.startswith("|")]
    assert len(rows) == len(list(all_metrics())) + 2
    assert {row.count(" | ") for row in rows[2:]} == {6}


def test_the_table_is_written_between_its_marks() -> None:
    text = f"a\n{BEGIN}\nstale\n<!-- metrics: end -->\nb\n"
    once = insert(text)
    assert once.startswith(f"a\n{BEGIN}\n")
    assert once.endswith("<!-- metrics: end -->\nb\n")
    assert "stale" not in once
    assert insert(once) == once


def test_the_readme_is_in_step() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if BEGIN not in readme:
        pytest.skip("the README does not hold the catalogue")
    assert insert(readme) == readme, "run: python -m ttc_bench.metrics.catalogue README.md"
