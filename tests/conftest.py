"""Fixtures: a project of one's own in a temporary folder, and ``kedro run`` in it."""

from __future__ import annotations

import contextlib
import os
import resource
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from kedro.framework.startup import bootstrap_project

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "data" / "06_models" / "reference"

KedroRun = Callable[..., Result]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the switch of the test that takes minutes."""
    parser.addoption("--whole-split", action="store_true", help="check every sample of the split")


@contextlib.contextmanager
def full_after(path: Path, more: int) -> Iterator[None]:
    """A disk on which the file can only grow by so many bytes."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (path.stat().st_size + more, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def make_project(folder: Path) -> Path:
    """Copy configuration and link the models: what a run writes stays in ``folder``."""
    folder.mkdir(exist_ok=True)
    shutil.copytree(ROOT / "conf", folder / "conf", ignore=shutil.ignore_patterns("local"))
    (folder / "conf" / "local").mkdir()
    shutil.copy(ROOT / "pyproject.toml", folder)
    (folder / "src").mkdir()
    (folder / "data").mkdir()
    (folder / "data" / "06_models").symlink_to(ROOT / "data" / "06_models")
    return folder


def run_in(folder: Path, *arguments: str) -> Result:
    """Run ``kedro run`` in a project that is the working folder, in this process."""
    bootstrap_project(folder)
    from ttc_bench.cli import cli

    return CliRunner().invoke(cli, ["run", *arguments])


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An MLflow store without runs: its tables take seconds to make, and none to copy."""
    import mlflow

    folder = tmp_path_factory.mktemp("mlflow")
    with contextlib.chdir(folder):
        mlflow.MlflowClient(f"sqlite:///{folder}/mlflow.db").search_experiments()
    return folder / "mlflow.db"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, empty_store: Path) -> Path:
    """A project in a temporary folder, which is the working folder of the test."""
    folder = make_project(tmp_path / "project")
    (folder / "data" / "mlflow").mkdir()
    shutil.copy(empty_store, folder / "data" / "mlflow")
    monkeypatch.chdir(folder)
    return folder


@pytest.fixture
def kedro_run(project: Path) -> Iterator[KedroRun]:
    """``kedro run`` in the test's own project, in this process."""
    yield partial(run_in, project)
    # A run that fails in a process of its own ends with it; here it would go on into other tests.
    from ttc_bench.tracking import end_runs

    end_runs("FAILED")


@pytest.fixture
def kedro_process(project: Path) -> Callable[..., subprocess.Popen[str]]:
    """Start ``kedro run`` in the test's own project, in a process that can be killed."""

    def start(*arguments: str) -> subprocess.Popen[str]:
        # A shell's background job, as the tests may be, passes on that Ctrl-C is ignored.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            return subprocess.Popen(
                [sys.executable, "-m", "kedro", "run", *arguments],
                cwd=project,
                text=True,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env={**os.environ, "PYTHONUNBUFFERED": "1"},
            )
        finally:
            signal.signal(signal.SIGINT, before)

    return start
