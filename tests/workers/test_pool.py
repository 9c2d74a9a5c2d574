"""Workers by Ray give the rows that this process gives, and nothing is lost when they are."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from tests.conftest import REFERENCE

from ttc_bench.engines import EngineParams, engine_params
from ttc_bench.engines.base import Engine
from ttc_bench.engines.ledger import Ledger
from ttc_bench.errors import UserError
from ttc_bench.metrics.base import ScoreParams
from ttc_bench.metrics.resources import Monitor
from ttc_bench.pipelines.generate.nodes import BlockReading, check_alike, respond_all
from ttc_bench.pipelines.generate.params import TimingParams, sweep
from ttc_bench.pipelines.score.nodes import score_responses
from ttc_bench.policies.events import Events
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.responses import CONTROL, RESOURCES, TIMES, Response, to_frame
from ttc_bench.types import Job
from ttc_bench.workers import RayParams
from ttc_bench.workers.pool import Pool, Worker, check_reachable, versions

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


def test_all_variants_of_a_job_are_answered_by_one_worker(pool: Pool, jobs: list[Job]) -> None:
    homes = pool.homes_of(jobs)
    assert set(homes) == {job.id for job in jobs}
    assert pool.homes_of(jobs) == homes

    def whose(_engine: Any, _journal: Any, own: Sequence[Job]) -> Iterator[tuple[str, int]]:
        yield from ((job.id, os.getpid()) for job in own)

    answered_by = dict(pool.answer(whose, jobs, homes))
    assert len(set(answered_by.values())) == 2
    # A variant that does not suit all benchmarks has fewer jobs.
    for some in (jobs[::-1], jobs[1:], jobs[::2], jobs[-1:]):
        theirs = dict(pool.answer(whose, some, homes))
        assert theirs == {job.id: answered_by[job.id] for job in some}


def responses_to(jobs: list[Job], *texts: str | None) -> pd.DataFrame:
    """A table of answers to the jobs, a variant per text; ``None`` is a failure."""
    rows = [
        Response(
            job_id=job.id,
            benchmark=job.benchmark,
            task=job.task,
            difficulty=job.difficulty,
            model="target",
            engine="local",
            policy="baseline",
            variant=f"greedy[{number}]",
            status="ok",
            text=text,
            ledger=Ledger([]),
        )
        for number, text in enumerate(texts)
        for job in jobs
    ]
    failed = {"status": "failed", "error_type": "timeout"}
    return to_frame([row if row.text is not None else replace(row, **failed) for row in rows])


ANSWERS = (
    "Answer: the case was closed after a refund.",
    "Node:\n1: look it up\n2: look it up\n3: refund\nEdges: (START,1) (1,2) (2,3) (3,END)",
    "I cannot share personal data. Answer: none",
    "",
    None,
)


def test_scores_are_those_without_ray_and_weights_load_once(pool: Pool, jobs: list[Job]) -> None:
    params = ScoreParams(likelihood_model=str(REFERENCE / "draft"))
    table = responses_to(jobs, *ANSWERS)
    alone = score_responses(table, jobs, params)
    assert alone[["semantic_similarity", "bert_f1", "graph_f1"]].notna().any().all()
    assert alone["response_perplexity"].notna().any()
    pd.testing.assert_frame_equal(score_responses(table, jobs, params, pool), alone)
    pd.testing.assert_frame_equal(score_responses(table, jobs[::-1], params, pool), alone)

    def loads(_engine: Any, _journal: Any, own: Sequence[Job]) -> Iterator[tuple[str, Any]]:
        from ttc_bench.benchmarks.scoring.encoder import _loaded
        from ttc_bench.metrics.bertscore import _matcher
        from ttc_bench.metrics.likelihood import _causal

        caches = (_loaded, _matcher, _causal)
        for job in own:
            yield job.id, (os.getpid(), *(cache.cache_info().misses for cache in caches))

    counted = {count for _, count in pool.answer(loads, jobs, pool.homes_of(jobs))}
    assert len({pid for pid, *_ in counted}) == 2
    assert {tuple(misses) for _, *misses in counted} == {(1, 1, 1)}


def lethal(_answer: str, references: list[str]) -> float:
    """A reward that kills who computes it, once or always, by the name of a file."""
    fatal = Path(references[0])
    if fatal.exists():
        if fatal.name == "once":
            fatal.unlink()
        os.kill(os.getpid(), signal.SIGKILL)
    return 1.0


@pytest.fixture
def fatal_jobs(jobs: list[Job], tmp_path: Path) -> list[Job]:
    """Jobs that are scored by `lethal`, the second as long as there is a file ``once``."""
    paths = [tmp_path / str(number) for number in range(len(jobs))]
    paths[1] = tmp_path / "once"
    rule = f"{__name__}.{lethal.__name__}"
    changes = [{"reward_metric": rule, "references": (str(path),)} for path in paths]
    return [job.model_copy(update=own) for job, own in zip(jobs, changes, strict=True)]


def test_a_worker_that_is_killed_while_it_scores_costs_no_score(
    pool: Pool, fatal_jobs: list[Job], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    params = ScoreParams(families={"cost": False})
    table = responses_to(fatal_jobs, *ANSWERS[:1])
    alone = score_responses(table, fatal_jobs, params)
    (tmp_path / "once").touch()
    pd.testing.assert_frame_equal(score_responses(table, fatal_jobs, params, pool), alone)
    assert "is lost" in caplog.text


def test_an_answer_that_kills_whoever_scores_it_is_named(
    pool: Pool, fatal_jobs: list[Job], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ttc_bench.workers.pool.MOST_LOSSES", 2)
    (tmp_path / "always").touch()
    always = {"references": (str(tmp_path / "always"),)}
    deadly = fatal_jobs[2].model_copy(update=always)
    those = [*fatal_jobs[:2], deadly, fatal_jobs[3]]
    with pytest.raises(UserError, match=f"^{deadly.id}: 2 workers were lost over it"):
        score_responses(responses_to(those, *ANSWERS[:1]), those, ScoreParams(), pool)


def test_a_cluster_that_is_there_is_seen(cluster: None) -> None:
    check_reachable(ray.get_runtime_context().gcs_address)


def test_what_this_machine_has_no_room_for_is_told_at_once(
    cluster: None, model: EngineParams
) -> None:
    for settings in ({"workers": 4}, {"workers": 1, "gpus_per_worker": 1}, {"cpus_per_worker": 9}):
        with pytest.raises(UserError, match=r"there are 3 CPUs and \d GPUs, room for"):
            Pool(RayParams(**{"workers": None, **settings}), model, None).start()


class Lethal(type(engine_params({"engine": "local", "target": "nowhere"}))):  # type: ignore[misc]
    """Models that kill whoever makes them ready."""

    def build(self) -> Engine:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError


def test_workers_that_all_die_before_they_are_ready_end_the_run(
    cluster: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ttc_bench.workers.pool.MOST_LOSSES", 2)
    pool = Pool(RayParams(workers=1), Lethal(target="nowhere"), None)
    with pytest.raises(UserError, match="2 workers in a row were lost before they were ready"):
        pool.start()


def test_another_program_answers_nothing(model: EngineParams) -> None:
    for name in ("ttc_bench", "torch"):
        worker = Worker("worker 1", model, None, Path.cwd(), {}, {**versions(), name: "another"})
        with pytest.raises(UserError, match=rf"on .*: {name} is at .* another where the run was"):
            worker.prepare()


def test_other_models_of_one_name_are_no_rows_of_one_run() -> None:
    def block(host: str, device: str, target: str) -> BlockReading:
        return BlockReading(frozenset(), Monitor().reading, host, device, {"target": target})

    check_alike([block("one", "cpu", "a"), block("two", "cpu", "a"), block("two", "gpu", "b")])
    with pytest.raises(UserError, match=r"model.target is not the same on two and one"):
        check_alike([block("one", "cpu", "a"), block("two", "cpu", "b")])


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
