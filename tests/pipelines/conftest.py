"""Policies are tried on the reference models: real weights, real engine, real benchmark jobs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from tests.conftest import REFERENCE

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.engines import engine_params
from ttc_bench.engines.base import Engine
from ttc_bench.journal import Journal
from ttc_bench.pipelines.ingest_benchmarks.nodes import ingest
from ttc_bench.policies import VARIANTS, Outcome, Session
from ttc_bench.types import Job

Answer = Callable[..., tuple[Outcome, Session]]


@pytest.fixture(scope="session")
def engine() -> Engine:
    """The reference models, all three roles."""
    paths = {role: str(REFERENCE / role) for role in ("target", "draft", "verifier")}
    return engine_params({"engine": "local", **paths}).build()


@pytest.fixture(scope="session")
def jobs() -> list[Job]:
    """A few jobs of either simulated benchmark, of every difficulty."""
    return [job for name in ("crm_sim", "worf_sim") for job in ingest(name, [name], 2, {}, {})]


@pytest.fixture(scope="session")
def marked_jobs(jobs: list[Job]) -> list[Job]:
    """Those of the jobs whose answers stand behind a marker."""
    return [job for job in jobs if BENCHMARKS[job.benchmark].marked]


@pytest.fixture(scope="session")
def journal() -> Journal:
    """One pool of completions for all tests: equal requests are computed once."""
    return Journal()


@pytest.fixture(scope="session")
def answer(engine: Engine, journal: Journal) -> Answer:
    """Answer a job by ``{policy}.{variant}`` at some settings."""

    def run(name: str, job: Job, pool: Journal | None = None, **settings: Any) -> Any:
        session = Session(engine, journal if pool is None else pool, job)
        outcome = asyncio.run(VARIANTS[name](**settings).answer(job, session))
        return outcome, session

    return run
