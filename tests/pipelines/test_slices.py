"""What Kedro's own options select, runs: slices, several pipelines at once, other runners."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import mlflow
import orjson
import pandas as pd
import pytest
from click.testing import CliRunner
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.io import MemoryDataset
from kedro.pipeline import GroupedNodes, Pipeline
from kedro_airflow.plugin import create
from tests.conftest import KedroRun, configured, make_project, run_here
from tests.forked import Template

from ttc_bench.pipeline_registry import register_pipelines
from ttc_bench.policies import policies

PARAMS = "--params=limit=1,benchmarks=[crm_sim],score.families={bert_score: false}"
INGEST = ("--pipeline=ingest_benchmarks", PARAMS)

NODES = [f"kv_cache.{variant}.{stage}" for variant in ("static", "cosine")
         for stage in ("generate", "score")]  # fmt: skip
"""Of one policy."""

ALONE: dict[str, dict[str, Any]] = {
    "a tag": {"tags": ["kv_cache"]},
    "a namespace": {"node_namespaces": ["kv_cache"]},
    "its nodes": {"node_names": NODES},
    "from a node to a node": {"from_nodes": NODES[::2], "to_nodes": NODES[1::2]},
}
"""Ways to ask for them, as Kedro's options are passed on."""


def written(project: Path, kind: str) -> list[str]:
    """Return the ``{policy}.{variant}`` whose responses or scores are there."""
    return sorted(path.stem for path in (project / "data/07_model_output" / kind).glob("*.parquet"))


@pytest.mark.parametrize("way", ALONE)
def test_one_policy_is_selected_alone(way: str) -> None:
    pipeline = register_pipelines()["__default__"].filter(**ALONE[way])
    assert {node.name for node in pipeline.nodes} == set(NODES)


def test_one_policy_runs_alone(kedro_run: KedroRun, project: Path) -> None:
    assert kedro_run(*INGEST).exit_code == 0
    result = kedro_run("--namespaces=kv_cache", PARAMS)
    assert result.exit_code == 0, result.output
    assert written(project, "scores") == ["kv_cache.cosine", "kv_cache.static"]
    assert written(project, "responses") == written(project, "scores")


@pytest.mark.parametrize("policy", policies())
def test_the_group_of_a_policy_needs_only_what_is_stored_and_parameters(policy: str) -> None:
    """A deployer runs each group in a process of its own: nothing in memory may cross."""
    pipeline = register_pipelines()["__default__"]
    groups = {group.name: group for group in pipeline.group_nodes_by("namespace")}
    own = pipeline.only_nodes(*groups[policy].nodes)
    needed = {name for name in own.inputs() if not name.startswith("params:")}
    known = {"measured_settings", "run_name"}
    assert needed == {"jobs", "engine", "journal", "events", "workers", "encoded", *known}
    assert {node.namespace.split(".")[0] for node in own.nodes if node.namespace} == {policy}
    assert all(
        output.endswith((".responses", ".traces", ".scores")) for output in own.all_outputs()
    )


SETTINGS = "limit: 1\nbenchmarks: [crm_sim]\nscore: {families: {bert_score: false}}\n"
"""`PARAMS` as a file."""

PATIENCE_S = 500.0

RUN_ID = "manual__2026-11-27T18:00:00+00:00"
"""As Airflow gives it."""


TURNS = (
    (("crm_sim",), ("crmarena", "questions", "worf_sim", "worfbench")),
    (("merge", "baseline"),),
    (("kv_cache",),),
    (("reporting",),),
)
"""Groups by processes: those of a turn begin at the same moment, in a project without a store."""


TASK = """
import json, sys
from pathlib import Path
from kedro.framework.project import configure_project
from kedro.framework.session import KedroSession
configure_project("ttc_bench")
with KedroSession.create(project_path=Path.cwd(), env="local") as session:
    session.run(pipeline_names=["kv_cache"], **json.loads(sys.argv[1]))
"""
"""Runs groups of nodes as a task of kedro-airflow's DAG does."""


def chosen(groups: Sequence[GroupedNodes]) -> str:
    """Return what chooses groups, as such a task does."""
    if all(group.type == "namespace" for group in groups):
        return json.dumps({"namespaces": [group.name for group in groups]})
    return json.dumps({"node_names": [node for group in groups for node in group.nodes]})


def run_in_turns(project: Path, run_id: str, template: Template) -> None:
    """Run all groups of a policy's pipeline in processes of their own."""
    pipeline = register_pipelines()["kv_cache"]
    groups = {group.name: group for group in pipeline.group_nodes_by("namespace")}
    assert sorted(groups) == sorted(name for turn in TURNS for names in turn for name in names)
    env = {**os.environ, "AIRFLOW_CTX_DAG_RUN_ID": run_id}
    for turn in TURNS:
        tasks = [chosen([groups[name] for name in names]) for names in turn]
        processes = [template.start("-c", TASK, task, cwd=project, env=env) for task in tasks]
        for process in processes:
            said, _ = process.communicate(PATIENCE_S)
            assert process.returncode == 0, said


ALIKE = {
    "all_scores": [
        *("job_id", "task", "policy", "variant", "status", "answer", "question", "reward"),
        *("prompt_tokens", "completion_tokens", "forward_passes", "flops", "null_reasons"),
    ],
    "bench_summary": [
        *("model", "benchmark", "policy", "variant", "n", "n_valid", "failures"),
        *("reward_mean", "reward_p95", "total_tokens_mean", "flops_mean"),
    ],
}
"""Columns of tables that hold no time of day, and no time."""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, empty_store: Path) -> Path:
    """A project in which one process has run two policies."""
    folder = make_project(tmp_path_factory.mktemp("whole") / "project")
    (folder / "data/mlflow").mkdir()
    shutil.copy(empty_store, folder / "data/mlflow")
    with contextlib.chdir(folder):
        result = run_here("--pipelines=kv_cache,early_exit", PARAMS)
    assert result.exit_code == 0, result.output
    return folder


@pytest.mark.timeout(600)
def test_groups_in_processes_of_their_own_make_the_rows_that_one_process_makes(
    whole: Path, tmp_path: Path, template: Template
) -> None:
    parts = make_project(tmp_path / "parts")
    (parts / "conf/local/parameters.yml").write_text(SETTINGS)
    run_in_turns(parts, RUN_ID, template)
    for name, columns in ALIKE.items():
        one, own = (
            pd.read_parquet(folder / f"data/08_reporting/{name}.parquet")[columns]
            for folder in (whole, parts)
        )
        assert len(own) == 3
        shared = one[one["policy"] != "early_exit"].reset_index(drop=True)
        pd.testing.assert_frame_equal(own, shared)
    scores = pd.read_parquet(parts / "data/08_reporting/all_scores.parquet")
    assert set(scores["run_id"]) == {RUN_ID}

    client = mlflow.MlflowClient(f"sqlite:///{parts}/data/mlflow/mlflow.db")
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    (parent,) = [run for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert len(runs) == 4
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert parent.info.run_name == RUN_ID
    assert parent.data.params["limit"] == "1"


def test_the_dag_of_kedro_airflow_has_a_task_for_each_group(project: Path) -> None:
    options = ["--group-by=namespace", "--target-dir=dags"]
    result = CliRunner().invoke(create, options, obj=bootstrap_project(project))
    assert result.exit_code == 0, result.output
    source = (project / "dags/ttc_bench_dag.py").read_text()
    compile(source, "dag", "exec")
    groups = register_pipelines()["__default__"].group_nodes_by("namespace")
    names = {group.name: group.name.replace("_", "-") for group in groups}
    assert re.findall(r'task_id="(.*)"', source) == list(names.values())
    assert set(re.findall(r'tasks\["(.*)"\] >> tasks\["(.*)"\]', source)) == {
        (names[before], names[group.name]) for group in groups for before in group.dependencies
    }
    assert "max_active_runs=1," in source


def test_nothing_in_memory_crosses_from_one_group_to_another(project: Path) -> None:
    configured()
    whole = register_pipelines()["__default__"]
    with KedroSession.create(project) as session:
        catalog = session.load_context().catalog
    made = {name: node for node in whole.nodes for name in node.outputs}
    groups = whole.group_nodes_by("namespace")
    group_of = {node: group.name for group in groups for node in group.nodes}
    crossing = {
        name
        for node in whole.nodes
        for name in node.inputs
        if name in made and group_of[made[name].name] != group_of[node.name]
    }
    assert {"jobs", "baseline.greedy.scores"} <= crossing
    assert not [
        name for name in crossing if isinstance(catalog.get(name), (MemoryDataset, type(None)))
    ]


def previews(project: Path, pipeline: Pipeline) -> dict[str, bytes]:
    """Return what kedro-viz is sent of each dataset, by the call that it makes."""
    with KedroSession.create(project) as session:
        catalog = session.load_context().catalog
    sent = {}
    for name in sorted(pipeline.datasets()):
        dataset = catalog.get(name)
        if hasattr(dataset, "preview") and dataset._exists():
            viz = (dataset.metadata or {}).get("kedro-viz", {})
            sent[name] = orjson.dumps(dataset.preview(**viz.get("preview_args", {})))
            assert len(sent[name]) > 2, name
    return sent


def test_two_policies_at_once_make_one_table(whole: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(whole)
    summary = pd.read_parquet(whole / "data/08_reporting/bench_summary.parquet")
    assert set(summary["policy"]) == {"baseline", "kv_cache", "early_exit"}
    both = register_pipelines()["kv_cache"] + register_pipelines()["aggregate"]
    names = [node.name for node in both.nodes]
    assert len(names) == len(set(names)), "a stage that the suite holds comes in once"

    assert {"jobs", "summary_table", "bench_summary", "kv_cache.static.responses"} <= set(
        previews(whole, both)
    )

    kept = {path: path.stat().st_mtime_ns for path in (whole / "data/07_model_output").rglob("*")}
    (whole / "data/08_reporting/report.html").unlink()
    again = run_here("--pipelines=kv_cache,early_exit", "--only-missing-outputs", "--params=seed=7")
    assert again.exit_code == 0, again.output
    report = (whole / "data/08_reporting/report.html").read_text()
    assert "\nseed: 0\n" in report, "the scores were made with that"
    assert "\nseed: 7\n" not in report
    client = mlflow.MlflowClient()
    runs = client.search_runs([each.experiment_id for each in client.search_experiments()])
    parents = [run.data.params for run in runs if "mlflow.parentRunId" not in run.data.tags]
    assert [params.get("seed") for params in parents] == [None, "0"], "it measured nothing with 7"
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_processes_of_one_run_are_refused_in_a_line(kedro_run: KedroRun, project: Path) -> None:
    result = kedro_run("--pipeline=baseline", "--runner=ParallelRunner", PARAMS)
    assert result.exit_code == 1
    (line,) = [text for text in result.output.splitlines() if text.startswith("Error")]
    assert "--runner=ThreadRunner" in line
    assert "Traceback" not in result.output
    assert not (project / "data/07_model_output").exists()
