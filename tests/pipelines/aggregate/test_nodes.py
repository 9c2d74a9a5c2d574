"""From scores to statements: counts, quantiles, paired differences, failures, and the exit code."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from io import BytesIO, TextIOWrapper
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from tests.reporting.support import (
    PARAMS,
    Marts,
    as_models,
    marts_of_each,
    scores,
    shown,
)

from ttc_bench.errors import DataError, UserError
from ttc_bench.measured import as_text, stamp
from ttc_bench.pipelines.aggregate.nodes import (
    build_marts,
    check_valid_share,
    collect_scores,
    collect_stored,
    confidence,
    log_runs,
    write_sources,
)
from ttc_bench.reporting.decision import decide
from ttc_bench.reporting.mlflow_runs import NOTE
from ttc_bench.reporting.params import DecideParams
from ttc_bench.reporting.speeds import speeds
from ttc_bench.reporting.tracker import Tracker
from ttc_bench.reporting.verdicts import verdicts

LATENCY_S = [0.1, 0.2, 0.3, 5.0]

TABLES = as_models(
    {
        "target": collect_scores(
            scores("baseline", "greedy", [1.0, 0.0, 0.0, 1.0]),
            scores(
                "speculative",
                "draft_model",
                [1.0, 1.0, None, 1.0],
                latency_s=0.5,
                control_latency_s=1.0,
            ),
        ),
        "nulls": scores("baseline", "greedy", [1.0, 0.0, None, 1.0]).assign(
            flops=[np.nan, 2e9, np.nan, 2e9]
        ),
        "quantiles": scores("baseline", "greedy", [1.0] * 4).assign(latency_s=LATENCY_S),
        "no baseline": scores("cascade", "agreement", [1.0, 0.0]),
        "failures": scores("baseline", "greedy", [None, None]),
        "replayed": scores("baseline", "greedy", [1.0, 0.0]).assign(replayed=True),
        "in part": scores("baseline", "greedy", [1.0, 0.0], calls=8.0, spent_calls=5.0),
        "made anew": scores("baseline", "greedy", [1.0, 0.0], calls=8.0, spent_calls=8.0),
    }
)


@pytest.fixture(scope="module")
def built() -> dict[str, Marts]:
    return marts_of_each(TABLES)


@pytest.fixture
def run() -> pd.DataFrame:
    return TABLES["target"]


@pytest.fixture
def marts(built: dict[str, Marts]) -> Marts:
    return built["target"]


def told(name: str, built: dict[str, Marts]) -> str:
    """What the terminal shows of one of the tables."""
    return shown(TABLES[name], built[name])


def test_a_terminal_without_the_letters_of_a_models_name_ends_nothing(
    run: pd.DataFrame, marts: Marts, monkeypatch: pytest.MonkeyPatch
) -> None:
    with TextIOWrapper(BytesIO(), encoding="ascii") as terminal, monkeypatch.context() as swapped:
        swapped.setattr("sys.stdout", terminal)
        named = {name: table.replace("target", "modèle") for name, table in marts.items()}
        assert "modèle" in shown(run.assign(model="modèle"), named)


def test_summary_counts_valid_and_failed_by_reason(marts: Marts) -> None:
    row = marts["bench_summary"].set_index("policy").loc["speculative"]
    assert (row["n"], row["n_valid"], row["n_failed"]) == (4, 3, 1)
    assert row["failures"] == "timeout: 1"
    assert row["reward_mean"] == 0.75, "a failed response has the reward 0"
    assert row["latency_s_mean"] == 0.5, "and no cost that is known"


def test_a_bill_with_a_gap_has_no_figure_and_says_how_many_it_lacks(
    built: dict[str, Marts],
) -> None:
    row = built["nulls"]["bench_summary"].iloc[0]
    assert row["flops_nulls"] == 1
    assert row[["flops_mean", "flops_p50", "flops_p95"]].isna().all()
    assert "flops" not in set(built["nulls"]["frontier"]["cost_metric"])
    figures = confidence(TABLES["nulls"], PARAMS)
    assert "flops" not in set(figures["metric"])
    assert "total_tokens" in set(figures["metric"])
    assert (row["reward_nulls"], row["usd_nulls"]) == (0, 3), "of the three valid responses"


def test_quantiles_are_numpys(built: dict[str, Marts]) -> None:
    row = built["quantiles"]["bench_summary"].iloc[0]
    for name, share in (("p50", 0.5), ("p95", 0.95), ("p99", 0.99)):
        assert row[f"latency_s_{name}"] == pytest.approx(np.quantile(LATENCY_S, share))


def test_comparison_is_paired_by_job_and_a_failure_has_the_reward_0(marts: Marts) -> None:
    versus = marts["policy_vs_baseline"].set_index("metric")
    assert (versus.loc["reward", "n_pairs"], versus.loc["latency_s", "n_pairs"]) == (4, 3)
    assert versus.loc["reward", "mean_difference"] == pytest.approx(1 / 4)
    assert versus.loc["latency_s", "median_ratio"] == pytest.approx(0.5)
    assert (versus.loc["reward", ["n_above", "n_below", "n_equal"]] == [1, 0, 3]).all()


def test_doubled_and_lost_responses_are_told_by_the_names_of_the_dbt_tests(tmp_path: Path) -> None:
    whole = scores("baseline", "greedy", [1.0, 0.0])
    lost = collect_scores(whole, scores("speculative", "draft_model", [1.0]))
    both = collect_scores(whole, whole.head(1), lost.assign(model="another"))
    named = both.assign(run_id="run", config="digest", samples=None)
    _, rows = write_sources(named, PARAMS, tmp_path / "warehouse.duckdb")
    with pytest.raises(DataError) as told:
        build_marts(rows, tmp_path / "warehouse.duckdb")
    for name in ("one_response_per_job_and_variant", "variants_answer_the_same_jobs"):
        assert name in told.value.message


def test_intervals_hold_the_mean_and_pair_by_job(run: pd.DataFrame) -> None:
    table = confidence(run, PARAMS).set_index(["policy", "metric"])
    reward = table.loc[("speculative", "reward")]
    assert reward["n_pairs"] == 4, "the failed response has the reward 0"
    assert reward["mean"] == 0.75
    assert reward["difference_low"] <= reward["difference"] <= reward["difference_high"]
    latency = table.loc[("speculative", "latency_s")]
    assert (latency["n_pairs"], latency["difference"]) == (3, -0.5)
    assert np.isnan(latency["difference_low"]), "three pairs bound no difference of costs"
    many = [
        scores(*name, [1.0] * 6, latency_s=s)
        for name, s in ((("baseline", "greedy"), 1.0), (("speculative", "draft_model"), 0.5))
    ]
    table = confidence(collect_scores(*many), PARAMS).set_index(["policy", "metric"])
    latency = table.loc[("speculative", "latency_s")]
    assert latency["difference"] == latency["difference_low"] == -0.5


def test_without_a_baseline_there_is_a_summary_and_no_difference(built: dict[str, Marts]) -> None:
    marts = built["no baseline"]
    assert marts["policy_vs_baseline"].empty
    assert marts["choices"]["quality_over_baseline"].isna().all()
    assert confidence(TABLES["no baseline"], PARAMS)["difference"].isna().all()
    assert "there is no baseline" in told("no baseline", built)


def test_all_failures_give_a_table_that_says_so(built: dict[str, Marts]) -> None:
    text = told("failures", built)
    assert "0/2" in text
    assert "baseline.greedy: 2 of 2 failed: timeout: 2." in text
    assert "no response is valid" in text.lower()
    failures = built["failures"]["failures"].iloc[0]
    assert (failures["n"], failures["share"]) == (2, 1.0)
    assert failures["example"] == "no answer in 60 s"


def test_too_many_failures_end_the_run_and_name_the_reason(marts: Marts) -> None:
    with pytest.raises(UserError, match=r"speculative\.draft_model .*1 of 4 .*timeout: 1"):
        check_valid_share(marts["bench_summary"], 0.95, {})
    check_valid_share(marts["bench_summary"], 0.75, {})


def test_table_shows_the_baseline_first_and_the_speed_of_the_variant(
    built: dict[str, Marts],
) -> None:
    lines = told("target", built).splitlines()
    rows = [line for line in lines if line.startswith(("baseline.", "speculative."))]
    assert rows[0].startswith("baseline.greedy")
    assert "2.00x" in rows[1]
    assert "4/4r" not in rows[0]


def test_table_marks_what_was_replayed(built: dict[str, Marts]) -> None:
    assert "2/2r" in told("replayed", built)
    assert "2/2r" in told("in part", built), "one replayed call is enough to have no time"
    assert "2/2r" not in told("made anew", built)


def assert_speeds_are_told_apart(found: pd.DataFrame, edited: str) -> None:
    """Each run's description does, where nobody has written another one since."""
    notes = found.set_index("run_id")[f"tags.{NOTE}"]
    assert notes.pop(edited) == "my own words"
    assert all("`key/speed`" in note and "`summary/speed_mean`" in note for note in notes)


def assert_settings_are_the_scores_own(logged: dict[str, str]) -> None:
    """Those of now are of what is said of the scores alone."""
    assert logged == {"limit": "4", "speculative.draft_model.k": "4", "report.width": "3"}


@pytest.fixture
def store(tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store of MLflow of the test's own."""
    import mlflow

    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_experiment("test")


def assert_others_are_refused(run: pd.DataFrame, log: Callable[[pd.DataFrame], object]) -> None:
    """MLflow changes no setting of a run."""
    with pytest.raises(UserError, match="limit 4, and the scores were made with 5"):
        log(stamp(run.copy(), as_text({"limit": 5})))


@pytest.mark.usefixtures("store")
def test_runs_are_nested_and_writing_twice_changes_nothing(run: pd.DataFrame, marts: Marts) -> None:
    import mlflow

    own = (marts["bench_summary"], marts["policy_vs_baseline"])
    # Four questions have no interval of a ratio, so that no cost had a word.
    ends = {"flops_ratio_low": 0.4, "flops_ratio_high": 0.6}
    words = verdicts(run, speeds(run, PARAMS), PARAMS).assign(flops_ratio=0.5, **ends)
    named = decide(words, DecideParams(budget_flops=1e12))
    parameters = {"limit": 4, "speculative": {"draft_model": {"k": 4}}}
    made = stamp(run.copy(), as_text(parameters))
    tables = (made, *own, confidence(run, PARAMS), words, named, "the table")
    now = {"limit": 5, "seed": 1, "report": {"width": 3}}
    files = {"jobs": "jobs.jsonl", "all_scores": "all_scores.parquet"}
    with mlflow.start_run() as parent:
        first = log_runs(*tables, now, files, Tracker())
        edited = next(iter(first.values()))
        mlflow.MlflowClient().set_tag(edited, NOTE, "my own words")
        again = log_runs(*tables, now, files, Tracker())
        assert_others_are_refused(
            run, lambda other: log_runs(other, *tables[1:], now, files, Tracker())
        )
    assert first == again
    assert_settings_are_the_scores_own(mlflow.get_run(parent.info.run_id).data.params)
    found = mlflow.search_runs(filter_string=f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'")
    assert len(first) == len(found) == 2
    assert_speeds_are_told_apart(found, edited)
    own = found.set_index("tags.policy").loc["speculative"]
    assert own["params.variant.k"] == "4"
    assert own["metrics.reward_mean"] == 0.75, "of four jobs one failed"
    assert own["metrics.usage/latency_s_median_ratio"] == 0.5
    assert own["tags.verdict"] == "undecided"
    assert own["tags.verdict/FLOPs"] == "cheaper"
    assert not {"tags.verdict/seconds", "tags.verdict/time to first token"} & set(found)
    page = mlflow.get_run(parent.info.run_id).data
    assert page.metrics["reward/crm_sim/speculative.draft_model"] == 0.75
    tag = page.tags["decision/crm_sim/best within 1e_03 GFLOP a response"]
    assert tag.startswith("baseline.greedy: ")
    summary = marts["bench_summary"].set_index("policy").loc["speculative"]
    intervals = confidence(run, PARAMS).set_index(["policy", "metric"]).loc["speculative"]
    figures = pd.read_csv(
        mlflow.artifacts.download_artifacts(run_id=own["run_id"], artifact_path="figures.csv"),
        index_col="figure",
        float_precision="round_trip",
    )["value"]
    shown = {name.removeprefix("metrics."): own[name] for name in own.index if "metrics." in name}
    assert shown == {name: figures[name] for name in shown}
    for metric, row in intervals.iterrows():
        prefix = next(p for p in ("", "usage/", "summary/") if f"{p}{metric}_mean" in shown)
        for name in ("mean", "p50", "p95", "p99"):
            logged = figures[f"{prefix}{metric}_{name}"]
            assert logged == pytest.approx(summary[f"{metric}_{name}"])
            for end in ("low", "high"):
                bound = figures.get(f"{prefix}{metric}_{name}_{end}", np.nan)
                assert bound == pytest.approx(row[f"{name}_{end}"], nan_ok=True)
    artifacts = mlflow.MlflowClient().list_artifacts(own["run_id"])
    assert [file.path for file in artifacts] == ["figures.csv", "scores.parquet"]
    inputs = mlflow.get_run(own["run_id"]).inputs.dataset_inputs
    names = {one.dataset.name for one in inputs}
    assert names == {"crm_sim", "target/crm_sim/speculative/draft_model"}
    shared = mlflow.get_run(parent.info.run_id).inputs.dataset_inputs
    assert [one.dataset.name for one in shared] == ["crm_sim"]
    assert shared[0].dataset.digest in {one.dataset.digest for one in inputs}


def test_stored_scores_are_needed() -> None:
    with pytest.raises(DataError, match="no scores are stored"):
        collect_stored({})
