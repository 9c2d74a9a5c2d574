"""Hand-made responses and jobs for the tests of metrics."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ttc_bench.engines.ledger import Call, Ledger
from ttc_bench.metrics.base import METRICS, Null, ScoreParams, ScoringBatch, Value
from ttc_bench.policies.responses import Response, to_frame
from ttc_bench.types import Job, Message

PLAN = "Node:\n1: Search the files.\n2: Count the words.\nEdges: (START,1) (1,2) (2,END)"


def make_job(**changes: Any) -> Job:
    base: dict[str, Any] = {
        "id": "crmarena/1",
        "benchmark": "crmarena",
        "task": "case_routing",
        "messages": (Message(role="user", content="Which agent, 005Wt000003NIXCIA4 or 2?"),),
        "references": ("005Wt000003NIXCIA4",),
        "reward_metric": "exact_match",
        "max_tokens": 64,
    }
    return Job(**{**base, **changes})


def workflow_job(**changes: Any) -> Job:
    base: dict[str, Any] = {
        "id": "worfbench/1",
        "benchmark": "worfbench",
        "task": "os",
        "references": (PLAN,),
        "reward_metric": "workflow",
    }
    return make_job(**{**base, **changes})


def make_response(job: Job, text: str | None = "Answer: 1", **changes: Any) -> Response:
    failed = text is None
    base: dict[str, Any] = {
        "job_id": job.id,
        "benchmark": job.benchmark,
        "task": job.task,
        "difficulty": job.difficulty,
        "model": "tiny",
        "engine": "local",
        "policy": "baseline",
        "variant": "greedy",
        "status": "failed" if failed else "ok",
        "text": text,
        "error_type": "timeout" if failed else None,
        "finish_reason": None if failed else "stop",
        "ledger": Ledger([make_call()]),
    }
    return Response(**{**base, **changes})


def make_call(**changes: Any) -> Call:
    base: dict[str, Any] = {"request": 0, "role": "target", "purpose": "answer", "model": "tiny"}
    return Call(**{**base, **changes})


def batch_of(
    pairs: Sequence[tuple[Job, Response]],
    rewards: Sequence[float | None] | None = None,
    **params: Any,
) -> ScoringBatch:
    jobs = [job for job, _ in pairs]
    batch = ScoringBatch.of(to_frame([r for _, r in pairs]), jobs, ScoreParams(**params))
    reward = list(rewards) if rewards is not None else [0.0] * len(jobs)
    return ScoringBatch(batch.jobs, batch.columns, batch.params, {"reward": reward})


def run(name: str, batch: ScoringBatch) -> dict[str, list[Value]]:
    """Compute one family."""
    return {metric: list(values) for metric, values in METRICS[name].compute(batch).items()}


def is_null(value: Value) -> bool:
    return value is None or isinstance(value, Null)
