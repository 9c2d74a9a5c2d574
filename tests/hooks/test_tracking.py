"""MLflow by configuration: system metrics are on, and a server keeps its own artifacts."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.conftest import KedroRun, make_project, run_in
from tests.reporting.support import scores

from ttc_bench.hooks.tracking import with_place


@pytest.mark.parametrize("uri", ["http://tracking:5000", "databricks", "postgresql://db/mlflow"])
def test_a_server_keeps_its_own_artifacts(uri: str) -> None:
    place = {"artifact_location": "data/mlflow/artifacts"}
    config = {
        "server": {"mlflow_tracking_uri": uri},
        "tracking": {"experiment": {"name": "x", "create_experiment_kwargs": place}},
    }
    settled = with_place(config, Path("/project"))
    assert settled["tracking"]["experiment"] == {"name": "x", "create_experiment_kwargs": {}}
    assert place, "what was given stays as it is"


@pytest.mark.parametrize("path", ["data/mlflow.db", "/project/data/mlflow.db"])
def test_an_embedded_store_is_the_projects_own_wherever_the_run_starts(path: str) -> None:
    place = {"experiment": {"create_experiment_kwargs": {"artifact_location": "data/artifacts"}}}
    config = {"server": {"mlflow_tracking_uri": f"sqlite:///{path}"}, "tracking": place}
    settled = with_place(config, Path("/project"))
    assert settled["server"]["mlflow_tracking_uri"] == "sqlite:////project/data/mlflow.db"
    assert settled["tracking"] == place


def test_two_projects_in_one_process_keep_runs_of_their_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("one", "two"):
        project = make_project(tmp_path / name)
        monkeypatch.chdir(project)
        arguments = ("--tags=ingest_benchmarks,generate", "--params=limit=1,benchmarks=[crm_sim]")
        result = run_in(project, "--pipeline=baseline", *arguments)
        assert result.exit_code == 0, result.output
        assert (project / "data" / "mlflow" / "mlflow.db").exists()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    """A real tracking server, which keeps artifacts in its own folder."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = tmp_path / "server"
    store.mkdir()
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{store}/db", "--serve-artifacts"]
    command += ["--artifacts-destination", str(store / "artifacts")]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(600):
            try:
                urllib.request.urlopen(f"{url}/health", timeout=1)
                break
            except OSError:
                time.sleep(0.1)
        yield url
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        process.wait()


def test_one_line_of_configuration_sends_a_run_to_a_server(
    server: str, project: Path, kedro_run: KedroRun, tmp_path: Path
) -> None:
    import mlflow

    (project / "conf" / "local" / "mlflow.yml").write_text(
        f"server: {{mlflow_tracking_uri: '{server}'}}\n"
    )
    folder = project / "data" / "07_model_output" / "scores"
    folder.mkdir(parents=True)
    scores("baseline", "greedy", [1.0, 0.0]).to_parquet(folder / "baseline.greedy.parquet")
    shutil.rmtree(project / "data" / "mlflow")
    result = kedro_run("--pipelines=aggregate,report")
    assert result.exit_code == 0, result.output
    client = mlflow.MlflowClient(server)
    experiment = client.get_experiment_by_name("ttc-bench")
    runs = client.search_runs([experiment.experiment_id])
    parent = next(run for run in runs if "mlflow.parentRunId" not in run.data.tags)
    assert len(runs) == 2
    assert any(name.startswith("system/") for name in parent.data.metrics)
    left = [thread for thread in threading.enumerate() if thread.name == "SystemMetricsMonitor"]
    assert not left, "nodes open the run again, but one monitor is enough"
    logged = {file.path for file in client.list_artifacts(parent.info.run_id)}
    assert logged >= {"report.html", "plots", "tables", "summary.txt"}
    assert list((tmp_path / "server" / "artifacts").rglob("report.html"))
    assert not (project / "data" / "mlflow").exists()
