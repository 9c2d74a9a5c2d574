"""Runs at the edge, by the pipelines themselves: each ends with a report that says what it can."""

from __future__ import annotations

import html
import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
from tests.conftest import KedroRun
from tests.reporting.support import scores

from ttc_bench.reporting.plots import PICTURES

REPORTING = Path("data/08_reporting")


def store(tables: Mapping[str, pd.DataFrame]) -> None:
    folder = Path("data/07_model_output/scores")
    folder.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")


def baseline(rewards: list[float | None]) -> pd.DataFrame:
    return scores("baseline", "greedy", rewards)


def cascade(rewards: list[float | None]) -> pd.DataFrame:
    return scores("cascade", "agreement", rewards, flops=3e9, latency_s=0.5)


def finished(kedro_run: KedroRun) -> tuple[str, str]:
    """Aggregate and report what is stored; return what the terminal and the report show."""
    result = kedro_run("--pipelines=aggregate,report", "--params=min_valid_share=0.0")
    assert result.exit_code == 0, result.output
    for picture in PICTURES:
        still, drawn = (
            next((REPORTING / "plots").glob(f"{picture.name.removesuffix('_plot')}.{kind}"))
            for kind in ("png", "json")
        )
        assert still.read_bytes().startswith(b"\x89PNG")
        assert json.loads(drawn.read_text())["layout"]
    report = html.unescape((REPORTING / "report.html").read_text())
    return (REPORTING / "summary.txt").read_text(), report


MODELS = {
    "no baseline": {"cascade": cascade([1.0, 0.0, 1.0])},
    "one $ample": {"baseline": baseline([1.0]), "cascade": cascade([0.0])},
    "equal/scores": {"baseline": baseline([1.0] * 70), "cascade": cascade([1.0] * 70)},
    "no answers": {"baseline": baseline([None, None]), "cascade": cascade([0.0, 1.0])},
}
"""Tables of scores by model: what is compared stays within a model."""


def test_models_at_the_edge_are_told_what_the_numbers_allow(kedro_run: KedroRun) -> None:
    for policy in ("baseline", "cascade"):
        own = [t[policy].assign(model=name) for name, t in MODELS.items() if policy in t]
        store({policy: pd.concat(own, ignore_index=True)})
    terminal, report = finished(kedro_run)
    assert "model no baseline: there is no baseline, so nothing is compared" in terminal
    assert "model one $ample: one job allows no interval" in terminal
    for name in MODELS:
        assert f"crm_sim, model {name}" in report
    assert "There is no baseline, so no variant can be called better or worse" in report
    assert "Undecided: cascade.agreement, reward -1.000 [no interval]" in report
    assert "Equal: cascade.agreement, reward +0.000 [+0.000, +0.000]" in report
    assert "Undecided: cascade.agreement, reward difference not known" in report


def test_a_run_without_any_answer_says_so(kedro_run: KedroRun) -> None:
    store({"baseline.greedy": baseline([None, None]), "cascade.agreement": cascade([None, None])})
    terminal, report = finished(kedro_run)
    assert "no response is valid" in terminal
    assert "No response is valid, so nothing can be decided" in report
    assert "no answer in 60 s" in report
