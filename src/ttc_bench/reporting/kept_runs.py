"""Runs that are kept: the scores and the settings of each, so that any two can be compared."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from ttc_bench.metrics.base import LONG_COLUMNS
from ttc_bench.types import DataFrame

REMOTE = "the provider's, asked from {}"
"""The device of a hosted model, by that of its client."""


def keep_run(
    all_scores: DataFrame, run_settings: Mapping[str, Any]
) -> tuple[dict[str, DataFrame], dict[str, dict[str, Any]]]:
    """Return the scores and the settings of the run, by `key_of` each of its models.

    A run of the same name, configuration and model replaces the one that was kept.

    Args:
        all_scores: Scores of the run, with ``run_id`` and ``config``.
        run_settings: All parameters of the run.
    """
    from datetime import UTC, datetime

    from ttc_bench.reporting.provenance import commit, machine, versions

    slim = all_scores.drop(columns=[name for name in LONG_COLUMNS if name in all_scores])
    now = datetime.now(UTC).isoformat()
    (host, device), scores, settings = machine(), {}, {}
    for (run, config, model), part in slim.groupby(["run_id", "config", "model"], sort=True):
        key = key_of(str(run), str(config), str(model))
        scores[key] = part.reset_index(drop=True)
        settings[key] = {
            "run": str(run),
            "config": str(config),
            "model": str(model),
            "recorded_at": now,
            "host": host,
            "device": device if set(part["engine"]) == {"local"} else REMOTE.format(device),
            "commit": commit(),
            "versions": versions(),
            "parameters": run_settings,
        }
    return scores, settings


def key_of(run: str, config: str, model: str) -> str:
    """Return the place of a run's scores among those kept; names may hold any character."""
    parts = (quote(part, safe=" ").replace("..", "%2E%2E") for part in (run, config, model))
    return "/".join(parts)
