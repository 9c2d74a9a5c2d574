"""Runs that are kept: the scores and the settings of each, so that any two can be compared."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any
from urllib.parse import quote

from ttc_bench.commit import commit
from ttc_bench.measured import SUMMED, run_of, settings_of
from ttc_bench.metrics.base import LONG_COLUMNS
from ttc_bench.types import DataFrame

MOST_LETTERS = 160
"""Letters of a name within a path: a file system takes 255, ending and digest included."""

REMOTE = "the provider's, asked from {}"
"""The device of a hosted model, by that of its client."""


def keep_run(
    all_scores: DataFrame,
    run_settings: Mapping[str, Any],
    run_pipeline: str = "",
    run_name: str = "",
    earlier_settings: Mapping[str, Callable[[], Mapping[str, Any]]] = MappingProxyType({}),
    summary_table: str = "",  # noqa: ARG001
) -> tuple[dict[str, DataFrame], dict[str, dict[str, Any]]]:
    """Return the scores and the settings of the run, by `key_of` each of its models.

    A run of the same name, configuration and model replaces the one that was kept.

    Args:
        all_scores: Scores of the run, with ``run_id`` and ``config``; they say what they were made
            with.
        run_settings: All parameters of this command.
        run_pipeline: Names of its pipelines.
        run_name: Name of the run that this command is.
        earlier_settings: What is kept. Of a run that is summed up again it stays: which code
            measured it, where and when.
        summary_table: Taken only to come after it: a run whose scores allow no table is not kept.
    """
    from datetime import UTC, datetime

    from ttc_bench.reporting.provenance import machine, versions

    slim = all_scores.drop(columns=[name for name in LONG_COLUMNS if name in all_scores])
    now = datetime.now(UTC).isoformat()
    (host, device), scores, settings = machine(), {}, {}
    parameters = settings_of(all_scores, run_settings)
    for (run, config, model), part in slim.groupby(["run_id", "config", "model"], sort=True):
        key = key_of(str(run), str(config), str(model))
        scores[key] = part.reset_index(drop=True)
        settings[key] = {
            "run": str(run),
            "config": str(config),
            "model": str(model),
            "pipeline": run_pipeline,
            "recorded_at": now,
            "host": host,
            "device": device if set(part["engine"]) == {"local"} else REMOTE.format(device),
            "commit": commit(),
            "versions": versions(),
            "parameters": parameters,
        }
        if key in earlier_settings and run_of(all_scores) not in (None, run_name):
            settings[key] = _as_it_was(earlier_settings[key](), settings[key])
    return scores, settings


def _as_it_was(before: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is kept of a run, with parameters of now that are neither measured nor summed."""
    own = before.get("parameters") or {}
    summed = {name: own[name] for name in SUMMED if name in own}
    return {**now, **before, "parameters": {**now["parameters"], **summed}}


def key_of(run: str, config: str, model: str) -> str:
    """Return the place of a run's scores among those kept; names may hold any character."""
    return "/".join(map(_place, (run, config, model)))


def _place(name: str) -> str:
    """Return a name as that of a file or folder, whatever it holds and however long it is."""
    quoted = quote(name, safe=" ")
    if not quoted.strip("."):
        return quoted.replace(".", "%2E")  # Not this folder, nor the one above it.
    quoted = quoted.replace("..", "%2E%2E")
    if len(quoted) <= MOST_LETTERS:
        return quoted
    return f"{quoted[:MOST_LETTERS]}-{hashlib.sha256(name.encode()).hexdigest()[:16]}"
