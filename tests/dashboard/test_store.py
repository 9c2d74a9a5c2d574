"""What the dashboard reads: the catalog's own files within the project, and nothing else."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from tests.conftest import make_project

from ttc_bench.dashboard.serving import PASSWORD, warning_of
from ttc_bench.dashboard.store import Store, opened
from ttc_bench.errors import UserError


@pytest.fixture
def folder(tmp_path: Path, measured: Path) -> Path:
    project = make_project(tmp_path / "project")
    (project / "data/08_reporting").mkdir()
    shutil.copy(measured / "data/08_reporting/all_scores.parquet", project / "data/08_reporting")
    return project


def test_what_is_kept_of_a_project_is_kept_for_all_clicks(folder: Path) -> None:
    store = opened(folder)
    assert opened(folder) is store
    first = store.parameters("aggregate")
    assert store.parameters("aggregate") is first, "the configuration is not read at every click"
    file = folder / "conf/base/parameters_human_evaluation.yml"
    file.write_text(file.read_text().replace("seed: 0", "seed: 77"))
    assert store.parameters("human_evaluation")["seed"] == 77, "what was changed is seen"


def test_nothing_outside_of_the_project_is_read(folder: Path, tmp_path: Path) -> None:
    store, table = Store(folder), folder / "data/08_reporting/all_scores.parquet"
    assert len(store.table("all_scores", ["job_id"]))
    secret = tmp_path / "secret.parquet"
    table.rename(secret)
    table.symlink_to(secret)
    with pytest.raises(UserError, match="outside of the project"):
        store.table("all_scores", ["job_id"])
    responses = folder / "data/07_model_output/responses"
    responses.mkdir(parents=True)
    (responses / "x.parquet").symlink_to(secret)
    with pytest.raises(UserError, match="outside of the project"):
        store.table("stored_responses", ["job_id"])
    for part in ("../../../../secret.parquet", str(secret), "../../../conf/base/catalog.yml"):
        with pytest.raises(UserError, match="outside of"):
            store.place("stored_responses", part)


def test_no_query_reaches_a_file_or_a_network(folder: Path, tmp_path: Path) -> None:
    import duckdb

    (tmp_path / "secret.csv").write_text("key\nsk-1")
    connection = Store(folder)._duckdb
    for query in (
        f"from '{tmp_path}/secret.csv'", f"from read_text('{tmp_path}/secret.csv')",
        "from 'http://localhost:9/x.parquet'", "install httpfs",
        "set enable_external_access = true", f"attach '{tmp_path}/new.db'",
        f"copy (select 1) to '{tmp_path}/out.csv'",
    ):  # fmt: skip
        with pytest.raises(duckdb.Error):
            connection.execute(query)


@pytest.mark.parametrize("address", [None, "", "0.0.0.0", "::", "192.168.1.7", "example.org"])
def test_who_can_be_reached_by_others_is_warned_unless_they_need_a_password(
    address: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    told = "asks for no password: whoever reaches it reads all prompts and answers."
    assert f"{told} Set {PASSWORD}" in warning_of(address)
    monkeypatch.setenv(PASSWORD, "")
    assert warning_of(address), "an empty password is none"
    monkeypatch.setenv(PASSWORD, "x")
    assert not warning_of(address)


@pytest.mark.parametrize("address", ["localhost", "127.0.0.1", "::1"])
def test_ones_own_machine_needs_no_password(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(PASSWORD, raising=False)
    assert not warning_of(address)
