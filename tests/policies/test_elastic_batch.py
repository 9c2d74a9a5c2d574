"""Batched answers are the unbatched ones; no job is lost, none is doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from ttc_bench.engines.base import Engine
from ttc_bench.policies import VARIANTS, Outcome, Session
from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job

NAMES = ("elastic_batch.greedy", "elastic_batch.sorted")


def run_all(
    name: str, engine: Engine, pool: Journal, jobs: Sequence[Job], **settings: Any
) -> list[tuple[Session, Outcome]]:
    async def collect() -> list[Any]:
        sessions = [Session(engine, pool, job) for job in jobs]
        return [pair async for pair in VARIANTS[name](**settings).outcomes(sessions)]

    return asyncio.run(collect())


@pytest.mark.parametrize("name", NAMES)
def test_batched_answers_are_the_unbatched_ones(
    name: str, engine: Engine, answer: Any, jobs: list[Job]
) -> None:
    found = run_all(name, engine, Journal(), jobs, max_rows=3)
    assert sorted(s.job.id for s, _ in found) == sorted(job.id for job in jobs)
    for session, outcome in found:
        assert outcome.text == answer("baseline.greedy", session.job)[0].text
        assert len(session.ledger.calls) == 1


@pytest.mark.parametrize("name", NAMES)
def test_padding_is_reported_and_a_batch_of_one_has_none(
    name: str, engine: Engine, jobs: list[Job]
) -> None:
    alone = run_all(name, engine, Journal(), jobs[::2], max_rows=1)
    packed = run_all(name, engine, Journal(), jobs[::2], max_rows=8)
    assert all(s.ledger.calls[0].padding_share == 0 for s, _ in alone)
    assert any((s.ledger.calls[0].padding_share or 0) > 0 for s, _ in packed)


def test_a_second_run_replays_all(engine: Engine, jobs: list[Job]) -> None:
    pool = Journal()
    first = run_all(NAMES[0], engine, pool, jobs)
    again = run_all(NAMES[0], engine, pool, jobs)
    assert {s.job.id: o.text for s, o in again} == {s.job.id: o.text for s, o in first}
    assert all(session.ledger.calls[0].replayed for session, _ in again)
