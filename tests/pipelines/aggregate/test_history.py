"""Earlier runs stay; a run of the same name, model and configuration replaces its own rows."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from tests.conftest import KedroRun
from tests.reporting.support import in_use, marts_of, scores

from ttc_bench.dbt import ahead
from ttc_bench.errors import DataError, UserError
from ttc_bench.measured import as_text, digest, stamp
from ttc_bench.pipelines.aggregate.nodes import collect_scores, name_run
from ttc_bench.reporting.params import AggregateParams

BASE = scores("baseline", "greedy", [1.0, 0.0])
MORE = collect_scores(BASE, scores("cascade", "agreement", [1.0, 1.0]))


def of_run(history: pd.DataFrame, run_id: str) -> pd.DataFrame:
    own = history[history["run_id"] == run_id].drop(columns="recorded_at")
    return own.sort_values(["policy", "variant"]).reset_index(drop=True)


def test_history_keeps_runs_and_models_apart_and_nothing_of_what_fails(tmp_path: Path) -> None:
    """One warehouse over five builds, which take seconds each."""
    warehouse = tmp_path / "warehouse.duckdb"
    first = marts_of(BASE, warehouse, "first")["history"]
    marts = marts_of(MORE, warehouse, "second")
    second, summary = marts["history"], marts["bench_summary"]
    assert len(second) == 3, "the first run stays"
    pd.testing.assert_frame_equal(
        of_run(second, "second")[summary.columns],
        summary.sort_values(["policy", "variant"]).reset_index(drop=True),
    )
    with pytest.raises(DataError, match="one_response_per_job_and_variant"):
        marts_of(collect_scores(BASE, BASE.head(1)), warehouse, "bad")
    again = marts_of(BASE.assign(reward=[1.0, 1.0]), warehouse, "second")["history"]
    assert len(again) == 2, "the variant that the second time did not run is gone, the bad run too"
    assert of_run(again, "second")["reward_mean"].tolist() == [1.0]
    pd.testing.assert_frame_equal(of_run(again, "first"), of_run(first, "first"))
    large = marts_of(BASE.assign(model="large"), warehouse, "second")["history"]
    assert sorted(of_run(large, "second")["model"]) == ["large", "target"], "a run of each model"


@pytest.mark.parametrize(
    ("change", "same"),
    [
        ({"aggregate": {"power": 0.9}}, True),
        ({"min_valid_share": 0.5}, True),
        ({"seed": 1}, False),
        ({"cascade": {"agreement": {"n": 3}}}, False),
    ],
)
def test_configuration_is_what_is_measured_with(change: dict[str, Any], same: bool) -> None:
    parameters = {"seed": 0, "min_valid_share": 0.95, "aggregate": {"power": 0.8}}
    assert (digest(parameters) == digest({**parameters, **change})) is same


def test_a_run_is_named_by_its_parameter_else_by_its_session() -> None:
    assert set(name_run(BASE, "now", {}, AggregateParams())["run_id"]) == {"now"}
    nightly = AggregateParams(run_id="nightly")
    assert set(name_run(BASE, "now", {}, nightly)["run_id"]) == {"nightly"}


def test_history_grows_over_kedro_runs(
    project: Path, kedro_run: KedroRun, no_dbt: Callable[[], None]
) -> None:
    """Be dbt loaded by the process of the run or by one of its own."""
    folder = project / "data" / "07_model_output" / "scores"
    folder.mkdir(parents=True)
    made_with = {"limit": 2, "seed": 5}
    stamp(BASE.copy(), as_text(made_with)).to_parquet(folder / "baseline.greedy.parquet")
    wanted = ("--pipeline=aggregate", "--to-outputs=history")
    for arguments in (wanted, (*wanted, "--params=aggregate.run_id=nightly")):
        run = kedro_run(*arguments)
        assert run.exit_code == 0, run.output
        assert mlflow.active_run() is None, "the next run of a process gets a run of its own"
        if arguments is wanted:
            no_dbt()
    assert "dbt.cli.main" not in sys.modules, "it was loaded elsewhere"
    assert ahead._own is None, "where nothing is left of it"
    history = pd.read_parquet(project / "data" / "08_reporting" / "history.parquet")
    runs = history.groupby("run_id").size()
    assert len(runs) == 2
    assert runs.eq(1).all(), "one variant on one benchmark, each run once"
    assert "nightly" in runs.index
    assert set(history["config"]) == {digest(made_with)}, "not of the settings of now"


def test_a_warehouse_in_use_is_told_in_a_line(tmp_path: Path) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    with in_use(warehouse), pytest.raises(UserError, match="in use by another process") as error:
        marts_of(BASE, warehouse, "run")
    assert len(str(error.value).splitlines()) == 1
