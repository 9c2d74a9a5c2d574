"""The journal loses nothing that it was given, whatever happens to the file's end."""

from __future__ import annotations

import json
import logging
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import full_after

from ttc_bench.errors import UserError
from ttc_bench.policies.journal import KEY_VERSION, Journal, logger

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


def test_unwritable_place_is_one_clear_line(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(UserError, match=r"cannot write the journal .*j\.jsonl"):
        Journal(blocker / "j.jsonl")


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
