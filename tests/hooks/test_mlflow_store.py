"""A copied or moved project is one of its own, and a store of another MLflow is read or told."""

from __future__ import annotations

import contextlib
import logging
import shutil
import sqlite3
from pathlib import Path

import mlflow
import pytest
from tests.conftest import KedroRun, run_here

from ttc_bench.errors import UserError
from ttc_bench.hooks.mlflow_store import settle_store

PLACE = "data/mlflow/artifacts"

TRACKED = ("--pipeline=baseline", "--tags=ingest_benchmarks", "--params=limit=1")


def files(folder: Path) -> dict[str, bytes]:
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_a_copied_project_keeps_its_artifacts_and_leaves_the_old_folder_alone(
    kedro_run: KedroRun, project: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert kedro_run(*TRACKED).exit_code == 0
    client = mlflow.MlflowClient(f"sqlite:///{project}/data/mlflow/mlflow.db")
    experiment = client.get_experiment_by_name("ttc-bench")
    (first,) = client.search_runs([experiment.experiment_id])
    # Not by MLflow, which remembers in this process where the artifacts of a run lie.
    note = project / PLACE / first.info.run_id / "artifacts" / "note.txt"
    note.parent.mkdir(parents=True, exist_ok=True)
    note.write_text("kept")
    copied = tmp_path / "a copy of 100%"
    shutil.copytree(project, copied, symlinks=True)
    before = files(project)

    monkeypatch.chdir(copied)
    result = run_here(*TRACKED)
    assert result.exit_code == 0, result.output
    client = mlflow.MlflowClient(f"sqlite:///{copied}/data/mlflow/mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("ttc-bench").experiment_id])
    assert len(runs) == 2
    for run in runs:
        client.log_text(run.info.run_id, "new", "new.txt")
        assert (copied / PLACE / run.info.run_id / "artifacts" / "new.txt").exists()
    shutil.move(project, tmp_path / "away")
    path = client.download_artifacts(first.info.run_id, "note.txt", str(tmp_path))
    assert Path(path).read_text() == "kept", "the old folder is not needed"
    assert files(tmp_path / "away") == before


def test_a_store_in_its_place_stays_as_it_is(kedro_run: KedroRun, project: Path) -> None:
    assert kedro_run(*TRACKED).exit_code == 0
    store = project / "data/mlflow/mlflow.db"
    before = store.read_bytes()
    settle_store(store, "ttc-bench", project, PLACE)
    settle_store(store, "ttc-bench", project, "another/place")
    settle_store(store, "another", project, PLACE)
    assert store.read_bytes() == before


def test_the_store_of_an_older_mlflow_is_brought_up_to_date_and_kept_as_it_was(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    from alembic import command
    from mlflow.store.db import utils
    from mlflow.store.tracking.dbmodels.initial_models import Base

    store = tmp_path / "mlflow.db"
    engine = utils.create_sqlalchemy_engine(f"sqlite:///{store}")
    Base.metadata.create_all(engine)
    config = utils._get_alembic_config(f"sqlite:///{store}")
    older = "0584bdc529eb"
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, older)
    engine.dispose()
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        connection.execute(
            "insert into experiments (experiment_id, name, artifact_location, lifecycle_stage)"
            " values (1, 'ttc-bench', '/old/data/mlflow/artifacts', 'active')"
        )
        connection.execute(
            "insert into runs (run_uuid, experiment_id, status, source_type, lifecycle_stage,"
            " user_id, start_time)"
            " values ('a', 1, 'FINISHED', 'LOCAL', 'active', 'u', 1)"
        )
    before = store.read_bytes()
    with caplog.at_level(logging.WARNING):
        settle_store(store, "ttc-bench", tmp_path, PLACE)
    assert "with its 1 runs" in caplog.text
    assert (tmp_path / f"mlflow.db.{older}").read_bytes()[:16] == before[:16]
    client = mlflow.MlflowClient(f"sqlite:///{store}")
    assert [run.info.run_id for run in client.search_runs(["1"])] == ["a"]
    assert client.get_experiment("1").artifact_location == f"{tmp_path.as_uri()}/{PLACE}"


def test_the_store_of_a_newer_mlflow_is_told_in_a_line(empty_store: Path, tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    shutil.copy(empty_store, store)
    with contextlib.closing(sqlite3.connect(store)) as connection, connection:
        connection.execute("update alembic_version set version_num = 'fffffffffff1'")
    with pytest.raises(UserError, match="newer MLflow"):
        settle_store(store, "ttc-bench", tmp_path, PLACE)


@pytest.mark.parametrize("place", ["mlflow/mlflow.db", "mlflow"])
def test_what_is_no_store_is_told_at_once(place: str, tmp_path: Path) -> None:
    """MLflow would try for a minute."""
    if place == "mlflow":
        (tmp_path / place).write_text("a file")
    else:
        (tmp_path / place).mkdir(parents=True)
    with pytest.raises(UserError, match="move it away") as raised:
        settle_store(tmp_path / "mlflow" / "mlflow.db", "ttc-bench", tmp_path, PLACE)
    assert str(tmp_path / place) in raised.value.message


def test_a_database_of_others_is_told(tmp_path: Path) -> None:
    store = tmp_path / "mlflow.db"
    with contextlib.closing(sqlite3.connect(store)) as others:
        others.execute("create table runs (a)")
    with pytest.raises(UserError, match="is no store of MLflow"):
        settle_store(store, "ttc-bench", tmp_path, PLACE)


@pytest.mark.parametrize("length", [100, 5_000, -1])
def test_a_store_that_is_cut_off_is_told_in_a_line(
    empty_store: Path, kedro_run: KedroRun, project: Path, length: int
) -> None:
    """As one that was copied while it was written."""
    whole = empty_store.read_bytes()
    store = project / "data" / "mlflow" / "mlflow.db"
    store.write_bytes(whole[:length] if length >= 0 else b"no database" + whole[11:])
    result = kedro_run(*TRACKED)
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert line.startswith(f"Error: {store} cannot be read (")
    assert "move it away" in line
    assert "Traceback" not in result.output
    assert not (project / "data" / "05_model_input").exists(), "before the first node"
