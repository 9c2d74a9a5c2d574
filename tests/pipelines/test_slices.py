"""What Kedro's own options select, runs: slices, several pipelines at once, other runners."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import orjson
import pandas as pd
import pytest
from kedro.framework.session import KedroSession
from kedro.pipeline import Pipeline
from tests.conftest import KedroRun

from ttc_bench.pipeline_registry import register_pipelines
from ttc_bench.policies import policies

PARAMS = "--params=limit=1,benchmarks=[crm_sim],score.families={bert_score: false}"
INGEST = ("--pipeline=ingest_benchmarks", PARAMS)

ALONE = {
    "a tag": ("--pipeline=kv_cache", "--tags=kv_cache"),
    "a namespace": ("--namespaces=kv_cache",),
    "its nodes": (
        "--nodes=kv_cache.static.generate,kv_cache.static.score"
        ",kv_cache.cosine.generate,kv_cache.cosine.score",
    ),
    "from a node to a node": (
        "--from-nodes=kv_cache.static.generate,kv_cache.cosine.generate",
        "--to-nodes=kv_cache.static.score,kv_cache.cosine.score",
    ),
}
"""Ways to ask for the nodes of one policy."""


def written(project: Path, kind: str) -> list[str]:
    """Return the ``{policy}.{variant}`` whose responses or scores are there."""
    return sorted(path.stem for path in (project / "data/07_model_output" / kind).glob("*.parquet"))


@pytest.mark.parametrize("way", ALONE)
def test_one_policy_runs_alone(way: str, kedro_run: KedroRun, project: Path) -> None:
    assert kedro_run(*INGEST).exit_code == 0
    result = kedro_run(*ALONE[way], PARAMS)
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
    assert needed == {"jobs", "engine", "journal", "events", "workers"}
    assert {node.namespace.split(".")[0] for node in own.nodes if node.namespace} == {policy}
    assert all(
        output.endswith((".responses", ".traces", ".scores")) for output in own.all_outputs()
    )


def test_the_group_of_a_policy_runs_in_a_fresh_process(
    kedro_run: KedroRun, kedro_process: Callable[..., subprocess.Popen[str]], project: Path
) -> None:
    assert kedro_run(*INGEST).exit_code == 0
    process = kedro_process("--namespaces=kv_cache", "--runner=SequentialRunner", PARAMS)
    output, _ = process.communicate(timeout=200)
    assert process.returncode == 0, output
    scores = pd.read_parquet(project / "data/07_model_output/scores/kv_cache.static.parquet")
    assert scores["reward"].notna().all()


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


def test_two_policies_at_once_make_one_table(kedro_run: KedroRun, project: Path) -> None:
    result = kedro_run("--pipelines=kv_cache,early_exit", PARAMS)
    assert result.exit_code == 0, result.output
    summary = pd.read_parquet(project / "data/08_reporting/bench_summary.parquet")
    assert set(summary["policy"]) == {"baseline", "kv_cache", "early_exit"}
    both = register_pipelines()["kv_cache"] + register_pipelines()["aggregate"]
    names = [node.name for node in both.nodes]
    assert len(names) == len(set(names)), "a stage that the suite holds comes in once"

    assert {"jobs", "summary_table", "bench_summary", "kv_cache.static.responses"} <= set(
        previews(project, both)
    )

    kept = {path: path.stat().st_mtime_ns for path in (project / "data/07_model_output").rglob("*")}
    (project / "data/08_reporting/report.html").unlink()
    again = kedro_run("--pipelines=kv_cache,early_exit", "--only-missing-outputs", PARAMS)
    assert again.exit_code == 0, again.output
    assert (project / "data/08_reporting/report.html").exists()
    assert all(path.stat().st_mtime_ns == time for path, time in kept.items())


def test_processes_of_one_run_are_refused_in_a_line(kedro_run: KedroRun, project: Path) -> None:
    result = kedro_run("--pipeline=baseline", "--runner=ParallelRunner", PARAMS)
    assert result.exit_code == 1
    (line,) = [text for text in result.output.splitlines() if text.startswith("Error")]
    assert "--runner=ThreadRunner" in line
    assert "Traceback" not in result.output
    assert not (project / "data/07_model_output").exists()
