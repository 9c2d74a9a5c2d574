"""Runs at the edge, by the pipelines themselves: each ends with a report that says what it can."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pytest
from tests.conftest import KedroRun
from tests.pipelines.aggregate.support import scores

from ttc_bench.reporting.plots import PICTURES

REPORTING = Path("data/08_reporting")


def store(tables: Mapping[str, pd.DataFrame]) -> None:
    folder = Path("data/07_model_output/scores")
    folder.mkdir(parents=True)
    for name, table in tables.items():
        table.to_parquet(folder / f"{name}.parquet")


def of_models(*tables: pd.DataFrame) -> pd.DataFrame:
    both = (part.assign(model=name) for name, part in zip(("a $x", "b/c"), tables, strict=True))
    return pd.concat(both, ignore_index=True)


def baseline(rewards: list[float | None]) -> pd.DataFrame:
    return scores("baseline", "greedy", rewards)


def cascade(rewards: list[float | None]) -> pd.DataFrame:
    return scores("cascade", "agreement", rewards, flops=3e9, latency_s=0.5)


CASES = {
    "no baseline": (
        {"cascade.agreement": cascade([1.0, 0.0, 1.0])},
        ("There is no baseline", "there is no baseline, so nothing is compared"),
    ),
    "one sample": (
        {"baseline.greedy": baseline([1.0]), "cascade.agreement": cascade([0.0])},
        ("[no interval], undecided", "one job allows no interval"),
    ),
    "all failures": (
        {"baseline.greedy": baseline([None, None]), "cascade.agreement": cascade([None, None])},
        ("No response is valid, so nothing can be decided", "no response is valid"),
    ),
    "equal scores": (
        {"baseline.greedy": baseline([1.0] * 70), "cascade.agreement": cascade([1.0] * 70)},
        ("Equal: cascade.agreement, reward +0.000 [+0.000, +0.000]", "1.000"),
    ),
    "two models": (
        {
            "baseline.greedy": of_models(baseline([1.0, 0.0]), baseline([None, None])),
            "cascade.agreement": of_models(cascade([1.0, 1.0]), cascade([0.0, 1.0])),
        },
        ("crm_sim, model b/c", "crm_sim, model a $x"),
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_run_ends_with_a_report_that_says_what_it_can(case: str, kedro_run: KedroRun) -> None:
    tables, (in_report, in_terminal) = CASES[case]
    store(tables)
    result = kedro_run("--pipelines=aggregate,report", "--params=min_valid_share=0.0")
    assert result.exit_code == 0, result.output
    assert in_terminal in (REPORTING / "summary.txt").read_text()
    assert in_report in (REPORTING / "report.html").read_text()
    for picture in PICTURES:
        still, drawn = (
            next((REPORTING / "plots").glob(f"{picture.name.removesuffix('_plot')}.{kind}"))
            for kind in ("png", "json")
        )
        assert still.read_bytes().startswith(b"\x89PNG")
        assert json.loads(drawn.read_text())["layout"]
