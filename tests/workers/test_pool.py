"""Workers by Ray give the rows that this process gives, and nothing is lost when they are."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REFERENCE

from ttc_bench.engines import EngineParams, engine_params
from ttc_bench.engines.base import Engine
from ttc_bench.errors import UserError
from ttc_bench.pipelines.generate.nodes import respond_all
from ttc_bench.pipelines.generate.params import TimingParams, sweep
from ttc_bench.policies.events import Events
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.responses import CONTROL, RESOURCES, TIMES
from ttc_bench.types import Job
from ttc_bench.workers import RayParams
from ttc_bench.workers.pool import Pool

ray = pytest.importorskip("ray", reason="Ray is an extra: pip install -e '.[ray]'")

MEASURED = {*TIMES, *RESOURCES, *(f"control_{name}" for name in CONTROL), "itl_s", "bill"}
"""Columns that hold what was measured: no two runs agree on them, with Ray or without."""

SPENT = {"spent_calls", "spent_tokens", "spent_flops", "spent_usd"}
"""Columns that tell what was made in this run: not what an earlier one had kept."""

OF_BATCHES = {"padding_share", "flops", "spent_flops", "mean_logprob"}
"""Columns that batches shape: with Ray they form within the jobs of one worker. A log-probability
differs by the rounding of sums in another order."""


@pytest.fixture(scope="module")
def cluster() -> Iterator[None]:
    """A Ray of three places, which all tests of this file share."""
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    before = signal.getsignal(signal.SIGTERM)
    ray.init(address="local", num_cpus=3, include_dashboard=False, log_to_driver=False)
    signal.signal(signal.SIGTERM, before)
    yield
    ray.shutdown()


@pytest.fixture(scope="module")
def model() -> EngineParams:
    paths = {role: str(REFERENCE / role) for role in ("target", "draft", "verifier")}
    return engine_params({"engine": "local", **paths})


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("workers") / "journal.jsonl"


@pytest.fixture(scope="module")
def pool(cluster: None, model: EngineParams, file: Path) -> Iterator[Pool]:
    """Two workers."""
    workers = Pool(RayParams(workers=2, jobs_per_block=2), model, file)
    workers.start()
    yield workers
    workers.close()


def rows_of(
    name: str,
    jobs: list[Job],
    engine: Engine,
    pool: Pool | None,
    *,
    timed: int = 0,
    journal: Journal | None = None,
    events: Events | None = None,
    **settings: Any,
) -> list[dict[str, Any]]:
    """The rows of a variant, by workers or without any."""
    kept, timing = journal or Journal(), TimingParams(jobs=timed)
    points = sweep(name, settings)
    responses = respond_all(points, jobs, engine, kept, 0, timing, events, pool)
    return [response.to_row() for response in responses]


def without(rows: list[dict[str, Any]], columns: set[str]) -> list[dict[str, Any]]:
    return [{name: row[name] for name in row if name not in columns} for row in rows]


@pytest.mark.parametrize(
    ("name", "settings", "timed"),
    [
        ("baseline.greedy", {}, 0),
        ("speculative.draft_model", {}, 1),
        ("best_of_n.verifier", {"n": 2}, 0),
    ],
)
def test_rows_are_those_without_ray(
    pool: Pool, jobs: list[Job], engine: Engine, name: str, settings: Any, timed: int
) -> None:
    rows = rows_of(name, jobs, engine, pool, timed=timed, **settings)
    alone = rows_of(name, jobs, engine, None, timed=timed, **settings)
    assert [row["job_id"] for row in rows] == [job.id for job in jobs]
    assert without(rows, MEASURED) == without(alone, MEASURED)
    assert all(row["latency_s"] and row["peak_rss_bytes"] for row in rows)
    assert sum(row["control_latency_s"] is not None for row in rows) == 2 * timed


def test_batches_form_within_a_worker_and_answers_stay(
    pool: Pool, jobs: list[Job], engine: Engine
) -> None:
    rows = rows_of("elastic_batch.greedy", jobs, engine, pool)
    alone = rows_of("elastic_batch.greedy", jobs, engine, None)
    assert without(rows, MEASURED | OF_BATCHES) == without(alone, MEASURED | OF_BATCHES)


def test_what_one_worker_made_is_replayed_to_all(
    pool: Pool, jobs: list[Job], engine: Engine, file: Path
) -> None:
    name = "self_consistency.majority"
    made = rows_of(name, jobs, engine, pool, n=2)
    size = file.stat().st_size
    again = rows_of(name, jobs[::-1], engine, pool, n=2)
    assert all(row["replayed"] for row in again)
    assert file.stat().st_size == size
    here = rows_of(name, jobs, engine, None, journal=Journal(file), n=2)
    assert all(row["replayed"] for row in here)
    assert [row["text"] for row in here] == [row["text"] for row in made]


def test_all_variants_of_a_job_belong_to_one_worker(pool: Pool, jobs: list[Job]) -> None:
    homes = pool.homes_of(jobs)
    assert set(homes) == {job.id for job in jobs}
    assert set(homes.values()) == {0, 1}
    assert pool.homes_of(jobs) == homes


def test_a_worker_that_cannot_have_its_models_is_told_in_a_line(
    cluster: None, tmp_path: Path
) -> None:
    model = engine_params({"engine": "local", "target": str(tmp_path / "nothing")})
    pool = Pool(RayParams(workers=1), model, tmp_path / "journal.jsonl")
    with pytest.raises(UserError, match=r"on .*: .*nothing"):
        pool.start()


def test_workers_that_are_killed_cost_nothing_that_was_done(
    pool: Pool, jobs: list[Job], engine: Engine, file: Path, caplog: pytest.LogCaptureFixture
) -> None:
    done: list[Any] = []

    def kill_all_once(kind: str, facts: Any) -> None:
        if kind == "job":
            done.append(facts)
        if kind == "job" and len(done) == 1:
            for slot in pool._slots:
                ray.kill(slot.actor)

    events = Events()
    events.watch(kill_all_once)
    rows = rows_of("self_refine.feedback", jobs, engine, pool, events=events)
    alone = rows_of("self_refine.feedback", jobs, engine, None)
    resumed = MEASURED | {"measured", "replayed", *SPENT}
    assert without(rows, resumed) == without(alone, resumed)
    assert len(done) == len(jobs), "no job is done twice"
    keys = [json.loads(line)["key"] for line in file.read_text().splitlines()]
    assert len(keys) == len(set(keys)), "no call that was kept is made again"
    assert "is lost" in caplog.text
