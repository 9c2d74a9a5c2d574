"""Tables of another version are read as far as they go, and what was left out is counted."""

from __future__ import annotations

import logging

import pandas as pd
import pytest
from tests.reporting.support import marts_of, scores, shown

from ttc_bench.errors import DataError
from ttc_bench.measured import stamp
from ttc_bench.metrics.base import score_columns
from ttc_bench.pipelines.aggregate.nodes import collect_known, collect_stored
from ttc_bench.policies.responses import response_schema, responses_of_now, to_frame

OLD = ["control_latency_s", "samples", "bert_score_f1", "difficulty"]


def test_scores_of_another_version_are_summed_up_with_what_they_have(
    caplog: pytest.LogCaptureFixture,
) -> None:
    new = scores("baseline", "greedy", [1.0, 0.0])
    old = scores("cascade", "agreement", [1.0, 1.0]).drop(columns=OLD, errors="ignore").copy()
    stored = {"a": lambda: new, "b": lambda: old.assign(of_the_future=1.0)}
    with caplog.at_level(logging.WARNING):
        table = collect_stored(stored)
    assert list(table) == list(score_columns())
    assert table.loc[table["policy"] == "cascade", "control_latency_s"].isna().all()
    assert "2 of 2 stored tables of scores are of another version" in caplog.text
    assert "1 columns they have beside (of_the_future) left out" in caplog.text
    text = shown(table, marts_of(table))
    assert "cascade.agreement" in text


def test_tables_of_this_version_are_taken_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    whole = collect_known(stamp(scores("baseline", "greedy", [1.0]), "{}"))
    caplog.clear()
    pd.testing.assert_frame_equal(collect_known(whole), whole)
    assert not caplog.records


def test_scores_without_what_all_have_are_refused() -> None:
    table = scores("baseline", "greedy", [1.0]).drop(columns="replayed")
    with pytest.raises(DataError, match=r"no column replayed.*--pipeline=score"):
        collect_known(table)


def test_responses_of_another_version_keep_what_they_have(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old = to_frame([]).drop(columns=["samples", "bill", "lossless"])
    with caplog.at_level(logging.WARNING):
        (table,) = responses_of_now([old])
    assert list(table) == response_schema().names
    assert "3 columns they lack (bill, lossless, samples)" in caplog.text
    with pytest.raises(DataError, match="no column text"):
        responses_of_now([old.drop(columns="text")])
