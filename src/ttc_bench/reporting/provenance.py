"""Where a report comes from: run, commit, seeds, versions."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from ttc_bench import __version__
from ttc_bench.commit import commit
from ttc_bench.types import DataFrame

PACKAGES = (
    "torch", "transformers", "kedro", "kedro-datasets", "kedro-mlflow", "mlflow", "litellm",
    "dbt-core", "dbt-duckdb", "duckdb", "pandas", "numpy", "scipy", "matplotlib", "plotly",
)  # fmt: skip
"""Packages whose versions can change a figure or how it is shown."""


def facts(all_scores: DataFrame, parameters: Mapping[str, Any]) -> dict[str, str]:
    """Return what identifies the run, by heading."""
    model = parameters.get("model") or {}
    return {
        "run": _each(all_scores, "run_id"),
        "configuration digest": _each(all_scores, "config"),
        "commit": commit(),
        "models": _each(all_scores, "model"),
        "model settings": ", ".join(f"{key}: {value}" for key, value in model.items()),
        "benchmarks": _each(all_scores, "benchmark"),
        "responses": str(len(all_scores)),
        "replayed from the journal": str(int(all_scores["replayed"].fillna(False).sum())),
        "seed of sampling": str(parameters.get("seed")),
        "seed of resampling": str((parameters.get("aggregate") or {}).get("seed", 0)),
        "ttc-bench": __version__,
        "Python": f"{platform.python_version()} on {platform.system()} {platform.machine()},"
        f" {os.cpu_count()} processors",
        **versions(),
    }


def versions() -> dict[str, str]:
    """Return the version of each of `PACKAGES`."""
    return {name: _version(name) for name in PACKAGES}


def machine() -> tuple[str, str]:
    """Return the name of this machine, and what computes in it."""
    from ttc_bench.metrics.resources import gpu_name

    parts = (f"{os.cpu_count()} {platform.machine()} processors", gpu_name())
    return platform.node() or "unknown", ", ".join(part for part in parts if part)


def _each(scores: DataFrame, column: str) -> str:
    if column not in scores.columns:
        return "unknown"
    return ", ".join(sorted({str(value) for value in scores[column].dropna()})) or "none"


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
