"""What the dashboard reads: the catalog's own files within the project, and nothing else."""

from __future__ import annotations

import itertools
import json
import math
import shutil
import threading
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from tests.conftest import make_project
from tests.dashboard.conftest import Open, holding, rewritten, words

from ttc_bench.dashboard.serving import PASSWORD, warning_of
from ttc_bench.dashboard.store import Store, opened
from ttc_bench.errors import DataError, UserError


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


SCORES = "data/08_reporting/all_scores.parquet"

ANEW = "`kedro run` makes it anew"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda t: t.drop_columns("reward"), "has no column reward."),
        (lambda t: t.rename_columns([n.replace("latency_s", "latency") for n in t.column_names]),
         "has no column latency_s. Did you mean 'latency'"),
        (lambda t: t.drop_columns([n for n in t.column_names if n != "job_id"]),
         "has no column run_id."),
        (holding("reward", "1", pa.string()), "holds text in its column reward; expected: number"),
        (holding("task", 7, pa.int64()), "holds numbers in its column task; expected: text."),
        (holding("flops", 0, pa.date32()), "holds date32[day] in its column flops; expected: num"),
        (holding("policy", True, pa.bool_()), "holds true or false in its column policy; expected"),
    ],
    ids=["no reward", "renamed", "another table", "text", "number", "date", "flag"],
)  # fmt: skip
def test_scores_of_another_origin_are_told_by_file_column_and_remedy(
    change: Callable[[pa.Table], pa.Table], told: str, folder: Path, open_page: Open
) -> None:
    rewritten(folder / SCORES, change)
    with pytest.raises(DataError) as raised:
        opened(folder).table("all_scores", ["job_id"])
    assert raised.value.message.startswith(f"{SCORES} {told}")
    assert ANEW in raised.value.message
    for page in ("decide", "compare", "answers"):
        assert f"{SCORES} {told}" in words(open_page(folder, page))


def test_columns_that_a_type_fits_are_read_whatever_its_width(folder: Path) -> None:
    rows = len(opened(folder).table("all_scores", ["job_id", "reward"]))
    for column, value, kind in (
        ("reward", 1.0, pa.float32()), ("flops", 7, pa.int8()), ("usd", None, pa.null()),
        ("policy", "x", pa.large_string()), ("reward", 1, pa.decimal128(9, 2)),
        ("task", "x", pa.dictionary(pa.int8(), pa.string())), ("lossless", None, pa.null()),
    ):  # fmt: skip
        rewritten(folder / SCORES, holding(column, value, kind))
        assert len(Store(folder).table("all_scores", ["job_id", "reward", column])) == rows


def test_what_scores_of_an_earlier_version_lack_a_decision_goes_without(
    folder: Path, open_page: Open
) -> None:
    """Pages name what they cannot do without; what was added since is not among it."""
    rewritten(folder / SCORES, lambda t: t.select([
        "run_id", "config", "job_id", "task", "difficulty", "engine", "status", "error_type",
        "error_message", "replayed", "model", "benchmark", "policy", "variant", "reward",
        "latency_s", "ttft_s", "total_tokens", "flops", "usd",
    ]))  # fmt: skip
    page = open_page(folder, "decide")
    assert "Best at any price" in words(page)
    assert page.get("plotly_chart")
    assert "has no column" not in words(page)
    table = open_page(folder, "compare").dataframe[0].value
    assert len(table)


@pytest.mark.parametrize("content", [b"", b"PAR1", b"no table at all", None], ids=str)
def test_a_damaged_file_is_told_by_its_name(content: bytes | None, folder: Path) -> None:
    file = folder / SCORES
    file.write_bytes(file.read_bytes()[: file.stat().st_size // 2] if content is None else content)
    with pytest.raises(DataError, match="cannot be read") as raised:
        Store(folder).table("all_scores", ["job_id"])
    assert raised.value.message.startswith(SCORES)
    assert ANEW in raised.value.message
    assert str(folder) not in raised.value.message
    assert "\n" not in raised.value.message


def test_one_damaged_file_of_a_folder_is_the_one_that_is_named(
    folder: Path, measured: Path
) -> None:
    responses = "data/07_model_output/responses"
    shutil.copytree(measured / responses, folder / responses)
    rewritten(folder / responses / "tree_search.beam.parquet", lambda t: t.drop_columns("text"))
    with pytest.raises(DataError, match=r"^\S*/tree_search\.beam\.parquet has no column text\."):
        Store(folder).table("stored_responses", ["text"])
    (folder / responses / "early_exit.confidence.parquet").write_bytes(b"PAR1")
    with pytest.raises(DataError, match=r"^\S*/early_exit\.confidence\.parquet cannot be read"):
        Store(folder).table("stored_responses", ["text"])


def test_rows_of_nobody_are_told(folder: Path, open_page: Open) -> None:
    def change(table: pa.Table) -> pa.Table:
        values = table["task"].to_pylist()
        place = table.schema.get_field_index("task")
        return table.set_column(place, "task", pa.array([None, *values[1:]], pa.string()))

    rewritten(folder / SCORES, change)
    for page in ("decide", "compare", "answers"):
        assert f"{SCORES} has rows without a value in task" in words(open_page(folder, page))


def test_numbers_without_end_are_told(folder: Path, open_page: Open) -> None:
    rewritten(folder / SCORES, holding("latency_s", math.inf, pa.float64()))
    told = f"{SCORES} holds numbers without end in latency_s"
    assert told in words(open_page(folder, "decide"))


def test_what_is_replaced_while_it_is_read_is_read_as_it_is_then(folder: Path) -> None:
    """As a run does: in one step, again and again, by tables of other rows."""
    file, store = folder / SCORES, Store(folder)
    table = pq.read_table(file)
    sizes = (len(table), 3)
    stop = threading.Event()

    def replace() -> None:
        for number in itertools.count():
            if stop.is_set():
                return
            pq.write_table(table.slice(0, sizes[number % 2]), file.with_suffix(".tmp"))
            file.with_suffix(".tmp").replace(file)

    writer = threading.Thread(target=replace)
    writer.start()
    try:
        counts = {len(store.table("all_scores", ["job_id"])) for _ in range(100)}
    finally:
        stop.set()
        writer.join()
    assert counts <= set(sizes)


JOBS = "data/05_model_input/jobs.jsonl"


def test_lines_that_are_no_jobs_cost_no_other(folder: Path, measured: Path) -> None:
    (folder / JOBS).parent.mkdir(parents=True, exist_ok=True)
    lines = (measured / JOBS).read_text().splitlines()
    whole = json.loads(lines[0])
    bad = [
        "[1]", "7", "null", "not json", "\0" * 9, "[" * 100_000, '{"id": "half', "{}",
        json.dumps({**whole, "messages": []}), json.dumps({**whole, "max_tokens": -1}),
        json.dumps({**whole, "id": ["x"]}), json.dumps({**whole, "messages": "hello"}),
    ]  # fmt: skip
    later = json.dumps({**whole, "id": "crm_sim/later", "of_another_version": 1})
    text = "\n".join([*lines[:3], *bad, later, *lines[3:]])
    (folder / JOBS).write_bytes(text.encode() + b"\n\xff\xfe")
    store = Store(folder)
    assert [job.id for job in store.jobs()] == [
        *(json.loads(line)["id"] for line in lines[:3]), "crm_sim/later",
        *(json.loads(line)["id"] for line in lines[3:]),
    ]  # fmt: skip
    assert store.job(whole["id"]).max_tokens == whole["max_tokens"]
    with pytest.raises(DataError, match=r"crm_sim/gone is not among .* Line 4 of \S+jobs\.jsonl"):
        store.job("crm_sim/gone")


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


def test_which_questions_are_stored_now_is_told(folder: Path, measured: Path) -> None:
    (folder / JOBS).parent.mkdir(parents=True, exist_ok=True)
    (folder / JOBS).write_bytes((measured / JOBS).read_bytes())
    store = Store(folder)
    assert "(2 of crm_sim, 2 of worf_sim)" in store.stored_questions()
    with pytest.raises(DataError, match=r"2 of crm_sim, 2 of worf_sim"):
        store.job("crm_sim/gone")
    (folder / JOBS).write_text("")
    assert "(none)" in store.stored_questions()
