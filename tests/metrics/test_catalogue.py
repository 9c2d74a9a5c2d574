from __future__ import annotations

import subprocess
import sys

import pytest
from tests.conftest import ROOT

from ttc_bench.metrics.base import METRICS, MetricSpec, all_metrics, family
from ttc_bench.metrics.catalogue import catalogue


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


def test_the_command_of_the_readme_prints_it() -> None:
    command = ["-m", "ttc_bench.metrics.catalogue"]
    assert f"`python {' '.join(command)}`" in (ROOT / "README.md").read_text(encoding="utf-8")
    printed = subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
    assert printed.stdout == catalogue()


@pytest.mark.parametrize("column", ["node_f1", "status", "answer"])
def test_a_column_has_one_owner(column: str) -> None:
    spec = MetricSpec(column, "1", (0.0, 1.0), True, "Another figure of that name.", "nobody")
    with pytest.raises(ValueError, match=f"'{column}' is .*; rename it"):
        family("taken", [spec])
