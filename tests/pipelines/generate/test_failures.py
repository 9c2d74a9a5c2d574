"""A variant that breaks leaves failed rows, never an answer, and does not stop the others."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest
from tests.conftest import generated
from tests.metrics.support import run

from ttc_bench.engines.base import Engine
from ttc_bench.metrics.base import Null, ScoreParams, ScoringBatch
from ttc_bench.pipelines.generate.nodes import respond
from ttc_bench.policies import VARIANTS, Outcome, Session
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.responses import to_frame
from ttc_bench.types import Job


@pytest.mark.parametrize("name", ["early_exit.consistency", "self_refine.budget_forcing"])
def test_a_variant_that_needs_a_marker_has_no_row_where_there_is_none(
    name: str, engine: Engine, jobs: list[Job], marked_jobs: list[Job],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    """A plain answer under its name would be taken for a measurement."""
    table = generated(name, jobs, engine, Journal(), {}, seed=0)
    assert list(table["job_id"]) == [job.id for job in marked_jobs]
    assert set(table["benchmark"]) == {"crm_sim"}
    assert f"{name}: not run on worf_sim, whose answers have no marker" in caplog.text
    others = [job for job in jobs if job not in marked_jobs]
    assert generated(name, others, engine, Journal(), {}, seed=0).empty


def test_a_variant_that_cannot_start_fails_every_job_and_goes_no_further(
    engine: Engine, jobs: list[Job], caplog: pytest.LogCaptureFixture
) -> None:
    """No prompt fits into ten positions: the batch of all jobs breaks as a whole."""
    with caplog.at_level(logging.ERROR):
        table = generated(
            "elastic_batch.greedy", jobs, engine, Journal(), {"token_budget": 10}, seed=0
        )
    assert list(table["job_id"]) == [job.id for job in jobs]
    assert set(table["status"]) == {"failed"}
    assert table["text"].isna().all()
    assert table["error_message"].str.contains("raise token_budget").all()
    assert "elastic_batch.greedy broke" in caplog.text


def test_marked_reasoning_stands_apart_from_answer_and_samples(
    engine: Engine, jobs: list[Job]
) -> None:
    session, text = Session(engine, Journal(), jobs[0]), "<think>Answer: 42</think>\nAnswer: 7"
    outcome = Outcome(text, samples=(text, "<think>Answer: 42"))
    row = respond("greedy", VARIANTS["baseline.greedy"](), session, outcome)
    assert (row.text, row.reasoning, row.samples) == ("Answer: 7", "Answer: 42", ("Answer: 7", ""))
    assert row.ttft_s is None, "the clock does not tell where the answer begins"


def test_an_answer_that_waits_for_its_critique_has_no_time_per_token(
    answer: Any, jobs: list[Job]
) -> None:
    outcome, session = answer("self_refine.feedback", jobs[0], Journal(), pass_word="\n")
    assert session.ledger.calls[-1].purpose in ("critique", "revise")
    for source in (outcome.source, None):
        streams = source is not None and session.ledger.calls[-1].purpose == "revise"
        row = respond(
            "x", VARIANTS["self_refine.feedback"](), session, replace(outcome, source=source)
        ).to_row()
        assert (row["ttft_s"] < row["latency_s"]) == streams
    (critique,) = asyncio.run(session.complete(session.request(max_tokens=9, purpose="critique")))
    row = respond("x", VARIANTS["self_refine.feedback"](), session, outcome).to_row()
    assert critique.usage.completion_tokens > 1
    assert row["ttft_s"] == row["latency_s"], "no token could be shown before the last call ended"


@pytest.mark.parametrize(
    ("name", "settings", "streams"),
    [
        ("cascade.confidence", {"threshold": 0.0}, False),
        ("cascade.confidence", {"threshold": 1.0}, True),
        ("best_of_n.likelihood", {"n": 1}, False),
        ("baseline.greedy", {}, True),
    ],
)
def test_an_answer_that_is_read_before_it_is_shown_starts_when_it_is_whole(
    answer: Any, jobs: list[Job], name: str, settings: dict[str, Any], streams: bool
) -> None:
    outcome, session = answer(name, jobs[0], Journal(), **settings)
    if name == "cascade.confidence" and not settings["threshold"]:
        assert not outcome.info["escalated"]
    row = respond("x", VARIANTS[name](), session, outcome).to_row()
    assert (row["ttft_s"] < row["latency_s"]) == streams
    assert streams or row["ttft_s"] == row["latency_s"]


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("self_refine.budget_forcing", {"waits": 1}),
        ("early_exit.consistency", {"interval": 8}),
        ("speculative.step", {"threshold": 0.0}),
        ("speculative.step", {"threshold": 1.01}),
    ],
)
def test_an_answer_that_grows_over_calls_starts_with_its_first_token(
    answer: Any, marked_jobs: list[Job], name: str, settings: dict[str, Any]
) -> None:
    outcome, session = answer(name, marked_jobs[0], Journal(), **settings)
    row = respond("x", VARIANTS[name](), session, outcome).to_row()
    calls = session.ledger.calls
    if name != "speculative.step":
        first_s = calls[0].ttft_s
    elif settings["threshold"]:
        first_s = calls[0].latency_s + calls[1].latency_s + calls[2].ttft_s
    else:
        first_s = calls[0].latency_s + calls[1].latency_s
    assert len(calls) > 1
    assert row["ttft_s"] == pytest.approx(first_s)
    assert row["ttft_s"] < row["latency_s"]
    assert (row["answer_tokens"], row["itl_s"]) == (None, []), "no single call wrote it"


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("best_of_n.likelihood", {"n": 2}),
        ("best_of_n.verifier", {"n": 1}),
        ("self_consistency.majority", {"n": 2}),
        ("self_consistency.adaptive", {"n": 2}),
        ("tree_search.beam", {"depth": 2}),
        ("tree_search.dvts", {"depth": 2}),
        ("cascade.agreement", {"threshold": 0.0, "k": 2}),
        ("cascade.confidence", {"threshold": 0.0}),
    ],
)
def test_a_chosen_answer_is_seen_at_once_and_has_no_time_per_token(
    answer: Any, jobs: list[Job], name: str, settings: dict[str, Any]
) -> None:
    outcome, session = answer(name, jobs[0], Journal(), **settings)
    frame = to_frame([respond("x", VARIANTS[name](), session, outcome)])
    assert frame["ttft_s"][0] == frame["latency_s"][0]
    metrics = run("latency", ScoringBatch.of(frame, jobs[:1], ScoreParams()))
    assert metrics["ttft_s"] == [frame["latency_s"][0]]
    for figure in ("tpot_s", "itl_mean_s", "itl_p95_s", "itl_max_s"):
        (value,) = metrics[figure]
        assert isinstance(value, Null), figure
        assert "chosen when all of it was there" in value.reason or figure == "tpot_s"


def test_an_empty_answer_has_no_first_token(engine: Engine, jobs: list[Job]) -> None:
    session = Session(engine, Journal(), jobs[0])
    (completion,) = asyncio.run(session.complete(session.request(max_tokens=2)))
    frame = to_frame(
        [respond("greedy", VARIANTS["baseline.greedy"](), session, Outcome(" ", completion))]
    )
    metrics = run("latency", ScoringBatch.of(frame, jobs[:1], ScoreParams()))
    assert all("is empty" in metrics[name][0].reason for name in ("ttft_s", "tpot_s"))
