"""A tracking server that keeps the artifacts, and a line to it that breaks.

It runs on PostgreSQL where Debian's package ``postgresql`` is installed, and on SQLite elsewhere.
"""

from __future__ import annotations

import contextlib
import getpass
import importlib.util
import json
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import mlflow
import pandas as pd
import pytest
from mlflow.entities import Run
from sqlalchemy import create_engine, text
from tests.conftest import KedroRun, make_project, run_here
from tests.ratings.test_ratings import EARLIER

from ttc_bench.ratings.store import PairRating, Ratings

HAS_DRIVER = importlib.util.find_spec("psycopg") is not None
PROGRAMS = sorted(Path("/usr/lib/postgresql").glob("*/bin")) if HAS_DRIVER else []
BIN = PROGRAMS[-1] if PROGRAMS else None
SMALL = "benchmarks=[crm_sim],limit=2,timing.jobs=0"
PATIENCE_S = 120.0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


class Database:
    """A PostgreSQL server of one's own; it refuses to run as root."""

    def __init__(self, folder: Path) -> None:
        self._user = "postgres" if os.geteuid() == 0 else getpass.getuser()
        if os.geteuid() == 0:
            entry = pwd.getpwnam(self._user)
            os.chown(folder, entry.pw_uid, entry.pw_gid)
        self._data = folder / "data"
        quick = ["--no-sync", "--auth=trust", "--username=postgres", "--encoding=UTF8"]
        self._command("initdb", *quick, f"--pgdata={self._data}")
        self.control("start")

    def control(self, verb: str) -> None:
        options = f"-c listen_addresses= -c fsync=off -k {self._data}"
        places = [f"--pgdata={self._data}", f"--log={self._data}.log"]
        start = [] if verb == "stop" else [f"--options={options}"]
        self._command("pg_ctl", verb, "--wait", "--mode=immediate", *places, *start)

    def new(self, name: str) -> str:
        """Make a database and return its address."""
        self._command("createdb", f"--host={self._data}", "--username=postgres", name)
        return f"postgresql+psycopg://postgres@/{name}?host={self._data}"

    def _command(self, program: str, *arguments: str) -> None:
        assert BIN is not None
        user = self._user if os.geteuid() == 0 else None
        done = subprocess.run(
            [str(BIN / program), *arguments],
            check=False,
            user=user,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE_S,
        )
        assert done.returncode == 0, done.stderr


class Line:
    """The way to a server, which breaks as a certain request comes along it for the nth time.

    A broken one ends every connection at once; its port stays taken.
    """

    def __init__(self, server_port: int) -> None:
        self._server, self._is_whole = server_port, True
        self._sockets: list[socket.socket] = []
        self._breaks: tuple[bytes, int] | None = None
        self._then: Callable[[], None] = lambda: None
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.address = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def mend(self) -> None:
        self._is_whole = True

    def break_at(self, request: bytes, count: int, then: Callable[[], None]) -> None:
        self._breaks, self._then = (request, count), then

    def cut(self) -> None:
        self._is_whole = False
        for open_one in self._sockets:
            with contextlib.suppress(OSError):
                open_one.shutdown(socket.SHUT_RDWR)
            open_one.close()
        self._sockets.clear()

    def _accept(self) -> None:
        while True:
            client = self._listener.accept()[0]
            if not self._is_whole:
                client.close()
                continue
            server = socket.create_connection(("127.0.0.1", self._server))
            self._sockets += [client, server]
            for ends in ((client, server), (server, client)):
                threading.Thread(target=self._pass_on, args=ends, daemon=True).start()

    def _pass_on(self, come: socket.socket, go: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while content := come.recv(1 << 16):
                if self._breaks and self._breaks[0] in content:
                    request, count = self._breaks
                    self._breaks = (request, count - 1) if count > 1 else None
                    if count == 1:
                        self.cut()
                        self._then()
                        return
                go.sendall(content)
            go.shutdown(socket.SHUT_WR)


@pytest.fixture(scope="module")
def database() -> Iterator[Database | None]:
    if BIN is None:
        yield None
        return
    folder = Path(tempfile.mkdtemp(prefix="postgres"))
    own = Database(folder)
    try:
        yield own
    finally:
        own.control("stop")
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="module")
def line(
    database: Database | None, empty_store: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Line]:
    """The way to a tracking server."""
    port, store = free_port(), tmp_path_factory.mktemp("artifacts")
    shutil.copy(empty_store, store)
    address = database.new("mlflow") if database else f"sqlite:///{store}/mlflow.db"
    command = [sys.executable, "-m", "mlflow", "server", "--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", address, "--serve-artifacts"]
    command += ["--artifacts-destination", str(store)]
    process = subprocess.Popen(
        command,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
    )
    try:
        end = time.monotonic() + PATIENCE_S
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5).close()
                break
            assert process.poll() is None
            assert time.monotonic() < end
            time.sleep(0.1)
        yield Line(port)
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@pytest.fixture(scope="module")
def tracked(line: Line, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A project that tracks at the other end of the line; it is the working folder."""
    project = make_project(tmp_path_factory.mktemp("tracked") / "project")
    (project / "conf" / "local" / "mlflow.yml").write_text(
        f"server: {{mlflow_tracking_uri: '{line.address}'}}\n"
    )
    with contextlib.chdir(project):
        yield project


@pytest.fixture(scope="module")
def run(tracked: Path) -> KedroRun:
    return run_here


def runs_of(line: Line, name: str) -> tuple[Run, list[Run]]:
    """Return the run of a name, which is the only one, and those that are nested in it."""
    client = mlflow.MlflowClient(line.address)
    experiment = client.get_experiment_by_name("ttc-bench").experiment_id
    (parent,) = client.search_runs([experiment], f"tags.`ttc_bench.run` = '{name}'")
    nested = f"tags.`mlflow.parentRunId` = '{parent.info.run_id}'"
    return parent, list(client.search_runs([experiment], nested))


def files_of(line: Line, run: Run) -> set[str]:
    return {f.path for f in mlflow.MlflowClient(line.address).list_artifacts(run.info.run_id)}


def test_a_run_goes_on_where_its_line_and_its_database_dropped(
    run: KedroRun,
    line: Line,
    database: Database | None,
    tracked: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def come_back() -> None:
        if database:
            database.control("restart")
        line.mend()

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_BACKOFF_FACTOR", "1")

    # The first one is the run itself; the line drops as its variant is logged.
    line.break_at(b"/mlflow/runs/create", 2, come_back)
    result = run("--pipeline=baseline", f"--params={SMALL},aggregate.run_id=dropped")
    assert result.exit_code == 0, result.output
    assert "not tracked" not in caplog.text
    parent, nested = runs_of(line, "dropped")
    assert parent.info.status == "FINISHED"
    assert [(one.data.tags["variant"], one.info.status) for one in nested] == [
        ("greedy", "FINISHED")
    ]
    assert parent.data.params["limit"] == "2"
    assert files_of(line, parent) >= {"report.html", "plots", "tables", "summary.txt"}
    assert files_of(line, nested[0]) == {"figures.csv", "scores.parquet"}
    assert line.address in result.output
    assert not (tracked / "data/mlflow").exists()
    assert any(name.startswith("system/") for name in parent.data.metrics)
    left = [thread for thread in threading.enumerate() if thread.name == "SystemMetricsMonitor"]
    assert not left, "one monitor is enough for all nodes"


def test_a_server_that_dies_costs_no_result_and_one_command_delivers_it_later(
    run: KedroRun,
    line: Line,
    tracked: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    if not (tracked / "data/07_model_output/scores/baseline.greedy.parquet").exists():
        assert run("--pipeline=baseline", f"--params={SMALL}").exit_code == 0
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")
    line.break_at(b"/mlflow/runs/create", 2, lambda: None)
    result = run("--pipelines=aggregate", "--params=aggregate.run_id=lost,limit=2")
    assert result.exit_code == 0, result.output
    assert "Traceback" not in result.output
    (told,) = [text for text in caplog.messages if "not tracked" in text]
    what = "figures of the variants, traces, the end of the run"
    assert f"not tracked: {what}, as {line.address} is gone (" in told
    assert "`kedro run --pipeline=track`" in told
    assert "baseline.greedy" in (tracked / "data/08_reporting/summary.txt").read_text()
    scores = pd.read_parquet(tracked / "data/08_reporting/all_scores.parquet")
    assert set(scores["run_id"]) == {"lost"}

    refused = run("--pipeline=track")
    assert refused.exit_code == 1
    (error,) = [text for text in refused.output.splitlines() if text.startswith("Error")]
    assert f"the tracking server {line.address} does not answer" in error

    line.mend()
    assert runs_of(line, "lost")[0].info.status == "RUNNING"
    result = run("--pipeline=track", "--params=limit=7")
    assert result.exit_code == 0, result.output
    parent, nested = runs_of(line, "lost")
    assert parent.info.status == "FINISHED"
    assert parent.data.params["limit"] == "2", "the settings of the run, not of the delivery"
    assert [one.info.status for one in nested] == ["FINISHED"]
    assert files_of(line, parent) >= {"report.html", "plots", "tables", "summary.txt"}
    ids = json.loads((tracked / "data/08_reporting/mlflow_runs.json").read_text())
    assert set(ids.values()) == {one.info.run_id for one in nested}


def test_two_kept_runs_are_compared_beside_a_server(run: KedroRun, tracked: Path) -> None:
    if not (tracked / "data/08_reporting/runs/lost").exists():
        assert run("--pipeline=baseline", f"--params={SMALL},aggregate.run_id=dropped").output
        assert run("--pipeline=aggregate", "--params=aggregate.run_id=lost").exit_code == 0
    chosen = "--params=compare.before.run=dropped,compare.after.run=lost"
    result = run("--pipeline=compare", chosen)
    assert result.exit_code == 0, result.output
    changes = pd.read_parquet(tracked / "data/08_reporting/compare/run_changes.parquet")
    assert len(changes) > 0


def rating(rater: str, number: int) -> PairRating:
    sides: Any = ("baseline.greedy", "kv_cache.static", "left", 1.5, 7)
    return PairRating(rater, "target", "crm_sim", f"crm_sim/{number}", *sides)


def test_raters_who_enter_a_new_database_at_once_lose_nothing(database: Database | None) -> None:
    if database is None:
        pytest.skip(
            "there is no PostgreSQL: apt-get install postgresql, pip install -e .[postgres]"
        )
    addresses = [database.new(f"ratings_{number}") for number in range(5)]
    for address in addresses[3:]:
        with create_engine(address).begin() as earlier:
            earlier.execute(text(EARLIER.replace("id integer", "id serial")))
    start = threading.Barrier(3)

    def rate(rater: str) -> None:
        for number, address in enumerate(addresses):
            start.wait(PATIENCE_S)
            Ratings(address).add(rating(rater, number))
        ratings = Ratings(addresses[0])
        for number in range(20):
            ratings.add(rating(rater, number))

    with ThreadPoolExecutor(3) as raters:
        list(raters.map(rate, ("ann", "bo", "cy")))
    for address in addresses[1:3]:
        assert sorted(Ratings(address).rows()["rater"]) == ["ann", "bo", "cy"]
    for address in addresses[3:]:
        rows = Ratings(address).rows()
        assert sorted(rows["rater"]) == ["ann", "ann", "bo", "cy"], "an earlier version's goes on"
        assert rows["left_answer"].isna().all()
    rows = Ratings(addresses[0]).rows()
    assert Counter(rows["rater"]) == {"ann": 21, "bo": 21, "cy": 21}
    assert rows["id"].is_unique
    assert rows["rated_at"].notna().all()
