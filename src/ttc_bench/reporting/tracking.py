"""MLflow: one nested run per policy, variant and benchmark under the run of the pipeline."""

from __future__ import annotations

import math
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ttc_bench.reporting.rows import rows_of
from ttc_bench.types import DataFrame

KEY = "ttc_bench.key"
"""Tag that identifies a nested run within its parent, so that writing twice changes nothing."""

PARENT = "mlflow.parentRunId"


@dataclass(frozen=True)
class Figures:
    """The tables of a run that go to MLflow.

    Attributes:
        scores: One row per response.
        summary: One row per model, benchmark, policy and variant.
        versus: Paired comparisons with the baseline.
        intervals: Means and differences with their intervals.
    """

    scores: DataFrame
    summary: DataFrame
    versus: DataFrame
    intervals: DataFrame

    def of(self, group: Mapping[str, Any]) -> DataFrame:
        """Return the scores of one group."""
        return _where(self.scores, group)


def log_children(figures: Figures, parameters: Mapping[str, Any], table: str) -> dict[str, str]:
    """Write or refresh a nested run per group of the summary; return run ids by key.

    Works inside the run that kedro-mlflow opened, and opens one of its own without it.
    """
    import mlflow

    ids = {}
    with _parent_run() as parent:
        mlflow.log_text(table, "summary.txt")
        mlflow.set_tags(_tags())
        for row in rows_of(figures.summary):
            group = {name: row[name] for name in ("model", "benchmark", "policy", "variant")}
            key = "/".join(str(value) for value in group.values())
            with mlflow.start_run(
                run_id=_existing(parent, key),
                run_name=f"{group['policy']}.{group['variant']} {group['benchmark']}",
                nested=True,
            ) as run:
                _log(key, group, row, figures, parameters)
                ids[key] = run.info.run_id
    return ids


@contextmanager
def _parent_run() -> Iterator[str]:
    import mlflow

    active = mlflow.active_run()
    if active is not None:
        yield active.info.run_id
        return
    with mlflow.start_run(run_name="aggregate") as run:
        yield run.info.run_id


def _existing(parent: str, key: str) -> str | None:
    """Return the nested run that an earlier call wrote for ``key`` under ``parent``."""
    import mlflow

    client = mlflow.MlflowClient()
    experiment = client.get_run(parent).info.experiment_id
    found = client.search_runs(
        [experiment], f"tags.`{PARENT}` = '{parent}' and tags.`{KEY}` = '{key}'", max_results=1
    )
    return found[0].info.run_id if found else None


def _log(
    key: str,
    group: Mapping[str, Any],
    row: Mapping[str, Any],
    figures: Figures,
    parameters: Mapping[str, Any],
) -> None:
    import mlflow

    scores = figures.of(group)
    mlflow.set_tags({KEY: key, **group, "engine": str(scores["engine"].iloc[0]), **_tags()})
    mlflow.log_params(_settings(group, parameters))
    mlflow.log_metrics(_metrics(row, figures, group))
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "scores.parquet"
        scores.to_parquet(path)
        mlflow.log_artifact(str(path))


def _metrics(
    row: Mapping[str, Any], figures: Figures, group: Mapping[str, Any]
) -> dict[str, float]:
    found = {name: value for name, value in row.items() if name not in group}
    for line in rows_of(_where(figures.intervals, group)):
        metric = line["metric"]
        for end in ("low", "high"):
            found[f"{metric}_mean_{end}"] = line[f"mean_{end}"]
        for name in ("difference", "difference_low", "difference_high"):
            found[f"{metric}_{name}"] = line[name]
    for line in rows_of(_where(figures.versus, group)):
        found[f"{line['metric']}_median_ratio"] = line["median_ratio"]
    return {name: float(value) for name, value in found.items() if _is_figure(value)}


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _settings(group: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run's settings and the variant's own, flat, as MLflow wants parameters."""
    name = str(group["variant"]).partition("[")[0]
    own = (parameters.get(str(group["policy"])) or {}).get(name) or {}
    common = {key: parameters.get(key) for key in ("limit", "seed", "prompting", "model")}
    return {**group, **_flat("", common), **_flat(f"{group['policy']}.{name}.", own)}


def _flat(prefix: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in settings.items():
        if isinstance(value, Mapping):
            flat.update(_flat(f"{prefix}{key}.", value))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _tags() -> dict[str, str]:
    """Return the commit that the code is at; nothing where there is no repository."""
    git = subprocess.run(
        ["git", "rev-parse", "HEAD"],
        cwd=Path(__file__).parent,
        capture_output=True,
        text=True,
        check=False,
    )
    return {"git_commit": git.stdout.strip()} if git.returncode == 0 else {}


def _where(frame: DataFrame, group: Mapping[str, Any]) -> DataFrame:
    mask = None
    for name, value in group.items():
        same = frame[name] == value
        mask = same if mask is None else mask & same
    return frame if mask is None else frame[mask]
