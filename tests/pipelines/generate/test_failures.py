"""A variant that breaks leaves failed rows, never an answer, and does not stop the others."""

from __future__ import annotations

import logging

import pytest

from ttc_bench.engines.base import Engine
from ttc_bench.journal import Journal
from ttc_bench.pipelines.generate.nodes import generate
from ttc_bench.types import Job


def test_a_variant_that_cannot_start_fails_every_job_and_goes_no_further(
    engine: Engine, jobs: list[Job], caplog: pytest.LogCaptureFixture
) -> None:
    """No prompt fits into ten positions: the batch of all jobs breaks as a whole."""
    with caplog.at_level(logging.ERROR):
        table = generate(
            "elastic_batch.greedy", jobs, engine, Journal(), {"token_budget": 10}, seed=0
        )
    assert list(table["job_id"]) == [job.id for job in jobs]
    assert set(table["status"]) == {"failed"}
    assert table["text"].isna().all()
    assert table["error_message"].str.contains("raise token_budget").all()
    assert "elastic_batch.greedy broke" in caplog.text
