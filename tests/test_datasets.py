"""Job files round-trip, and a broken one is told by file, line and field."""

from __future__ import annotations

import html
import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import orjson
import pandas as pd
import pytest
from kedro.io import DatasetError

from ttc_bench.datasets import (
    JobsDataset,
    JournalDataset,
    KnownTables,
    LinesDataset,
    TableDataset,
)
from ttc_bench.errors import told
from ttc_bench.types import Job, Message, Reading

JOB = Job(
    id="b/1",
    benchmark="b",
    task="t",
    messages=(Message(role="user", content="naïve “question”\n\u2028"),),
    references=("a", None),
    reward_metric="exact_match",
    max_tokens=8,
    metadata={"x": [1, None]},
)


def test_jobs_round_trip(tmp_path: Path) -> None:
    dataset = JobsDataset(str(tmp_path / "deep" / "jobs.jsonl"))
    dataset.save([JOB, JOB])
    assert dataset.load() == [JOB, JOB]


def test_jobs_are_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    JobsDataset(str(path)).save([JOB])
    code = (
        "import sys; from ttc_bench.datasets import JobsDataset;"
        "jobs = JobsDataset(sys.argv[1]); jobs.save(jobs.load())"
    )
    ascii_only = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    subprocess.run([sys.executable, "-c", code, path], env=os.environ | ascii_only, check=True)
    assert JobsDataset(str(path)).load() == [JOB]


def test_malformed_record_names_file_line_and_field(tmp_path: Path) -> None:
    path = tmp_path / "jobs.jsonl"
    broken = JOB.model_dump_json().replace('"max_tokens":8', '"max_tokens":0')
    path.write_text(JOB.model_dump_json() + "\n" + broken + "\n")
    with pytest.raises(DatasetError, match=r"jobs\.jsonl, line 2, field 'max_tokens'"):
        JobsDataset(str(path)).load()


@pytest.mark.parametrize("place", ["tools", "messages.0.images", "reading.language"])
def test_jobs_of_another_version_are_refused_or_read_as_far_as_they_go(
    place: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "jobs.jsonl"
    job = JOB.model_copy(update={"reading": Reading(is_marked=True)})
    newer = json.loads(job.model_dump_json())
    *way, name = place.split(".")
    part = newer
    for step in way:
        part = part[int(step) if step.isdigit() else step]
    part[name] = ["x"]
    path.write_text(f"{json.dumps(newer)}\n{job.model_dump_json()}\n{json.dumps(newer)}\n")
    with pytest.raises(DatasetError, match=rf"2 of 3 jobs hold .*\({place}\)") as raised:
        JobsDataset(str(path)).load()
    line = told(raised.value)
    assert line is not None
    assert "\n" not in line.message
    assert "kedro run --pipeline=ingest_benchmarks" in line.message
    assert JobsDataset(str(path), allow_missing=True).load() == [job] * 3
    assert f"2 of 3 jobs are of another version, {place} left out" in caplog.text
    broken = {**newer, "max_tokens": 0}
    path.write_text(json.dumps(broken))
    with pytest.raises(DatasetError, match=r"line 1, field"):
        JobsDataset(str(path), allow_missing=True).load()


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{oops", "not valid JSON"),
        (b"\xff\xfe", "not valid JSON"),
        (JOB.model_dump_json().encode().replace(b'"b/1"', b'"b\xff1"'), "field 'id'"),
        (b"[1]", "valid dictionary"),
    ],
)
def test_a_line_that_is_no_job_is_told_with_the_remedy(
    line: bytes, said: str, tmp_path: Path
) -> None:
    path = tmp_path / "jobs.jsonl"
    path.write_bytes(line + b"\n")
    with pytest.raises(DatasetError, match=rf"line 1.*{said}") as raised:
        JobsDataset(str(path)).load()
    fault = told(raised.value)
    assert fault is not None
    assert "`kedro run --pipeline=ingest_benchmarks` makes the file anew" in fault.message


@pytest.mark.parametrize("content", ["", None])
def test_empty_or_missing_job_file_says_what_to_do(tmp_path: Path, content: str | None) -> None:
    path = tmp_path / "jobs.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(DatasetError, match="kedro run --pipeline=ingest_benchmarks"):
        JobsDataset(str(path)).load()


def test_unselected_benchmark_may_be_empty(tmp_path: Path) -> None:
    dataset = JobsDataset(str(tmp_path / "jobs.jsonl"), allow_empty=True)
    dataset.save([])
    assert dataset.load() == []


def test_journal_dataset_opens_one_journal_a_run(tmp_path: Path) -> None:
    dataset = JournalDataset(str(tmp_path / "journal.jsonl"))
    assert dataset.load() is dataset.load()
    with pytest.raises(DatasetError, match="only appended to"):
        dataset.save("anything")


def test_a_table_of_any_values_has_a_preview_that_json_holds(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    table = pd.DataFrame(
        {
            "text": ["<b>", None, "c"],
            "number": [1.5, float("nan"), 2.0],
            "gaps": [np.array([0.1, 0.2]), np.array([]), None],
            "when": pd.to_datetime(["2026-01-01", None, "2026-01-02"]),
            "parts": [{"a": [1]}, None, {"a": []}],
        }
    )
    table.to_parquet(path)
    dataset = TableDataset(filepath=str(path))
    shown = json.loads(orjson.dumps(dataset.preview(nrows=2)))
    assert shown["columns"] == list(table.columns)
    assert [row[0] for row in shown["data"]] == ["<b>", None]
    assert shown["data"][0][2] == "[0.1, 0.2]"
    chosen = dataset.preview(columns=["number", "of_another_version"])
    assert (chosen["columns"], len(chosen["data"])) == (["number"], 3)
    table.head(0).to_parquet(path)
    assert dataset.preview()["data"] == []


def test_previews_show_what_is_asked_and_what_is_printed(tmp_path: Path) -> None:
    jobs = JobsDataset(str(tmp_path / "jobs.jsonl"))
    jobs.save([JOB] * 3)
    shown = jobs.preview(nrows=2)
    assert len(shown["data"]) == 2
    assert JOB.messages[-1].content in shown["data"][0]
    printed = LinesDataset(filepath=str(tmp_path / "table.txt"))
    printed.save("best_of_n  <1 s\n" * 3)
    assert html.unescape(printed.preview(nlines=2)).count("best_of_n  <1 s") == 2
    assert "_" not in printed.preview(), "to kedro-viz it is the sign of emphasis"


def test_a_table_that_is_away_or_broken_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    dataset = TableDataset(filepath=str(path))

    def line() -> str:
        with pytest.raises(DatasetError) as caught:
            dataset.load()
        error = told(caught.value)
        assert error is not None
        assert "\n" not in error.message
        return error.message

    assert line().startswith(f"there is no {path} yet")
    pd.DataFrame({"a": range(1000)}).to_parquet(path)
    whole = path.read_bytes()
    assert len(dataset.load()) == 1000
    for length in (0, 3, 100, len(whole) // 2, len(whole) - 1):
        path.write_bytes(whole[:length])
        assert line().startswith(f"{path} cannot be read ("), length
        assert line().endswith("remove it, then run again what writes it.")


def test_tables_that_are_not_there_are_none(tmp_path: Path) -> None:
    tables = KnownTables(
        path=str(tmp_path / "tables"),
        dataset={"type": "ttc_bench.datasets.TableDataset"},
        filename_suffix=".parquet",
    )
    assert tables.load() == {}
    tables.save({"x": pd.DataFrame({"a": [1]})})
    assert list(tables.load()) == ["x"]
