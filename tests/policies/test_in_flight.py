"""Calls that were in flight at a kill are counted and named by who opens the journal next."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path

import pytest
from tests.conftest import full_after

from ttc_bench.errors import UserError
from ttc_bench.policies.in_flight import InFlight
from ttc_bench.policies.journal import MOST_NAMED, Journal


def killed_within(path: Path, *calls: str) -> None:
    """Run calls in a process of its own that is killed while all but the first are in flight."""
    if (child := os.fork()) == 0:
        journal = Journal(path)
        numbers = [journal.begin(call) for call in calls]
        journal.end(numbers[0])
        os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)


def test_a_kill_leaves_what_was_in_flight(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "journal.jsonl"
    killed_within(path, "done", "first lost", "second lost")
    with caplog.at_level(logging.WARNING):
        Journal(path).close()
    (line,) = [r.getMessage() for r in caplog.records if "in flight" in r.getMessage()]
    assert "2 calls were in flight" in line
    assert "first lost; second lost" in line
    assert "done" not in line.partition("in flight")[2]
    caplog.clear()
    Journal(path).close()
    assert not caplog.records, "what was told once is not told again"


def test_many_calls_are_counted_and_some_are_named(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "journal.jsonl"
    killed_within(path, "done", *(f"call {number}" for number in range(MOST_NAMED + 3)))
    Journal(path).close()
    assert f"{MOST_NAMED + 3} calls" in caplog.text
    assert "and 3 more" in caplog.text


def test_calls_of_a_process_that_lives_are_its_own(tmp_path: Path) -> None:
    own = InFlight(tmp_path)
    number = own.begin("at work")
    assert InFlight(tmp_path).left_behind() == []
    own.end(number)
    own.close()
    assert list(tmp_path.iterdir()) == []


def test_a_call_that_failed_is_not_in_flight_and_one_that_was_interrupted_is(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    journal = Journal(tmp_path / "journal.jsonl")
    with pytest.raises(ValueError), journal.underway("failed"):
        raise ValueError
    with pytest.raises(KeyboardInterrupt), journal.underway("interrupted"):
        raise KeyboardInterrupt
    journal.close()
    Journal(tmp_path / "journal.jsonl").close()
    (line,) = [r.getMessage() for r in caplog.records]
    assert "1 call was in flight when an earlier run broke off" in line
    assert "killed" not in line, "it ended by itself"
    assert line.endswith("interrupted")


def test_notes_that_cannot_be_read_stop_no_run_and_a_full_disk_is_told(tmp_path: Path) -> None:
    (tmp_path / "journal.in_flight" / "1-a.jsonl").mkdir(parents=True)
    journal = Journal(tmp_path / "journal.jsonl")
    first, second = journal.begin("first"), journal.begin("second")
    (notes,) = (p for p in (tmp_path / "journal.in_flight").iterdir() if p.is_file())
    with full_after(notes, 5), pytest.raises(UserError, match="cannot write the journal"):
        journal.end(first)
    journal.end(second)
    assert notes.read_bytes() == b"", "nothing is in flight any more"
