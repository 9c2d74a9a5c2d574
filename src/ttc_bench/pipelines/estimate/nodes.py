"""Rehearse a pipeline's policies against a stand-in for the models and add up the bill."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from pydantic import Field

from ttc_bench.engines.base import Engine
from ttc_bench.errors import UserError
from ttc_bench.params import Params, parse_params, unknown
from ttc_bench.pipelines.generate.nodes import sweep
from ttc_bench.policies import VARIANTS, Session, Variant
from ttc_bench.policies.journal import Journal
from ttc_bench.statistics.totals import total
from ttc_bench.types import DataFrame, Job

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


class EstimateParams(Params):
    """Which pipeline is estimated.

    Attributes:
        pipeline: Name of a policy's pipeline (its run includes the baseline), or ``__default__``
            for all policies.
        completion_tokens: Tokens that an answer usually takes; null reckons with the most that a
            request allows.
    """

    pipeline: str = "__default__"
    completion_tokens: int | None = Field(default=None, ge=1)


class Draft(Journal):
    """A journal that reads another one and keeps what is new to itself.

    Args:
        journal: The journal of the project; it stays as it is.
    """

    def __init__(self, journal: Journal) -> None:
        super().__init__()
        self._held = journal

    def get(self, key: str) -> dict[str, Any] | None:
        """Return the record of this journal or of the one below it."""
        return super().get(key) or self._held.get(key)


def estimate(
    jobs: Sequence[Job], engine: Engine, journal: Journal, parameters: Mapping[str, Any]
) -> DataFrame:
    """Return calls, tokens and dollars of a pipeline, per variant and model; see `COLUMNS`.

    Args:
        jobs: The jobs of the run.
        engine: The engine of the run; no call is made.
        journal: Completions of earlier calls, which are not paid again.
        parameters: All parameters of the run.

    Raises:
        UserError: If there is no such pipeline, or no model of the run is hosted.
    """
    import pandas as pd

    from ttc_bench.engines.hosting.dry_run import DryRun

    settings = parse_params(EstimateParams, parameters.get("estimate") or {}, "estimate")
    dry_run, draft = DryRun(engine, settings.completion_tokens), Draft(journal)
    rows: list[dict[str, Any]] = []
    for name in _names(settings.pipeline):
        policy, _, variant = name.partition(".")
        for label, point in sweep(name, (parameters.get(policy) or {}).get(variant)).items():
            if missing := dry_run.missing_capabilities(point.needs()):
                logger.info("%s: left out, it needs %s", name, " and ".join(missing))
                continue
            suited = [job for job in jobs if point.suits(job.benchmark)]
            sessions = [Session(dry_run, draft, job, parameters["seed"]) for job in suited]
            asyncio.run(_rehearse(f"{policy}.{label}", point, sessions))
            rows += _bill(policy, label, sessions)
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
        f"{table['paid_calls'].sum()} calls to pay of {table['calls'].sum()},"
        f" {tokens['prompt_tokens']} tokens of prompts, {tokens['completion_tokens']} of answers,"
        f" {dollars}. No call was made."
    )


def _names(pipeline: str) -> list[str]:
    """Return the ``{policy}.{variant}`` names that a pipeline runs, the baseline's first."""
    policies = sorted({cls.policy for cls in VARIANTS.values()})
    if pipeline not in (*policies, "__default__"):
        known = unknown("pipeline of policies", pipeline, (*policies, "__default__"))
        raise UserError(f"parameter estimate.pipeline: {known}")
    wanted = policies if pipeline == "__default__" else ["baseline", pipeline]
    order = sorted(wanted, key=lambda policy: policy != "baseline")
    named = {p: [n for n, cls in VARIANTS.items() if cls.policy == p] for p in order}
    return [name for names in named.values() for name in names]


async def _rehearse(name: str, variant: Variant, sessions: Sequence[Session]) -> None:
    cut_short = 0
    async for _, outcome in variant.outcomes(sessions):
        if isinstance(outcome, UserError):
            raise outcome
        cut_short += isinstance(outcome, Exception)
    if cut_short:
        logger.warning("%s: %d jobs broke off, their estimate is too low", name, cut_short)


def _bill(policy: str, label: str, sessions: Sequence[Session]) -> list[dict[str, Any]]:
    calls = [call for session in sessions for call in session.ledger.calls]
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
