"""Traces: the few responses that tell most, each with its question, its answer and its bill."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import mlflow
import pandas as pd
import pytest
from tests.reporting.support import scores

from ttc_bench.engines.ledger import Call, Ledger
from ttc_bench.pipelines.aggregate.nodes import collect_scores, log_traces
from ttc_bench.policies.responses import Response, to_frame
from ttc_bench.reporting.mlflow_traces import MOST_SPANS, MOST_TRACES, pick
from ttc_bench.reporting.tracker import Tracker
from ttc_bench.types import Job, Message

BASE = scores("baseline", "greedy", [1.0, 0.0, 0.5, 0.5])
FAILING = scores("cascade", "agreement", [0.0, 0.0, None, 0.5])
GOOD = scores("best_of_n", "verifier", [1.0, 1.0, 1.0, 0.5])
RUN = collect_scores(BASE, FAILING, GOOD)


def test_picked_are_the_largest_gain_the_largest_loss_and_a_failure() -> None:
    told = {(p.score["policy"], p.score["job_id"]): p.why for p in pick(RUN)}
    assert told == {
        ("best_of_n", "crm_sim/1"): "1.00 more than the baseline",
        ("cascade", "crm_sim/0"): "1.00 less than the baseline",
        ("cascade", "crm_sim/2"): "failed: timeout",
    }


@pytest.mark.parametrize("table", [BASE, GOOD, BASE.head(0), collect_scores(BASE, GOOD.head(0))])
def test_where_nothing_differs_nothing_is_picked(table: pd.DataFrame) -> None:
    assert pick(table) == []


def test_many_benchmarks_share_the_traces_evenly() -> None:
    parts = [RUN.assign(benchmark=name) for name in "abcdefgh"]
    picked = pick(collect_scores(*parts))
    assert [p.score["benchmark"] for p in picked] == list("abcdefgh")[:MOST_TRACES]


def response(policy: str, variant: str, number: int, calls: int) -> Response:
    bill = [
        Call(request=n, role="target", purpose="answer", model="m", latency_s=0.5,
             prompt_tokens=10, completion_tokens=5)
        for n in range(calls)
    ]  # fmt: skip
    return Response(
        job_id=f"crm_sim/{number}", benchmark="crm_sim", task="handle_time", difficulty="easy",
        model="target", engine="local", policy=policy, variant=variant, status="ok",
        text=f"{policy} says {number}", ledger=Ledger(bill),
    )  # fmt: skip


def test_a_trace_holds_question_answers_and_bill(
    tmp_path: Path, empty_store: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    shutil.copy(empty_store, tmp_path)
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_experiment("test")
    jobs = [
        Job(
            id=f"crm_sim/{number}",
            benchmark="crm_sim",
            task="handle_time",
            messages=(Message(role="user", content=f"question {number}"),),
            references=("gold",),
            reward_metric="exact_match",
            max_tokens=8,
        )
        for number in range(4)
    ]
    calls = MOST_SPANS + 5
    stored = {
        "baseline.greedy": lambda: to_frame([response("baseline", "greedy", n, 1) for n in (0, 1)]),
        "best_of_n.verifier": lambda: to_frame([response("best_of_n", "verifier", 1, calls)]),
    }
    failed = replace(
        response("cascade", "agreement", 2, 1),
        status="failed",
        text=None,
        error_message="no answer",
    )
    stored["cascade.agreement"] = lambda: to_frame([failed]).drop(columns="bill")
    with mlflow.start_run(), mlflow.start_run(nested=True) as nested:
        run = nested.info.run_id
    with mlflow.start_run():
        runs = {"target/crm_sim/best_of_n/verifier": run}
        log_traces(RUN, jobs, stored, runs, Tracker())
        logged = log_traces(RUN, jobs, stored, runs, Tracker())
    assert set(logged.values()) == {
        "best_of_n.verifier, crm_sim/1: 1.00 more than the baseline",
        "cascade.agreement, crm_sim/2: failed: timeout",
    }
    experiment = mlflow.get_run(run).info.experiment_id
    (trace,) = mlflow.search_traces(locations=[experiment], run_id=run, return_type="list")
    everything = mlflow.search_traces(locations=[experiment], return_type="list")
    assert {one.info.trace_id for one in everything} == set(logged), "logged twice, there once"
    root, *spans = sorted(trace.data.spans, key=lambda span: span.parent_id or "")
    assert root.inputs == {"question": "question 1"}
    assert root.outputs == {
        "answer": "best_of_n says 1",
        "reward": 1.0,
        "baseline": "baseline says 1",
        "right": ["gold"],
    }
    assert len(spans) == MOST_SPANS + 1
    assert (root.end_time_ns - root.start_time_ns) / 1e9 == pytest.approx(0.5 * calls)
