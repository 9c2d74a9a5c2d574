"""MLflow by configuration: system metrics are on, and a server keeps its own artifacts."""

from __future__ import annotations

import contextlib
import shutil
import socket
import sqlite3
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import make_url
from tests.conftest import KedroRun, make_project, run_here

from ttc_bench.errors import UserError
from ttc_bench.hooks.mlflow_store import check_server
from ttc_bench.hooks.tracking import log_settings, with_place
from ttc_bench.ratings.params import HumanEvaluationParams


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


@pytest.mark.parametrize("folder", ["/a%20b", "/what?", "/50% of it", "/x#y", "/it's ü"])
def test_a_folder_of_any_name_holds_its_own_stores(folder: str) -> None:
    config = {"server": {"mlflow_tracking_uri": "sqlite:///data/mlflow.db"}}
    settled = with_place(config, Path(folder))
    ratings = HumanEvaluationParams().address(Path(folder))
    for address, name in (
        (settled["server"]["mlflow_tracking_uri"], "mlflow.db"),
        (ratings, "ratings.db"),
    ):
        assert make_url(address).database == f"{folder}/data/{name}"
        assert not make_url(address).query
        if folder in ("/50% of it", "/x#y", "/it's ü"):
            assert address.removeprefix("sqlite:///") == f"{folder}/data/{name}"


def test_two_projects_in_one_process_keep_runs_of_their_own(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stores = []
    for name in ("one", "two"):
        project = make_project(tmp_path / name)
        (project / "data/mlflow").mkdir()
        stores.append(shutil.copy(empty_store, project / "data/mlflow"))
        monkeypatch.chdir(project)
        arguments = ("--tags=ingest_benchmarks", "--params=limit=1,benchmarks=[crm_sim]")
        result = run_here("--pipeline=baseline", *arguments)
        assert result.exit_code == 0, result.output
    for store in stores:
        with contextlib.closing(sqlite3.connect(store)) as runs:
            assert runs.execute("select count(*) from runs").fetchone() == (1,)


def test_parts_of_a_run_that_begin_at_the_same_moment_log_its_settings_once(
    tmp_path: Path, empty_store: Path
) -> None:
    import mlflow

    store = shutil.copy(empty_store, tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{store}")
    client = mlflow.MlflowClient()
    settings = {f"key{place}": str(place) for place in range(200)}
    with ThreadPoolExecutor(3) as threads:
        for _ in range(5):
            run, begin = client.create_run("0"), threading.Barrier(3)

            def log(run: Any = run, begin: threading.Barrier = begin) -> None:
                begin.wait()
                log_settings(run, settings, "nightly")

            for part in [threads.submit(log) for _ in range(3)]:
                part.result()
            assert client.get_run(run.info.run_id).data.params == settings
    for other in ("1", "01", ""):
        told = f"the run nightly has key0 0 in MLflow, where it is {other} now"
        with pytest.raises(UserError, match=told):
            log_settings(client.get_run(run.info.run_id), {"key0": other}, "nightly")
    client.log_param(run.info.run_id, "long", "x" * 300)
    log_settings(client.get_run(run.info.run_id), {"long": "x" * 9000}, "nightly")


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that is taken, and where nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        yield int(taken.getsockname()[1])


@pytest.mark.parametrize(
    "kind", ["http://me:s3cret@", "https://", "postgresql+psycopg://me:s3cret@"]
)
def test_a_server_that_is_down_stops_the_run_in_one_line_before_any_work(
    kind: str, kedro_run: KedroRun, project: Path, closed_port: int
) -> None:
    (project / "conf" / "local" / "mlflow.yml").write_text(
        f"server: {{mlflow_tracking_uri: '{kind}127.0.0.1:{closed_port}/mlflow'}}\n"
    )
    result = kedro_run("--pipeline=baseline", "--params=limit=1")
    assert result.exit_code == 1
    (line,) = [text for text in result.output.splitlines() if text.startswith("Error")]
    assert f"127.0.0.1:{closed_port}/mlflow does not answer (Connection refused)" in line
    assert "s3cret" not in result.output
    assert not (project / "data/05_model_input").exists()


class Answers(BaseHTTPRequestHandler):
    """Says one status to everything."""

    status = 200

    def do_GET(self) -> None:
        self.send_response(self.status)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.mark.parametrize(
    ("status", "is_there"),
    [(200, True), (401, True), (404, True), (502, False), (503, False), (504, False)],
)
def test_who_answers_is_there_but_for_a_proxy_with_nobody_behind_it(
    status: int, is_there: bool
) -> None:
    handler = type("Says", (Answers,), {"status": status})
    with HTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://me:pass@127.0.0.1:{server.server_port}/mlflow"
        told = contextlib.nullcontext() if is_there else pytest.raises(UserError, match=str(status))
        with told:
            check_server(address)
        server.shutdown()


@pytest.mark.parametrize(
    "address", ["", "sqlite:///data/mlflow.db", "file:///x/mlruns", "mlruns", "databricks",
                "postgresql:///mlflow?host=/var/run/postgresql"],
)  # fmt: skip
def test_where_no_host_is_named_nobody_is_asked(address: str) -> None:
    check_server(address)


@pytest.mark.parametrize("address", ["http://", "https:///mlflow", "http://h:99999"])
def test_an_address_that_is_none_is_told(address: str) -> None:
    with pytest.raises(UserError, match="does not answer") as raised:
        check_server(address)
    assert "\n" not in raised.value.message
