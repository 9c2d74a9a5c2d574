"""A run that is killed or interrupted: the same command finishes the rest and repeats nothing."""

from __future__ import annotations

import contextlib
import json
import signal
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from tests.conftest import KedroRun
from tests.forked import Forked

LIMIT = 12
ARGUMENTS = (
    "--pipeline=baseline",
    "--tags=ingest_benchmarks,generate",
    f"--params=limit={LIMIT},timing.jobs=0",
)


def test_a_killed_run_is_finished_by_the_same_command(
    kedro_process: Callable[..., Forked], kedro_run: KedroRun, project: Path
) -> None:
    journal = project / "data" / "07_model_output" / "journal.jsonl"
    process = kedro_process(*ARGUMENTS)
    _wait_for_lines(journal, 3, process)
    process.send_signal(signal.SIGSTOP)  # It is at work however long the other one takes to begin.
    refused = kedro_run(*ARGUMENTS)
    assert refused.exit_code == 1
    assert f"another run is at work in this project: baseline, process {process.pid}, since" in (
        refused.output
    )
    assert "Traceback" not in refused.output
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = _entries(journal)
    with journal.open("ab") as file:
        file.write(journal.read_bytes()[:40])  # What a kill leaves of a line.

    result = kedro_run(*ARGUMENTS)
    assert result.exit_code == 0, result.output

    assert _statuses(project) == ["FINISHED", "KILLED"], "the next run tells MLflow"
    after = _entries(journal)
    assert after[: len(before)] == before, "what was journalled is never written again"
    keys = [entry["key"] for entry in after]
    assert len(keys) == len(set(keys)), "no completion is computed twice"

    responses = pd.read_parquet(
        project / "data" / "07_model_output" / "responses" / "baseline.greedy.parquet"
    )
    assert len(responses) == responses["job_id"].nunique() == 2 * LIMIT
    assert (responses["status"] == "ok").all()
    assert int(responses["replayed"].sum()) == len(before)
    replayed = responses[responses["replayed"]]
    assert replayed["latency_s"].isna().all(), "a time of another run is none of this one"


@pytest.mark.parametrize(
    ("number", "word"), [(signal.SIGINT, "interrupted"), (signal.SIGTERM, "terminated")]
)
def test_an_interrupted_run_stops_at_once_and_says_what_is_kept(
    number: signal.Signals,
    word: str,
    kedro_process: Callable[..., Forked],
    project: Path,
) -> None:
    journal = project / "data" / "07_model_output" / "journal.jsonl"
    process = kedro_process("--pipeline=baseline", "--params=limit=40")
    _wait_for_lines(journal, 2, process)
    process.send_signal(number)
    output, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + number
    assert f"{word}: the same command replays" in output
    assert "Traceback" not in output
    assert len(_entries(journal)) < 80, "it does not wait for the jobs that are left"
    assert _statuses(project) == ["KILLED"]


def _statuses(project: Path) -> list[str]:
    with contextlib.closing(sqlite3.connect(project / "data" / "mlflow" / "mlflow.db")) as runs:
        return sorted(status for (status,) in runs.execute("select status from runs"))


def _entries(journal: Path) -> list[dict[str, object]]:
    whole = journal.read_bytes()
    return [json.loads(line) for line in whole[: whole.rfind(b"\n") + 1].splitlines()]


def _wait_for_lines(path: Path, count: int, process: Forked) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if path.exists() and path.read_bytes().count(b"\n") >= count:
            return
        assert process.poll() is None, process.communicate()[0]
        time.sleep(0.02)
    raise AssertionError(f"{path} did not reach {count} lines")
