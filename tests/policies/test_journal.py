"""The journal loses nothing that it was given, whatever happens to the file's end."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import full_after

from ttc_bench.errors import UserError
from ttc_bench.policies.journal import Journal

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
        journal.put(key, record)
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
        journal.put(f"key{number}", {"text": "naïve — " * number})
    journal.close()
    whole = path.read_bytes()
    kept = whole[: max(0, len(whole) - cut)]
    path.write_bytes(kept)

    again = Journal(path)
    assert len(again) == kept.count(b"\n")
    again.put("later", {"text": "x"})
    again.close()
    lines = path.read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines][-1] == "later"
    assert len(lines) == kept.count(b"\n") + 1


def test_journal_is_written_before_put_returns(tmp_path: Path) -> None:
    journal = Journal(tmp_path / "j.jsonl")
    journal.put("a", {"text": "x"})
    assert json.loads((tmp_path / "j.jsonl").read_text()) == {"key": "a", "text": "x"}


def test_unwritable_place_is_one_clear_line(tmp_path: Path) -> None:
    blocker = tmp_path / "file"
    blocker.write_text("")
    with pytest.raises(UserError, match=r"cannot write the journal .*j\.jsonl"):
        Journal(blocker / "j.jsonl")


@pytest.mark.parametrize("room", [0, 1, 20])
def test_a_full_disk_is_told_and_costs_no_other_line(tmp_path: Path, room: int) -> None:
    path = tmp_path / "j.jsonl"
    journal = Journal(path)
    journal.put("before", {"text": "x"})
    with full_after(path, room), pytest.raises(UserError, match=r"cannot write .*j\.jsonl"):
        journal.put("full", {"text": "y" * 100})
    journal.put("after", {"text": "z"})
    journal.put("last", {"text": "z"})
    journal.close()
    again = Journal(path)
    assert {key: again.get(key) is not None for key in ("before", "full", "after", "last")} == {
        "before": True,
        "full": False,
        "after": True,
        "last": True,
    }
