"""dbt in a process of its own builds and says what it does here, and is gone when the run is."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from tests.dbt.test_project import NULL_ENGINE, without_an_engine

from ttc_bench.datasets import StoreDataset
from ttc_bench.dbt import ahead
from ttc_bench.errors import DataError
from ttc_bench.hooks.dbt_ahead import DbtAhead

BEGIN = """
from ttc_bench.dbt import ahead
ahead.begin("warehouse")
ahead.wait()
print(ahead._own._process.pid, ahead._own._folder, flush=True)
input()
"""


def test_it_builds_beside_and_a_fault_is_told_as_from_this_process(
    tmp_path: Path, no_dbt: Callable[[], None]
) -> None:
    no_dbt()
    warehouse, hook = without_an_engine(tmp_path), DbtAhead()
    ahead.begin("warehouse")
    assert ahead._own is not None
    sources = node(lambda _: 0, "warehouse", "warehouse_sources", name="dbt_sources")
    hook.after_node_run(sources, {"warehouse": warehouse})
    own, deadline = psutil.Process(ahead._own._process.pid), time.monotonic() + 60
    while str(warehouse) not in {file.path for file in own.open_files()}:
        assert time.monotonic() < deadline, "it builds, though nobody waits for it"
        time.sleep(0.02)
    for _ in ("what was begun", "once more"):
        with pytest.raises(DataError, match=NULL_ENGINE):
            ahead.run_build(warehouse)
        assert ahead._own._underway is None
    ahead.begin_build(tmp_path / "none.duckdb")
    with pytest.raises(DataError, match=NULL_ENGINE):
        ahead.run_build(warehouse)
    assert "dbt.cli.main" not in sys.modules
    folder = Path(ahead._own._folder)
    assert folder.is_dir()
    ahead.end()
    assert not folder.exists(), "what it wrote is gone with it"


def test_what_it_says_as_it_breaks_is_told(
    tmp_path: Path, no_dbt: Callable[[], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    no_dbt()
    folder = tmp_path / "two:parts"
    (folder / "dbt").mkdir(parents=True)
    (folder / "dbt" / "__init__.py").write_text("raise ImportError('no dbt in here')")
    monkeypatch.setattr(sys, "path", [str(folder), tmp_path, *sys.path])
    ahead.begin("warehouse")
    with pytest.raises(DataError, match=r"exit code 1: ImportError: no dbt in here\); the scores"):
        ahead.run_build(tmp_path / "warehouse.duckdb")


def test_it_ends_with_a_process_that_is_killed() -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BEGIN], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        pid, _, folder = process.stdout.readline().strip().partition(" ")
        own = psutil.Process(int(pid))
        assert Path(folder).is_dir()
        process.kill()
    deadline = time.monotonic() + 60
    while own.is_running() and own.status() != psutil.STATUS_ZOMBIE:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert not Path(folder).exists(), "nobody else would remove it"


def test_dbt_is_loaded_before_calls_begin_and_only_where_a_run_has_marts(
    tmp_path: Path, no_dbt: Callable[[], None]
) -> None:
    hook, warehouse = DbtAhead(), tmp_path / "warehouse.duckdb"
    catalog = DataCatalog({"warehouse": StoreDataset(str(warehouse))})
    calls = node(lambda: 0, None, "responses", name="generate", tags="generate")
    sources = node(lambda _, __: 0, ["responses", "warehouse"], "warehouse_sources", name="sources")
    marts = node(lambda _, __: 0, ["warehouse_sources", "warehouse"], "marts", name="marts")
    no_dbt()
    hook.before_pipeline_run(Pipeline([calls, sources]), catalog)
    assert ahead._own is None
    hook.before_pipeline_run(Pipeline([calls, sources, marts]), catalog)
    assert ahead._own is not None
    hook.before_node_run(marts)
    assert not ahead._own._is_loaded
    nodes = [
        threading.Thread(target=hook.before_node_run, args=(calls,), daemon=True) for _ in range(4)
    ]
    for thread in nodes:
        thread.start()
    for thread in nodes:
        thread.join(120)
    assert not any(thread.is_alive() for thread in nodes)
    assert ahead._own._is_loaded
    if (fork := os.fork()) == 0:
        os._exit(ahead._own is not None)
    assert os.waitpid(fork, 0)[1] == 0, "it is the run's, not that of its forks"
    os.kill(ahead._own._process.pid, signal.SIGKILL)
    hook.before_node_run(calls)
    expected = r"dbt has ended \(exit code -9\); the scores are stored: `kedro run"
    with pytest.raises(DataError, match=expected):
        ahead.run_build(warehouse)
    hook.on_pipeline_error()
    assert ahead._own is None
