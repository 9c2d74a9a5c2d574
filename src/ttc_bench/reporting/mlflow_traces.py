"""Responses worth reading as MLflow traces: where a variant and the baseline part ways."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import chain, zip_longest
from typing import Any, NamedTuple

from ttc_bench.reporting.mlflow_runs import PARENT
from ttc_bench.reporting.row_dicts import Row, full_name, row_dicts
from ttc_bench.reporting.sheet import counted_as, known
from ttc_bench.reporting.stored_response import BilledCall, bill
from ttc_bench.types import BASELINE, GROUP, DataFrame, Job

MOST_TRACES = 6
"""Traces of a run: each costs MLflow's store as much as half a nested run."""

MOST_SPANS = 12
"""Requests of a trace that have a span of their own."""

OF = "ttc_bench.parent"
"""Tag of a trace: id of the run that its nested run is in."""

NS = 1_000_000_000
"""Nanoseconds of a second."""


class Pick(NamedTuple):
    """A response that is worth reading.

    Attributes:
        score: Its row of the scores.
        base: The baseline's row on the same job, if there is one.
        why: What is worth reading about it.
    """

    score: Row
    base: Row | None
    why: str


def pick(scores: DataFrame) -> list[Pick]:
    """Return at most `MOST_TRACES` responses, evenly over models and benchmarks.

    Of each they are the answer by which a variant gained most over the baseline, the one by which
    one lost most, and a failure. Among equals it is the one of the variant with the best mean, or
    the worst one.

    Args:
        scores: One row per response.
    """
    parts = [list(_picks(part)) for _, part in scores.groupby(["model", "benchmark"], sort=True)]
    in_turn = chain.from_iterable(zip_longest(*parts))
    return [one for one in in_turn if one is not None][:MOST_TRACES]


def _picks(part: DataFrame) -> Iterator[Pick]:
    rows = row_dicts(part.assign(reward=part["reward"].astype("float64").fillna(0.0)))
    base = {row["job_id"]: row for row in rows if (row["policy"], row["variant"]) == BASELINE}
    others = [row for row in rows if row["status"] == "ok" and row["job_id"] in base]
    means = {full_name(row): 0.0 for row in others}
    for row in others:
        means[full_name(row)] += _gain(row, base)
    ranked = sorted(others, key=lambda row: (_gain(row, base), means[full_name(row)]))
    for row in ranked[-1:]:
        if (gain := _gain(row, base)) > 0:
            yield Pick(row, base[row["job_id"]], f"{gain:.2f} more than the baseline")
    for row in ranked[:1]:
        if (gain := _gain(row, base)) < 0:
            yield Pick(row, base[row["job_id"]], f"{-gain:.2f} less than the baseline")
    for row in [row for row in rows if row["status"] != "ok"][:1]:
        yield Pick(row, base.get(row["job_id"]), f"failed: {row['error_type']}")


def _gain(row: Row, base: Mapping[str, Row]) -> float:
    return float(row["reward"]) - float(base[row["job_id"]]["reward"])


def log_picks(
    picks: Sequence[Pick],
    jobs: Iterable[Job],
    responses: Mapping[str, Callable[[], DataFrame]],
    runs: Mapping[str, str],
) -> dict[str, str]:
    """Log a trace per pick whose response is stored; return what each is about, by trace.

    They take the place of those that an earlier call logged to the same run.

    Args:
        picks: See `pick`.
        jobs: What was asked, as far as it is known.
        responses: Loads the stored responses of ``{policy}.{variant}``.
        runs: Ids of the nested runs by `GROUP`, parted by slashes.
    """
    import mlflow

    by_id = {job.id: job for job in jobs}
    wanted = [row for one in picks for row in (one.score, one.base) if row is not None]
    stored = _stored(wanted, responses)
    parent, logged = _cleared(runs), {}
    for one in picks:
        response, job = stored.get(_key(one.score)), by_id.get(one.score["job_id"])
        if response is None or job is None:
            continue
        beside = stored.get(_key(one.base)) if one.base is not None else None
        run = runs.get("/".join(str(one.score[name]) for name in GROUP))
        trace = _log(one, job, response, beside, run, parent)
        logged[trace] = f"{_title(one)}: {one.why}"
    mlflow.flush_trace_async_logging()
    return logged


def _cleared(runs: Mapping[str, str]) -> str | None:
    """Delete the traces of nested runs; return the id of the run that these are in."""
    import mlflow

    if not runs:
        return None
    nested = mlflow.get_run(next(iter(runs.values())))
    parent, experiment = nested.data.tags.get(PARENT), nested.info.experiment_id
    client = mlflow.MlflowClient()
    asked = {"filter_string": f"tags.`{OF}` = '{parent}'", "include_spans": False}
    while old := client.search_traces(locations=[experiment], **asked):
        client.delete_traces(experiment, trace_ids=[trace.info.trace_id for trace in old])
    return parent


def _key(row: Row) -> tuple[Any, ...]:
    return (*(row[name] for name in GROUP), row["job_id"])


def _title(one: Pick) -> str:
    return f"{full_name(one.score)}, {one.score['job_id']}"


def _stored(
    rows: Iterable[Row], responses: Mapping[str, Callable[[], DataFrame]]
) -> dict[tuple[Any, ...], Row]:
    """Return the stored responses that scores are of."""
    wanted = {_key(row) for row in rows}
    ids = {key[-1] for key in wanted}
    stored: dict[tuple[Any, ...], Row] = {}
    for name in sorted({f"{key[2]}.{str(key[3]).partition('[')[0]}" for key in wanted}):
        if name in responses:
            table = responses[name]()
            own = row_dicts(table[table["job_id"].isin(ids)])
            stored |= {_key(row): row for row in own if _key(row) in wanted}
    return stored


def _log(
    one: Pick, job: Job, response: Row, beside: Row | None, run: str | None, parent: str | None
) -> str:
    """Log one trace; return its id."""
    import mlflow

    experiment = mlflow.get_run(run).info.experiment_id if run else None
    requests = _requests(response)
    seconds = sum(length for _, length, _ in requests)
    start = time.time_ns() - int(seconds * NS)
    root = mlflow.start_span_no_context(
        _title(one),
        span_type="AGENT",
        inputs={"question": job.messages[-1].content},
        attributes={"reward": one.score["reward"], "why": one.why},
        tags={
            **{name: str(one.score[name]) for name in GROUP},
            "why": one.why,
            **({OF: parent} if parent else {}),
        },
        metadata={"mlflow.sourceRun": run} if run else {},
        experiment_id=experiment,
        start_time_ns=start,
    )
    begin = start
    for name, length, facts in requests:
        span = mlflow.start_span_no_context(
            name, span_type="LLM", parent_span=root, attributes=facts, start_time_ns=begin
        )
        begin += int(length * NS)
        span.end(end_time_ns=begin)
    root.end(
        outputs={
            "answer": _known(response, "text") or _known(response, "error_message"),
            "reward": one.score["reward"],
            "baseline": _known(beside, "text") if beside else None,
            "right": [reference or "no answer" for reference in job.references],
        },
        status="OK" if response["status"] == "ok" else "ERROR",
        end_time_ns=begin,
    )
    return str(root.trace_id)


def _known(response: Row, name: str) -> Any:
    """Return a value of a stored response; ``None`` where it has none, or is of another version."""
    value = response.get(name)
    return value if known(value) else None


def _requests(response: Row) -> list[tuple[str, float, dict[str, Any]]]:
    """Return name, seconds and facts of each request; its samples ran side by side.

    The seconds are those of the bill, which for a replayed call are of its first time.
    """
    requests: dict[int, list[BilledCall]] = {}
    for call in bill(response):
        requests.setdefault(call["request"], []).append(call)
    spans = [_request(calls) for calls in requests.values()]
    first, rest = spans[:MOST_SPANS], spans[MOST_SPANS:]
    if rest:
        length = sum(seconds for _, seconds, _ in rest)
        first.append((counted_as(len(rest), "more request"), length, {}))
    return first


def _request(calls: Sequence[BilledCall]) -> tuple[str, float, dict[str, Any]]:
    head = calls[0]
    facts = {
        "model": head["model"],
        "samples": len(calls),
        "prompt_tokens": head.get("prompt_tokens"),
        "completion_tokens": _sum(calls, "completion_tokens"),
        "flops": _sum(calls, "flops"),
        "usd": _sum(calls, "usd"),
        "replayed": any(call.get("replayed") for call in calls),
    }
    name = f"{head['purpose']} by {head['role']}"
    return name, max(call.get("latency_s") or 0.0 for call in calls), facts


def _sum(calls: Sequence[Mapping[str, Any]], name: str) -> float | None:
    values: list[Any] = [call.get(name) for call in calls]
    return None if None in values else sum(values)
