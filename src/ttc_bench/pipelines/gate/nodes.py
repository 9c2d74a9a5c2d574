"""From the scores of the last run and a policy of limits to an exit status."""

from __future__ import annotations

from typing import Any

import click

from ttc_bench.errors import InconclusiveError, NoGoError
from ttc_bench.reporting.gate import GateParams, as_json, as_junit, gate, lines, run_of
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.types import DataFrame


def rule_on(
    all_scores: DataFrame,
    gate_policy: dict[str, Any],
    params: GateParams,
    aggregate: AggregateParams,
) -> tuple[dict[str, Any], str, str]:
    """Return the verdict on every limit as plain values, as JUnit XML and as text.

    Raises:
        UserError: If the policy is malformed or names what the run does not have.
    """
    verdicts = gate(all_scores, gate_policy, params, aggregate.min_clusters)
    text = "\n".join([f"The limits, on {run_of(all_scores)}:", *lines(verdicts)])
    click.echo(text)
    return as_json(verdicts), as_junit(verdicts), f"{text}\n"


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
