"""From the scores of the last run and a policy of limits to an exit status."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Any

import click

from ttc_bench.errors import InconclusiveError, NoGoError, UserError
from ttc_bench.reporting.gate import GateParams, as_json, as_junit, gate, lines, run_of
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.run_changes import load_runs
from ttc_bench.reporting.run_choice import (
    ChosenRunParams,
    ComparedRuns,
    CompareParams,
    choose_runs,
)
from ttc_bench.types import DataFrame

LATEST = CompareParams()
"""Compares with the latest run that has questions and variants in common."""

ANY = ChosenRunParams()
"""Names no run."""


def rule_on(
    all_scores: DataFrame,
    gate_policy: dict[str, Any],
    params: GateParams,
    aggregate: AggregateParams,
    kept_settings: Mapping[str, Callable[[], Mapping[str, Any]]] = MappingProxyType({}),
    kept_scores: Mapping[str, Callable[[], DataFrame]] = MappingProxyType({}),
    compare: CompareParams = LATEST,
) -> tuple[dict[str, Any], str, str]:
    """Return the verdict on every limit as plain values, as JUnit XML and as text.

    The run before, for rules that look back, is the one that `kedro run --pipeline=compare` takes.

    Raises:
        UserError: If the policy is malformed or names what the run does not have, or the parameters
            name a run before that is not kept.
    """
    kept = kept_settings, kept_scores, compare.before
    beside = partial(_beside_kept, all_scores, *kept, aggregate)
    verdicts = gate(all_scores, gate_policy, params, aggregate.min_clusters, beside)
    text = "\n".join([f"The limits, on {run_of(all_scores)}:", *lines(verdicts)])
    click.echo(text)
    return as_json(verdicts), as_junit(verdicts), f"{text}\n"


def _beside_kept(
    all_scores: DataFrame,
    kept_settings: Mapping[str, Callable[[], Mapping[str, Any]]],
    kept_scores: Mapping[str, Callable[[], DataFrame]],
    before: ChosenRunParams,
    aggregate: AggregateParams,
) -> DataFrame | None:
    """Return the scores of a run with those of the one before it; ``None`` where there is none.

    A run of another model says nothing of this one's speed, unless ``before`` asks for it.

    Raises:
        UserError: If ``before`` names one that is not there.
    """
    if "run_id" not in all_scores:
        return None
    run, config = (str(all_scores[name].iloc[0]) for name in ("run_id", "config"))
    after = ChosenRunParams(run=run, config=config)
    try:
        sides = choose_runs(kept_settings, kept_scores, CompareParams(before=before, after=after))
    except UserError:
        if before != ANY:
            raise
        return None
    pairs = [one for one in sides.pairs if before != ANY or one[0].model == one[1].model]
    return load_runs(kept_scores, ComparedRuns(pairs), aggregate)[0] if pairs else None


def close(gate_verdicts: dict[str, Any], *stored: object) -> None:  # noqa: ARG001
    """End the run by its verdict; all files are written by now.

    Args:
        gate_verdicts: The verdicts.
        stored: Taken only to come after what is stored.

    Raises:
        NoGoError: If a limit is shown to be broken.
        InconclusiveError: If none is, and not all are shown to be kept.
    """
    verdict = gate_verdicts["verdict"]
    if verdict == "NO-GO":
        raise NoGoError("the gate says NO-GO.")
    if verdict == "INCONCLUSIVE":
        raise InconclusiveError("the gate says INCONCLUSIVE.")
