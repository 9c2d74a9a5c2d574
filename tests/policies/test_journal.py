"""The journal loses nothing that it was given, whatever happens to the file's end."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import full_after, generated

from ttc_bench.engines.base import Engine
from ttc_bench.errors import UserError
from ttc_bench.policies.in_flight import InFlight
from ttc_bench.policies.journal import KEY_VERSION, Journal, logger
from ttc_bench.types import Job

IDENTITY = {"models": "tiny", "role": "target"}


class Lines(logging.Handler):
    """What is logged, a line each."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


RECORDS = st.dictionaries(
    st.text(min_size=1, max_size=8),
    st.fixed_dictionaries({"text": st.text(max_size=40)}),
    max_size=8,
)


@given(records=RECORDS)
def test_reopened_journal_holds_what_was_put(
    records: dict[str, dict[str, str]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    journal = Journal(path)
    for key, record in records.items():
        journal.put(key, record, IDENTITY)
    journal.close()
    again = Journal(path)
    assert {key: again.get(key) for key in records} == records
    assert len(again) == len(records)


@given(cut=st.integers(min_value=0, max_value=200))
def test_torn_last_line_costs_only_that_line(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """A kill can stop a write after any byte."""
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    journal = Journal(path)
    for number in range(3):
        journal.put(f"key{number}", {"text": "naïve — " * number}, IDENTITY)
    journal.close()
    whole = path.read_bytes()
    kept = whole[: max(0, len(whole) - cut)]
    path.write_bytes(kept)

    again = Journal(path)
    assert len(again) == kept.count(b"\n")
    again.put("later", {"text": "x"}, IDENTITY)
    again.close()
    lines = path.read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines][-1] == "later"
    assert len(lines) == kept.count(b"\n") + 1


def test_journal_is_written_before_put_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.put("a", {"text": "x"}, IDENTITY)
    line = json.loads((tmp_path / "j.jsonl").read_text())
    assert line == {"version": KEY_VERSION, "key": "a", "identity": IDENTITY, "text": "x"}


OLD = [
    {"key": "a", "text": "without a version"},
    {"version": KEY_VERSION - 1, "key": "b", "identity": {}, "text": "of the last version"},
    {"version": KEY_VERSION + 1, "key": "c", "identity": {}, "text": "of the next version"},
]


@given(order=st.permutations([*OLD, {"version": KEY_VERSION, "key": "d", "text": "of this one"}]))
def test_records_of_another_key_version_stay_as_they_are_and_are_told_by_their_number(
    order: list[dict[str, Any]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    # Spaces and order of another writer: what is written anew would not be the same bytes.
    before = "".join(json.dumps(record, sort_keys=True, indent=None) + "\n" for record in order)
    path.write_text(before)
    handler = Lines()
    logger.addHandler(handler)
    try:
        journal = Journal(path)
    finally:
        logger.removeHandler(handler)
    assert len(handler.lines) == 1
    assert re.search(rf"j\.jsonl: {len(OLD)} records of another key version", handler.lines[0])
    assert len(journal) == 1
    assert [journal.get(record["key"]) for record in OLD] == [None] * len(OLD)
    journal.put("a", {"text": "anew"}, IDENTITY)
    journal.close()
    assert path.read_bytes().startswith(before.encode())
    assert path.read_text().count("\n") == len(order) + 1
    again = Journal(path)
    assert again.get("a") == {"text": "anew"}
    assert again.get("d") == {"text": "of this one"}


@pytest.mark.parametrize(
    "line",
    [
        b"\0" * 4096,
        b"[" * 200_000,
        b"[]",
        b'"text"',
        b'{"version":2,"key":"x","ident',
        b"\xff\xfe{\x00}\x00",
        b'\xef\xbb\xbf{"a": 1}',
    ],
)
def test_whatever_stands_between_records_costs_none(line: bytes, tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    first = Journal(path)
    first.put("a", {"text": "1"}, IDENTITY)
    first.close()
    with path.open("ab") as file:
        file.write(line + b"\n")
    second = Journal(path)
    second.put("b", {"text": "2"}, IDENTITY)
    second.close()
    again = Journal(path)
    assert (again.get("a"), again.get("b")) == ({"text": "1"}, {"text": "2"})


@pytest.mark.parametrize("line", [b"5", b"[]", b'{"begins": []}', b'{"begins": 1}', b"\0", b"{}"])
def test_a_note_of_calls_in_flight_that_is_none_stops_no_run(line: bytes, tmp_path: Path) -> None:
    place = tmp_path / "j.in_flight" / "1-a.jsonl"
    place.parent.mkdir()
    place.write_bytes(line + b'\n{"begins": 7, "name": "job 7"}\n')
    assert InFlight(place.parent).left_behind() == ["job 7"]


def test_unwritable_place_is_one_clear_line(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(UserError, match=r"cannot write the journal .*j\.jsonl"):
        Journal(blocker / "j.jsonl")


def test_a_place_that_is_no_file_is_one_clear_line(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "j.jsonl")
    for place in (tmp_path / "j.jsonl", Path(os.devnull)):
        with pytest.raises(UserError, match=f"cannot write the journal {place}: .*no regular file"):
            Journal(place)


OTHERS = {
    "removed": lambda path, _: path.unlink(),
    "removed with its folder": lambda path, _: shutil.rmtree(path.parent),
    "moved away": lambda path, copy: path.rename(copy),
    "replaced by what it was": lambda path, copy: copy.rename(path),
}


@pytest.mark.parametrize("change", OTHERS)
def test_what_runs_at_work_have_put_outlives_what_others_do_to_the_file(
    change: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path, copy = tmp_path / "runs" / "j.jsonl", tmp_path / "copy.jsonl"
    one, other = Journal(path), Journal(path)
    one.put("a", {"text": "1"}, IDENTITY)
    shutil.copy(path, copy)
    other.put("b", {"text": "2"}, IDENTITY)
    OTHERS[change](path, copy)
    one.put("c", {"text": "3"}, IDENTITY)
    other.put("d", {"text": "4"}, IDENTITY)
    assert caplog.text.count("removed or replaced by others") == 2, "each run tells it once"
    one.put("e", {"text": "5"}, IDENTITY)
    again = Journal(path)
    for journal in (one, again):
        texts = [(journal.get(key) or {}).get("text") for key in "abcde"]
        assert texts == ["1", "2", "3", "4", "5"]
    assert path.read_bytes().count(b"\n") == 5, "nothing stands there twice"


def test_a_file_that_others_cut_short_is_read_as_it_is_then(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    for key in "abc":
        journal.put(key, {"text": key}, IDENTITY)
    os.truncate(path, path.stat().st_size - 5)
    for key in "de":
        journal.put(key, {"text": key}, IDENTITY)
    assert caplog.text.count("cut short by others") == 1
    for each in (journal, Journal(path)):
        assert [each.get(key) is not None for key in "abcde"] == [True, True, False, True, True]


def test_nothing_is_cut_off_that_no_run_has_written(tmp_path: Path) -> None:
    path = tmp_path / "j.jsonl"
    path.write_bytes(b"\x1f\x8b notes of somebody else")
    first = Journal(path)
    first.put("a", {"text": "1"}, IDENTITY)
    path.write_bytes(path.read_bytes() + b"more of them")
    first.put("b", {"text": "2"}, IDENTITY)
    assert [line[:4] for line in path.read_bytes().splitlines()] == [
        b"\x1f\x8b n", b'{"ve', b"more", b'{"ve'
    ]  # fmt: skip
    for journal in (first, Journal(path)):
        assert (journal.get("a"), journal.get("b")) == ({"text": "1"}, {"text": "2"})


@pytest.mark.parametrize("room", [0, 1, 20])
def test_a_full_disk_is_told_and_costs_no_other_line(tmp_path: Path, room: int) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.put("before", {"text": "x"}, IDENTITY)
    with full_after(path, room), pytest.raises(UserError, match=r"cannot write .*j\.jsonl"):
        journal.put("full", {"text": "y" * 100}, IDENTITY)
    journal.put("after", {"text": "z"}, IDENTITY)
    journal.put("last", {"text": "z"}, IDENTITY)
    journal.close()
    again = Journal(path)
    assert {key: again.get(key) is not None for key in ("before", "full", "after", "last")} == {
        "before": True,
        "full": False,
        "after": True,
        "last": True,
    }


WRITER = """
import sys
from pathlib import Path
from ttc_bench.policies.journal import Journal
journal = Journal(Path(sys.argv[1]))
for number in range(40):
    journal.put(f"{sys.argv[2]}{number}", {"text": sys.argv[2] * 1_000_000}, {})
"""


def test_processes_that_write_and_open_at_once_lose_nothing(tmp_path: Path) -> None:
    """A long line is there by parts before it is whole: who opens then must not cut it off."""
    path = tmp_path / "j.jsonl"
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(path), name]) for name in "ab"]
    openings = 0
    while any(writer.poll() is None for writer in writers):
        journal = Journal(path)
        journal.put(f"own{openings}", {"text": "own"}, IDENTITY)
        journal.close()
        openings += 1
        time.sleep(0.002)
    assert [writer.returncode for writer in writers] == [0, 0]
    journal = Journal(path)
    for name in "ab":
        texts = [(journal.get(f"{name}{number}") or {}).get("text") for number in range(40)]
        assert texts == [name * 1_000_000] * 40
    assert openings > 3
    assert len(journal) == 80 + openings


def test_what_another_process_adds_stays_readable_beside_what_is_put(tmp_path: Path) -> None:
    one, other = Journal(tmp_path / "j.jsonl"), Journal(tmp_path / "j.jsonl")
    for number in range(3):
        one.put(f"one{number}", {"text": "1"}, IDENTITY)
        other.put(f"other{number}", {"text": "2" * number}, IDENTITY)
    again = Journal(tmp_path / "j.jsonl")
    assert len(again) == 6
    assert [other.get(f"one{number}") for number in range(3)] == [{"text": "1"}] * 3
    assert [again.get(f"other{n}") for n in range(3)] == [{"text": "2" * n} for n in range(3)]


ODD = st.text(st.characters(codec=None), max_size=8)


@given(key=ODD, text=ODD, number=st.integers(min_value=-(10**40), max_value=10**40))
def test_any_text_and_any_number_is_kept(
    key: str, text: str, number: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Lone surrogates and numbers beyond 64 bits, which servers send, are JSON."""
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    record = {"text": text + "\ud800", "tokens": number}
    journal = Journal(path)
    journal.put(key, record, {"last": text})
    assert journal.get(key) == record
    assert Journal(path).get(key) == record


@given(key=ODD, text=ODD, number=st.floats())
def test_a_line_is_the_json_of_its_entry(
    key: str, text: str, number: float, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.mktemp("journal") / "j.jsonl"
    record, identity = {"text": text, "logprobs": (number, None), "extra": {}}, {"stop": (text,)}
    Journal(path).put(key, record, identity)
    entry = {"version": KEY_VERSION, "key": key, "identity": identity, **record}
    assert path.read_bytes() == json.dumps(entry, separators=(",", ":")).encode() + b"\n"


DAMAGES = {
    "no JSON": lambda line: line.replace(b'"text":', b'"te\x00t":'),
    "no UTF-8": lambda line: line.replace(b'"text":"', b'"text":"\xff'),
    "half a line": lambda line: line[: len(line) // 2] + b"\n",
    "other names": lambda line: line.replace(b'"usd":', b'"eur":'),
    "without its answer": lambda line: line.replace(b'"text":', b'"txet":'),
    "a number for a text": lambda line: re.sub(rb'"text":"[^"]*"', b'"text":5', line),
    "a text for a number": lambda line: line.replace(b'"latency_s":', b'"latency_s":"1","x":'),
    "zeros": lambda line: b"\0" * (len(line) - 1) + b"\n",
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_record_is_computed_anew_and_told(
    damage: str, engine: Engine, jobs: list[Job], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.jsonl"
    short = [job.model_copy(update={"max_tokens": 4}) for job in jobs]
    first = generated("baseline.greedy", short, engine, Journal(path), {}, seed=0)
    lines = path.read_bytes().splitlines(keepends=True)
    lines[1] = DAMAGES[damage](lines[1])
    path.write_bytes(b"".join(lines))
    caplog.clear()
    again = generated("baseline.greedy", short, engine, Journal(path), {}, seed=0)
    assert again["replayed"].tolist() == [True, False, *[True] * (len(jobs) - 2)]
    assert again["text"].tolist() == first["text"].tolist()
    assert re.search(r"\b1 (damaged records|lines that cannot be read)", caplog.text)
    whole = generated("baseline.greedy", short, engine, Journal(path), {}, seed=0)
    assert whole["replayed"].all(), "what was computed anew is in the journal"


@pytest.mark.parametrize("place", [b'"usd":', b'"prompt_tokens":', b'"latency_s":'])
def test_a_record_with_more_than_this_version_knows_is_replayed_and_told(
    place: bytes, engine: Engine, jobs: list[Job], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "j.jsonl"
    short = [job.model_copy(update={"max_tokens": 4}) for job in jobs]
    first = generated("baseline.greedy", short, engine, Journal(path), {}, seed=0)
    path.write_bytes(path.read_bytes().replace(place, b'"joules":7,' + place))
    caplog.clear()
    again = generated("baseline.greedy", short, engine, Journal(path), {}, seed=0)
    assert again["replayed"].all()
    assert again["text"].tolist() == first["text"].tolist()
    assert f"{len(jobs)} records of another version" in caplog.text
    assert "(joules)" in caplog.text
