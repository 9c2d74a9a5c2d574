"""The page that shows variants, plots and runs side by side."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from tests.dashboard.conftest import Open, words
from tests.reporting.support import PARAMS

from ttc_bench.reporting.kept_runs import keep_run
from ttc_bench.reporting.labels import definition
from ttc_bench.reporting.metric_table import metric_table, plotted_intervals
from ttc_bench.reporting.plots import plots


def test_figures_are_those_of_the_summary(measured: Path, open_page: Open) -> None:
    summary = pd.read_parquet(measured / "data/08_reporting/bench_summary.parquet")
    keys = ["model", "benchmark", "policy", "variant"]
    for figure in ("mean", "p50", "p95"):
        page = open_page(measured, "compare", figure=figure)
        table = page.dataframe[0].value
        both = table.merge(summary, on=keys, suffixes=("", "_summary"))
        assert len(both) == len(summary) == len(table)
        for metric in ("reward", "latency_s", "total_tokens", "flops"):
            shown, told = (both[n].astype(float) for n in (metric, f"{metric}_{figure}"))
            pd.testing.assert_series_equal(shown, told, check_names=False)


def test_a_part_of_the_questions_and_any_metric_can_be_shown(
    measured: Path, open_page: Open
) -> None:
    page = open_page(measured, "compare", benchmark="crm_sim")
    page.multiselect(key="policies").set_value(["speculative", "baseline"])
    page.multiselect(key="metrics").set_value(["acceptance_rate", "reward"]).run()
    table = page.dataframe[0].value
    assert set(table["policy"]) == {"baseline", "speculative"}
    assert set(table["benchmark"]) == {"crm_sim"}
    assert {"acceptance_rate", "acceptance_rate_low", "reward_high"} <= set(table.columns)


def test_a_heading_says_what_it_means() -> None:
    assert definition("acceptance_rate_low").startswith("Lower end of: ")
    assert "Lower is better" in definition("latency_s")
    assert definition("policy") == ""


@pytest.mark.parametrize("plot", plots(), ids=lambda plot: plot.name)
def test_every_plot_of_the_report_is_there(plot: object, measured: Path, open_page: Open) -> None:
    page = open_page(measured, "compare", view="Plots", plot=plot.title)  # type: ignore[attr-defined]
    assert page.get("plotly_chart")
    assert not page.error


def test_one_run_alone_cannot_be_compared(measured: Path, open_page: Open) -> None:
    assert "fewer are kept" in words(open_page(measured, "compare", view="Two runs"))


def keep(project: Path, *runs: pd.DataFrame) -> None:
    """Keep runs in a project, the last one last."""
    for scores in runs:
        kept, settings = keep_run(scores, {"limit": 3})
        for key, table in kept.items():
            place = project / f"data/08_reporting/runs/{key}"
            place.parent.mkdir(parents=True, exist_ok=True)
            table.to_parquet(place.with_suffix(".parquet"))
            place.with_suffix(".json").write_text(json.dumps(settings[key]))


def test_two_runs_stand_side_by_side_with_what_changed(copied: Path, open_page: Open) -> None:
    first = pd.read_parquet(copied / "data/08_reporting/all_scores.parquet")
    second = first.assign(run_id="run 2")
    second.loc[second["policy"] == "baseline", "reward"] = 1.0
    keep(copied, first, second)
    page = open_page(copied, "compare", view="Two runs")
    table = page.dataframe[0].value
    reward = table[table["metric"] == "Reward"].set_index("policy")
    assert (reward.loc["baseline", "mean_after"] == 1.0).all()
    assert (reward.loc["speculative", ["n_up", "n_down"]] == 0).all().all()
    assert "after : run run 2" in words(page)
    assert "No setting changed" in words(page)


def test_runs_of_two_models_stand_side_by_side(copied: Path, open_page: Open) -> None:
    """Whether of one run or of two, each side says its model, and what it gained on the other."""
    large = pd.read_parquet(copied / "data/08_reporting/all_scores.parquet")
    small = large.assign(model="small", reward=0.0)
    keep(copied, pd.concat([large, small]), large.assign(run_id="later", model="third"))
    page = open_page(copied, "compare", view="Two runs")
    names = page.selectbox(key="before").options
    for model in (large["model"].iloc[0], "small"):
        one = next(name for name in names if f", {model}, " in name)
        page.selectbox(key="before").set_value(one).run()
        assert not page.exception
        said, table = words(page), page.dataframe[0].value
        assert f"model {model}" in said
        assert "model third" in said
        reward = table[table["metric"] == "Reward"]
        gain = large["reward"].sum() if model == "small" else 0.0
        assert (reward["mean_after"] - reward["mean_before"]).sum() == pytest.approx(gain / 2)


def test_an_earlier_run_is_compared_with_one_before_it(copied: Path, open_page: Open) -> None:
    """A run that asks other questions is passed over, and none that is later is chosen."""
    first = pd.read_parquet(copied / "data/08_reporting/all_scores.parquet").assign(run_id="first")
    other = first.assign(run_id="other", question="another" + first["job_id"].astype(str))
    middle, last = (first.assign(run_id=name) for name in ("middle", "last"))
    keep(copied, first, other, middle, last)
    page = open_page(copied, "compare", view="Two runs", run="middle")
    assert "after : run middle" in words(page)
    assert "before: run first" in words(page)
    page = open_page(copied, "compare", view="Two runs", run="first")
    assert "No earlier run has a question" in words(page)
    assert not page.dataframe


def test_a_table_of_no_row_keeps_its_headings() -> None:
    empty = pd.DataFrame({name: [] for name in ("model", "benchmark", "policy", "variant")})
    assert list(metric_table(empty, ["reward"], "mean", PARAMS))[-1] == "reward_high"
    assert list(metric_table(empty, ["reward"], "p95", PARAMS))[-1] == "reward"
    assert plotted_intervals(empty, PARAMS).empty
