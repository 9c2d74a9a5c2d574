"""What keeps a run quiet and private; called by Kedro before it loads plugins and settings."""

from __future__ import annotations

import logging
import os
import re
import warnings
from pathlib import Path
from typing import Any

from ttc_bench.hooks.garbage import look_rarely

BETWEEN_LIBRARIES = re.compile(
    r"Add type hints to the `predict` method"
    r"|One or more dataset names contain '\.' characters"
    r"|register_new_resolver\(\) is deprecated"
    r"|using the `ReadOnly` qualifier"
)
"""Warnings that libraries give one another, about which a user can do nothing."""


REPEATED = re.compile(
    r"Node %s failed with error"
    r"|SQLAlchemy database error"
    r"|No nodes ran\."
    r"|There are \d+ nodes that have not run\."
    r"|Retrying \(%r\) after connection broken"
    r"|Failed to (get mlflow run|log system metrics)"
    r"|Workflow tracking is disabled"
)
"""What is logged of an error that ends the run, and is told there, and of other ways to go on: here
the same command goes on from the journal. That a tracking server is gone is told there, too."""

REPEATING = (
    "mlflow.store.db.utils",
    "mlflow.system_metrics.system_metrics_monitor",
    "urllib3.connectionpool",
    "kedro.pipeline.node",
    "kedro.runner.sequential_runner",
    "kedro.runner.thread_runner",
    "kedro_viz.integrations.kedro.run_hooks",
)
"""Loggers that do."""


def is_told_once(record: logging.LogRecord) -> bool:
    """Return whether a record says what is not said where a run ends."""
    return not REPEATED.match(str(record.msg))


class Cleaned(logging.Formatter):
    """Lines without the secrets that are known; tracebacks hold what others said, too.

    Args:
        inner: Makes the lines.
    """

    def __init__(self, inner: logging.Formatter) -> None:
        super().__init__()
        self._inner = inner

    def format(self, record: logging.LogRecord) -> str:
        """Return the line of a record."""
        from ttc_bench.engines.hosting.secrets import Redactor

        return Redactor()(self._inner.format(record))


def quieten() -> None:
    """Turn off telemetry, unless the user says otherwise, and noise that nobody can act on.

    Prompts may be confidential: no library of this project phones home.
    """
    look_rarely()
    for switch in ("DO_NOT_TRACK", "MLFLOW_DISABLE_TELEMETRY", "HF_HUB_DISABLE_TELEMETRY"):
        os.environ.setdefault(switch, "1")
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    # LiteLLM fetches its price list on import, and hangs where there is no network: so does
    # the MLflow server, which imports it. The list that it ships is used instead.
    os.environ.setdefault("LITELLM_LOCAL_MODEL_COST_MAP", "True")
    # MLflow asks for the commit by a library that tells at length where there is no git.
    os.environ.setdefault("GIT_PYTHON_REFRESH", "quiet")
    # MLflow sets its own level when it is imported. Who wants its lines sets this to INFO.
    os.environ.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    _configure_logging()
    _hide_warnings()
    for handler in logging.getLogger().handlers:
        if type(handler) is logging.StreamHandler and not isinstance(handler.formatter, Cleaned):
            handler.setFormatter(Cleaned(handler.formatter or logging.Formatter()))
    for name in REPEATING:
        logging.getLogger(name).addFilter(is_told_once)
    for name in ("kedro_mlflow", "mlflow", "mlflow.store.db.utils", "alembic"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _configure_logging() -> None:
    """Log as the project says from its subfolders, too: Kedro looks in the working folder only."""
    import yaml
    from kedro.framework.project import configure_logging
    from kedro.utils import find_kedro_project

    project = find_kedro_project(Path.cwd())
    if project in (None, Path.cwd()) or "KEDRO_LOGGING_CONFIG" in os.environ:
        return
    settings = project / "conf" / "logging.yml"
    if settings.exists():
        configure_logging(yaml.safe_load(settings.read_text(encoding="utf-8")))


def _hide_warnings() -> None:
    """Hide `BETWEEN_LIBRARIES` where warnings are shown: libraries reset the filters."""
    show = warnings.showwarning
    if getattr(show, "is_quiet", False):
        return

    def show_the_others(message: Warning | str, *details: Any, **more: Any) -> None:
        if not BETWEEN_LIBRARIES.search(str(message)):
            show(message, *details, **more)

    show_the_others.is_quiet = True  # type: ignore[attr-defined]
    warnings.showwarning = show_the_others
