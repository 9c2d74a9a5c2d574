"""How a run was steered stands in its record."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import mlflow
import pytest

from ttc_bench.engines.base import CallLimits
from ttc_bench.errors import DataError, UserError
from ttc_bench.hooks.live import sentence_of, to_mlflow
from ttc_bench.reporting.tracker import Tracker


def test_what_was_changed_of_a_run_is_a_tag_and_a_file_of_it(
    tmp_path: Path, empty_store: Path
) -> None:
    shutil.copy(empty_store, tmp_path)
    before = mlflow.get_tracking_uri()
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    try:
        mlflow.create_experiment("one", artifact_location=str(tmp_path / "artifacts"))
        mlflow.set_experiment("one")
        with mlflow.start_run() as run:
            tracker = Tracker(run.info.run_id)
            note = to_mlflow(tracker)
            note("call", {"usd": 1.0})
            assert "steered" not in mlflow.get_run(run.info.run_id).data.tags
            for change in ("paused", "resumed, concurrency 3"):
                note("steered", {"change": change, **CallLimits(concurrency=3).model_dump()})
            note("steered", {"refused": "no orders"})
            assert mlflow.get_run(run.info.run_id).data.tags["steered"] == (
                "paused; resumed, concurrency 3"
            )
            file = mlflow.artifacts.download_artifacts(
                run_id=run.info.run_id, artifact_path="steered.json", dst_path=str(tmp_path)
            )
        changes = json.loads(Path(file).read_text())["changes"]
        assert [one.get("change") for one in changes] == ["paused", "resumed, concurrency 3", None]
        assert changes[1]["concurrency"] == 3
        assert all(one["at"] > 0 for one in changes)
        tracker.run, tracker.server = "away", "http://away"
        note("steered", {"change": "paused"})
        assert "how the run was steered" in tracker.untracked, "a server that is away ends no run"
    finally:
        mlflow.set_tracking_uri(before)
    to_mlflow(Tracker())("steered", {"change": "paused"})


def test_only_sentences_of_ours_are_told_and_no_key_with_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-live-0123456789abcdef")
    error = UserError("limit (60)\n is reached, with sk-live-0123456789abcdef.")
    told = sentence_of(error)
    assert told is not None
    assert told.startswith("limit (60) is reached, with ")
    assert "0123456789" not in told
    assert sentence_of(DataError("a line")) == "a line"
    assert sentence_of(ValueError("what a prompt said")) is None
