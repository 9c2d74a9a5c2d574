"""One process keeps the journal of all workers: nothing twice, and what was in flight by name."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from ttc_bench.policies.journal import Journal
from ttc_bench.workers.keeper import Keeper

RECORD = {"text": "an answer"}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal.jsonl"


def test_a_call_that_two_workers_made_is_kept_once(path: Path) -> None:
    keeper = Keeper(path)
    keeper.put("key", RECORD, {})
    keeper.put("key", {"text": "another"}, {})
    keeper.keep([("key", {"text": "a third"}, {}), ("more", RECORD, {})])
    keeper.close()
    assert [json.loads(line)["key"] for line in path.read_text().splitlines()] == ["key", "more"]
    journal = Journal(path)
    assert journal.get_many(["key", "more", "none"]) == {"key": RECORD, "more": RECORD}
    journal.close()


def test_what_a_lost_worker_had_in_flight_is_named_once(path: Path) -> None:
    keeper = Keeper(path)
    number = keeper.begin("worker 1", "job 1, answer by target")
    keeper.begin("worker 1", "job 2, answer by target")
    keeper.begin("worker 2", "job 3, answer by target")
    keeper.end("worker 1", number)
    assert keeper.lost("worker 1") == ["job 2, answer by target"]
    assert keeper.lost("worker 1") == []
    assert keeper.lost("worker 3") == [], "one that was lost before its first call"
    keeper.close()


def test_what_all_workers_had_in_flight_is_counted_by_the_next_run(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    keeper = Keeper(path)
    keeper.begin("worker 1", "job 1")
    keeper.end("worker 2", keeper.begin("worker 2", "job 2"))
    keeper.begin("worker 2", "job 3")
    keeper.begin("worker 3", "job 4")
    keeper.lost("worker 3")  # Told while it ran.
    keeper.close()
    Journal(path).close()
    assert "2 calls were in flight" in caplog.text
    assert "job 1; job 3" in caplog.text
