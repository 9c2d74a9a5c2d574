"""MLflow as this project uses it: system metrics on, and any tracking server by one line."""

from __future__ import annotations

import copy
import os
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl

EMBEDDED = ("sqlite:", "file:")
"""Stores that live in the project: they need a place for their artifacts."""

INTERVAL_S = 5
"""Seconds between two readings of the system metrics."""


class Tracking:
    """Prepares the configuration before kedro-mlflow reads it."""

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Turn system metrics on unless the environment says otherwise, and settle artifacts."""
        os.environ.setdefault("MLFLOW_ENABLE_SYSTEM_METRICS_LOGGING", "true")
        os.environ.setdefault("MLFLOW_SYSTEM_METRICS_SAMPLING_INTERVAL", str(INTERVAL_S))
        context.config_loader["mlflow"] = with_place(context.config_loader["mlflow"])


def with_place(config: dict[str, Any]) -> dict[str, Any]:
    """Return the configuration of MLflow with a place for artifacts that suits its store.

    The embedded store keeps its artifacts in the project. A tracking server has its own place, and
    a folder of this machine would leave others without the artifacts.

    Args:
        config: What ``mlflow.yml`` says.
    """
    uri = str((config.get("server") or {}).get("mlflow_tracking_uri") or "")
    if uri.startswith(EMBEDDED):
        return config
    settled = copy.deepcopy(config)
    experiment = (settled.get("tracking") or {}).get("experiment") or {}
    (experiment.get("create_experiment_kwargs") or {}).pop("artifact_location", None)
    return settled
