"""The bill: totals are the sums of its lines, and the unknown stays unknown."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metrics.support import make_job, make_response

from ttc_bench.engines.columns import summed
from ttc_bench.engines.ledger import COLUMNS, Call, Ledger
from ttc_bench.policies.responses import Response, response_schema, to_frame

COUNT = st.integers(min_value=0, max_value=10_000)
CALLS = st.lists(
    st.builds(
        Call,
        request=st.integers(0, 3),
        role=st.sampled_from(["target", "draft", "verifier"]),
        purpose=st.just("answer"),
        model=st.just("m"),
        prompt_tokens=COUNT,
        completion_tokens=COUNT,
        draft_tokens=COUNT,
        prefill_flops=st.none() | st.floats(0, 1e12),
        decode_flops=st.none() | st.floats(0, 1e12),
        latency_s=st.floats(0, 10),
        usd=st.none() | st.floats(0, 1),
        replayed=st.booleans(),
    ),
    max_size=6,
)


@given(calls=CALLS)
def test_totals_are_the_sum_over_calls(calls: list[Call]) -> None:
    totals = Ledger(calls).totals()
    assert totals["calls"] == len(calls)
    for name in (column.spec.name for column in COLUMNS if column.total is summed):
        values = [getattr(call, name) for call in calls]
        expected = None if None in values else sum(values)
        assert totals[name] == expected


@given(calls=CALLS)
def test_spent_counts_only_what_was_not_replayed(calls: list[Call]) -> None:
    paid = [call for call in calls if not call.replayed]
    assert Ledger(calls).totals()["spent_calls"] == len(paid)


@given(calls=CALLS)
def test_samples_of_a_request_run_side_by_side(calls: list[Call]) -> None:
    """Latency is the sum over requests of the slowest sample: between max and sum of all."""
    latency = Ledger(calls).totals()["latency_s"] or 0.0
    each = [call.latency_s for call in calls]
    assert max(each, default=0.0) <= latency + 1e-9
    assert latency <= sum(each) + 1e-9


def test_frame_has_every_column_even_when_empty() -> None:
    assert list(to_frame([]).columns) == response_schema().names


@given(calls=CALLS)
def test_a_failed_response_keeps_its_bill(calls: list[Call]) -> None:
    row = Response(
        job_id="b/1",
        benchmark="b",
        task="t",
        difficulty=None,
        model="m",
        engine="local",
        policy="p",
        variant="v",
        status="failed",
        text=None,
        ledger=Ledger(calls),
        error_type="timeout",
        error_message="no answer within 60 s",
    )
    frame = to_frame([row])
    assert frame.loc[0, "calls"] == len(calls)
    assert frame.loc[0, "error_type"] == "timeout"
    assert frame["text"].isna().all()


def test_a_row_that_parquet_cannot_hold_is_stored_and_told(
    caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    facts: dict[str, Any] = {
        "request": 0,
        "role": "target",
        "purpose": "answer",
        "model": "m\udfff",
    }
    odd = [Call(**facts, completion_tokens=2**70, usd=float("nan"))]
    names = ("benchmark", "task", "difficulty", "model", "engine", "policy", "variant")
    row = Response(
        job_id="j", **dict.fromkeys(names, "x"), status="ok", text="a\ud800b\U0001f600",
        ledger=Ledger(odd), samples=("\udc00",), error_message="\ud83d", info={"k": "\ud800"},
    )  # fmt: skip
    to_frame([row]).to_parquet(tmp_path / "rows.parquet")
    stored = pd.read_parquet(tmp_path / "rows.parquet").iloc[0]
    assert (stored["text"], *stored["samples"]) == ("a\ufffdb\U0001f600", "\ufffd")
    assert pd.isna(stored["completion_tokens"])
    assert "ud800" not in stored["info"]
    assert "udfff" not in stored["bill"]
    assert json.loads(stored["bill"])[0]["completion_tokens"] is None
    assert (
        "completion_tokens, error_message, samples, spent_tokens, spent_usd, text, usd of j cannot"
        in caplog.text
    )


@pytest.mark.parametrize(
    ("info", "is_noted"),
    [
        ({"why": "lone \ud800 half"}, True),
        ({"\udfff": 1}, True),
        ({"count": 2**70}, True),
        ({"scores": [0.5, -math.inf]}, False),
        ({"why": "plain \u2603"}, False),
    ],
)
def test_what_a_policy_noted_is_not_changed_in_silence(info: Any, is_noted: bool) -> None:
    row = make_response(make_job(), info=info).to_row()
    json.loads(row["info"])
    assert row["notes"] == (["sanitised: info"] if is_noted else [])
