"""A run says what its user can use, wherever it is started."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ASK = """
import logging
import kedro.framework.project
from ttc_bench.hooks.quiet import quieten
quieten()
import mlflow
names = ("kedro", "kedro.io", "mlflow", "mlflow.system_metrics.system_metrics_monitor")
print(*(logging.getLogger(name).getEffectiveLevel() for name in names))
print(*(type(handler).__module__ for handler in logging.getLogger().handlers))
"""


def levels(folder: Path, **environment: str) -> tuple[list[int], str]:
    """Return the levels of libraries' loggers in a process started in a folder, and the handler."""
    told = subprocess.run(
        [sys.executable, "-c", ASK],
        cwd=folder,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    *before, first, second = told.stdout.splitlines()
    # One of Kedro's, on which logging it begins with, before it knows of any project.
    assert sum(" INFO " in line for line in before) <= 1, before
    return [int(level) for level in first.split()], second


@pytest.mark.parametrize("folder", [".", "data"])
def test_lines_of_libraries_are_silent_in_every_folder_of_the_project(
    project: Path, folder: str
) -> None:
    assert levels(project / folder) == ([30, 30, 30, 30], "logging")


def test_lines_of_mlflow_are_shown_to_who_asks_for_them(project: Path) -> None:
    asked, _ = levels(project / "data", MLFLOW_LOGGING_LEVEL="INFO")
    assert asked[-1] == 20
