"""A dry run of a pipeline's policies against a stand-in for the models adds up the bill."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from typing import Any

from ttc_bench.engines.base import Engine
from ttc_bench.errors import UserError
from ttc_bench.pipelines.estimate.params import EstimateParams
from ttc_bench.pipelines.generate.params import Points, TimingParams
from ttc_bench.policies import Session, Variant
from ttc_bench.policies.control import sessions, timed_jobs
from ttc_bench.policies.journal import Journal
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.statistics.totals import total
from ttc_bench.types import BASELINE, DataFrame, Job

logger = logging.getLogger(__name__)

COLUMNS = {
    "policy": "string",
    "variant": "string",
    "role": "string",
    "model": "string",
    "jobs": "Int64",
    "calls": "Int64",
    "paid_calls": "Int64",
    "prompt_tokens": "Int64",
    "completion_tokens": "Int64",
    "usd": "Float64",
}
"""Tokens and dollars are of ``paid_calls``: those that neither the journal holds nor a row above
makes already. ``usd`` is null where the model's price is unknown."""


class Draft(Journal):
    """A journal that reads another one and keeps what is new to itself.

    Args:
        journal: The journal of the project; it stays as it is.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._below = journal

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record of this journal or of the one below it."""
        return super().get(key) or self._below.get(key)


def estimate(
    params: EstimateParams,
    jobs: Sequence[Job],
    engine: Engine,
    journal: Journal,
    seed: int,
    timing: TimingParams,
    *sweeps: Points,
) -> DataFrame:
    """Return calls, tokens and dollars of a pipeline, per variant and model; see `COLUMNS`.

    Args:
        params: Which pipeline is estimated.
        jobs: The jobs of the run.
        engine: The engine of the run; no call is made.
        journal: Completions of earlier calls, which are not paid again.
        seed: Seed of the run.
        timing: On how many jobs a control is paid for, too.
        sweeps: The sweep points of every variant.

    Raises:
        UserError: If no model of the run is hosted.
    """
    import pandas as pd

    from ttc_bench.engines.hosting.dry_run import DryRun

    dry_run, draft = DryRun(engine, params.completion_tokens), Draft(journal)
    timed = timed_jobs(jobs, timing.jobs, seed)

    def rows_of(label: str, variant: Variant) -> list[dict[str, Any]]:
        name = f"{variant.policy}.{label}"
        if missing := variant.lacking(dry_run):
            logger.info("%s: left out, it needs %s", name, " and ".join(missing))
            return []
        suited = [job for job in jobs if variant.suits(job)]
        own = sessions(name, variant, suited, dry_run, draft, seed, timed)
        asyncio.run(_dry_run(name, variant, own))
        return _bill(variant.policy, label, own)

    rows = [row for point in _points(params.pipeline, sweeps) for row in rows_of(*point)]
    table = pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)
    logger.info("\n%s\n%s", table.to_string(index=False), total_line(table))
    return table


def total_line(table: DataFrame) -> str:
    """Return the sum of a table of costs in words; an unknown price leaves no total."""
    unpriced = sorted(table.loc[table["usd"].isna(), "model"].unique())
    dollars = f"{table['usd'].sum():.4f} dollars"
    if unpriced:
        dollars = f"dollars unknown: no price of {', '.join(unpriced)} (set model.prices)"
    tokens = table[["prompt_tokens", "completion_tokens"]].sum()
    return (
        f"{table['paid_calls'].sum()} of {counted_as(int(table['calls'].sum()), 'call')} to pay,"
        f" {counted_as(int(tokens['prompt_tokens']), 'token')} of prompts,"
        f" {tokens['completion_tokens']} of answers,"
        f" {dollars}. No call was made."
    )


def _points(pipeline: str, sweeps: Sequence[Points]) -> list[tuple[str, Variant]]:
    """Return what a pipeline runs, with labels, the baseline first."""
    points = [point for points in sweeps for point in points]
    if pipeline != "__default__":
        points = [(n, v) for n, v in points if v.policy in (BASELINE[0], pipeline)]
    return sorted(points, key=lambda point: point[1].policy != BASELINE[0])


async def _dry_run(name: str, variant: Variant, sessions: Sequence[Session]) -> None:
    cut_short = 0
    async for _, outcome in variant.outcomes(sessions):
        if isinstance(outcome, UserError):
            raise outcome
        cut_short += isinstance(outcome, Exception)
    if cut_short:
        jobs = counted_as(cut_short, "job")
        logger.warning("%s: %s broke off, the estimate is too low", name, jobs)


def _bill(policy: str, label: str, sessions: Sequence[Session]) -> list[dict[str, Any]]:
    controls = [session.control.ledger for session in sessions if session.control]
    ledgers = [*(session.ledger for session in sessions), *controls]
    calls = [call for ledger in ledgers for call in ledger.calls]
    rows = []
    for role, model in dict.fromkeys((call.role, call.model) for call in calls):
        own = [call for call in calls if (call.role, call.model) == (role, model)]
        paid = [call for call in own if not call.replayed]
        prices = [call.usd for call in paid]
        rows.append(
            {
                "policy": policy,
                "variant": label,
                "role": role,
                "model": model,
                "jobs": len(sessions),
                "calls": len(own),
                "paid_calls": len(paid),
                "prompt_tokens": sum(call.prompt_tokens for call in paid),
                "completion_tokens": sum(call.completion_tokens for call in paid),
                "usd": total(prices),
            }
        )
    return rows
