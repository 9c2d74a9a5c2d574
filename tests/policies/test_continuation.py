"""Answers written part by part are the answers written at once, within the same budget."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from ttc_bench.engines.base import Engine
from ttc_bench.policies import Session
from ttc_bench.policies.continuation import PartialAnswer, extend, force_answer
from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job


async def write(session: Session, stop: str | None, max_tokens: int | None) -> list[PartialAnswer]:
    parts = [PartialAnswer()]
    while not parts[-1].is_ended:
        parts += await extend(session, parts[-1], stop=stop, max_tokens=max_tokens)
    return parts


@pytest.mark.parametrize(("stop", "max_tokens"), [("\n", None), (None, 7), ("\n", 7)])
def test_parts_add_up_to_the_plain_answer(
    stop: str | None,
    max_tokens: int | None,
    engine: Engine,
    journal: Journal,
    answer: Any,
    jobs: list[Job],
) -> None:
    for job in jobs[::2]:
        plain, _ = answer("baseline.greedy", job)
        parts = asyncio.run(write(Session(engine, journal, job), stop, max_tokens))
        assert parts[-1].text == plain.text
        assert parts[-1].tokens == plain.source.usage.completion_tokens


def test_the_jobs_budget_holds_over_all_parts(engine: Engine, jobs: list[Job]) -> None:
    short = jobs[0].model_copy(update={"max_tokens": 10})
    parts = asyncio.run(write(Session(engine, Journal(), short), None, 4))
    assert [part.tokens for part in parts] == [0, 4, 8, 10]
    assert parts[-1].is_ended


def test_a_part_knows_what_closed_it(engine: Engine, jobs: list[Job]) -> None:
    session = Session(engine, Journal(), jobs[0])
    (step,) = asyncio.run(extend(session, PartialAnswer(), stop="\n"))
    assert step.stopped_at == "\n"
    assert step.text.endswith("\n")
    assert step.before_stop() == step.text[:-1]
    assert not step.is_ended


@pytest.mark.parametrize(
    ("reasoning", "prefix"), [("so far\n", "so far\nAnswer:"), ("", "Answer:")]
)
def test_a_forced_answer_stands_behind_its_marker_on_a_line_of_its_own(
    reasoning: str, prefix: str, engine: Engine, jobs: list[Job]
) -> None:
    session = Session(engine, Journal(), jobs[0])
    text = asyncio.run(force_answer(session, reasoning, "Answer:", 4, "probe"))
    assert text.startswith(prefix)
    assert len(text) > len(prefix)
