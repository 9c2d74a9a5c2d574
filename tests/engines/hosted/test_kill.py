"""``kill -9`` at random moments, then a run to the end: nothing lost, nothing paid twice."""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import generated
from tests.engines.hosted.conftest import FaultServer

from ttc_bench.engines.hosted import HostedModels
from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job, Message

KILLS = int(os.environ.get("TTC_KILLS", "4"))
JOBS, SAMPLES, CONCURRENCY = 40 * KILLS, 2, 20
LATE_S = 0.5
"""An answer that left the server this shortly before a kill may not have been read: a client that
waits for a busy processor has requests in flight that the server is done with."""


def jobs() -> list[Job]:
    """Return the jobs of the run."""
    return [
        Job(
            id=f"crm_sim/{i}",
            benchmark="crm_sim",
            task="any",
            messages=(Message(role="user", content=f"question {i}"),),
            references=("w1",),
            reward_metric="exact_match",
            max_tokens=16,
        )
        for i in range(JOBS)
    ]


def run(api_base: str, path: str) -> None:
    """Run the node, as ``kedro run`` does; keep its responses beside the journal."""
    engine = HostedModels(
        target="openai/known", api_base=api_base, concurrency=CONCURRENCY, requests_per_s=None
    ).build()
    journal = Journal(Path(path))
    settings = {"n": SAMPLES, "temperature": 0.8}
    frame = generated("self_consistency.majority", jobs(), engine, journal, settings, seed=0)
    frame.to_parquet(f"{path}.parquet")


@pytest.mark.timeout(60 + 20 * KILLS)
def test_kills_lose_nothing_and_repeat_only_what_was_in_flight(
    server: FaultServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    server.plan(ttft_s=0.08, itl_s=0.004, tokens=8)
    path = tmp_path / "journal.jsonl"
    # Children fork from a process that has the libraries loaded: the kills come while they work.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["litellm", "aiohttp", "pandas", "pyarrow", __name__])
    dice = random.Random(7)
    kills = []
    while len(kills) < KILLS:
        child = context.Process(target=run, args=(server.api_base, str(path)))
        child.start()
        assert child.pid
        wait_for_more(path, child)
        time.sleep(dice.uniform(0.0, 0.25))
        assert child.is_alive(), "every kill hits a run at work"
        os.kill(child.pid, signal.SIGKILL)
        kills.append(time.perf_counter())
        child.join()
    before = journal_of(path)
    last = context.Process(target=run, args=(server.api_base, str(path)))
    last.start()
    last.join(90)
    assert last.exitcode == 0

    import pandas as pd

    frame = pd.read_parquet(f"{path}.parquet")
    assert list(frame["job_id"]) == [job.id for job in jobs()], "every job exactly once"
    assert (frame["status"] == "ok").all()
    assert (frame["calls"] == SAMPLES).all()
    after = journal_of(path)
    assert len({entry["key"] for entry in after}) == len(after) == JOBS * SAMPLES
    replayed = JOBS * SAMPLES - int(frame["spent_calls"].sum())
    assert replayed == len(before) > 0, "what was journalled is replayed, and nothing else"
    kept = {entry["key"]: entry["timing"] for entry in after}
    assert all(kept[entry["key"]] == entry["timing"] for entry in before)

    log = server.log()
    repeated = len(log) - len({entry["identity"] for entry in log})
    in_flight = sum(
        entry["arrived"] <= kill <= entry["left"] + LATE_S for kill in kills for entry in log
    )
    print(f"{len(kills)} kills, {in_flight} in flight at them, {repeated} requests repeated")
    assert 0 < repeated <= min(in_flight, len(kills) * CONCURRENCY)


def wait_for_more(path: Path, child: Any) -> None:
    """Wait until the journal has grown: the run is at work."""
    size = path.stat().st_size if path.exists() else 0
    deadline = time.monotonic() + 60
    while not path.exists() or path.stat().st_size <= size:
        assert child.is_alive()
        assert time.monotonic() < deadline, "the run journals nothing"
        time.sleep(0.002)


def journal_of(path: Path) -> list[dict[str, Any]]:
    """Return the whole lines of the journal."""
    whole = path.read_bytes()
    return [json.loads(line) for line in whole[: whole.rfind(b"\n") + 1].splitlines()]
