"""Descriptions of the models whose columns come from the list of metrics.

``python -m ttc_bench.dbt.describe`` writes ``models/metrics.yml`` anew; do so after a change of
the variable ``metrics`` or of a metric's definition.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ttc_bench.dbt import PROJECT

FILE = PROJECT / "models" / "metrics.yml"

STATISTICS = {"mean": "Mean", "p50": "Median", "p95": "95th percentile", "p99": "99th percentile"}

RUN = {
    "run_id": "Name of the run: its start, or the parameter aggregate.run_id.",
    "config": "Digest of the parameters that what was measured depends on.",
}
VARIANT = {
    "model": "Name of the target model.",
    "benchmark": "Name of the benchmark.",
    "policy": "Name of the policy.",
    "variant": "Name of the variant, sweep point included.",
}
COUNTS = {
    "n": "Responses, valid and failed.",
    "n_valid": "Responses with an answer.",
    "n_failed": "Responses without an answer.",
    "failures": "Failed responses by reason, most frequent first; empty if there are none.",
    "n_replayed": "Responses with a call that was replayed from the journal.",
}
RESPONSE = {
    "job_id": "The job answered, `{benchmark}/{sample}`.",
    "task": "Task type within the benchmark.",
    "difficulty": "Difficulty level of the job; null where the benchmark has none.",
    "engine": "Kind of engine that ran the model.",
    "is_valid": "Whether there is an answer.",
    "status": "`ok` with an answer, `failed` without.",
    "error_type": "Class of the failure; null for a valid response.",
    "error_message": "What went wrong, in one line; null for a valid response.",
    "replayed": "Whether every call was replayed from the journal.",
}
MAY_BE_NULL = ("difficulty", "error_type", "error_message")


def document() -> str:
    """Return ``models/metrics.yml`` as text."""
    import yaml

    models = [_scores(), _pairs(), _summary(), _history()]
    text = yaml.safe_dump({"version": 2, "models": models}, sort_keys=False, width=100)
    return f"# Written by python -m ttc_bench.dbt.describe: change that, not this.\n{text}"


def metrics() -> list[str]:
    """Return the variable ``metrics`` of the dbt project."""
    import yaml

    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    return list(project["vars"]["metrics"])


def _scores() -> dict[str, Any]:
    known = {**RUN, **VARIANT, **RESPONSE}
    present = [name for name in known if name not in MAY_BE_NULL]
    return {
        "name": "stg_scores",
        "description": "One row per response, with the metrics that are compared. "
        "Metrics are null for a failed response and where a metric does not apply.",
        "data_tests": [
            _well_formed("stg_scores", present=present, values={"status": ["ok", "failed"]})
        ],
        "columns": [_column(*each) for each in (*known.items(), *_definitions())],
    }


def _pairs() -> dict[str, Any]:
    sides = {"own": "The variant's value", "base": "The baseline's value"}
    return {
        "name": "int_pairs",
        "description": "One row per response of a variant to a job that baseline.greedy was asked "
        "too. A metric that one side lacks is null on both; the reward of a failed one is 0.",
        "data_tests": [_well_formed("int_pairs", present=[*VARIANT])],
        "columns": [_column(*each) for each in VARIANT.items()]
        + [
            _column(f"{side}_{name}", f"{title}. {text}")
            for name, text in _definitions()
            for side, title in sides.items()
        ],
    }


def _summary() -> dict[str, Any]:
    return {
        "name": "bench_summary",
        "description": "One row per model, benchmark, policy and variant. For every metric its "
        "mean and quantiles over the valid responses that have it; null where none does. A bill "
        "that one of them lacks has neither. The reward is over all responses, 0 for a failed one.",
        "data_tests": [_well_formed("bench_summary", key=[*VARIANT], present=[*COUNTS])],
        "columns": [_column(*each) for each in {**VARIANT, **COUNTS}.items()] + _figures(),
    }


def _history() -> dict[str, Any]:
    written = {"recorded_at": "When the rows were written, in UTC."}
    known = {**RUN, **written, **VARIANT, **COUNTS}
    return {
        "name": "history",
        "description": "The rows of bench_summary of all runs. Building again under the same "
        "run_id, model and config replaces the rows of these; all others stay.",
        "data_tests": [_well_formed("history", key=[*RUN, *VARIANT], present=[*written, *COUNTS])],
        "columns": [_column(*each) for each in known.items()] + _figures(),
    }


def _figures() -> list[dict[str, Any]]:
    columns = []
    for name, text in _definitions():
        for suffix, title in STATISTICS.items():
            over = "all" if name == "reward" else "valid"
            columns.append(_column(f"{name}_{suffix}", f"{title} over {over} responses. {text}"))
        nulls = f"Valid responses that do not have it, and are in none of its figures. {text}"
        columns.append(_column(f"{name}_nulls", nulls))
    return columns


def _definitions() -> Iterator[tuple[str, str]]:
    """Yield each metric of the project with its definition and unit in the catalogue."""
    from ttc_bench.metrics.base import all_metrics

    specs = {spec.name: spec for spec in all_metrics()}
    for name in metrics():
        yield name, f"{specs[name].definition} Unit: {specs[name].unit}."


def _column(name: str, text: str) -> dict[str, Any]:
    return {"name": name, "description": text}


def _well_formed(model: str, **rules: Any) -> dict[str, Any]:
    """Return the test of that name, see ``tests/generic/well_formed.sql``."""
    return {"well_formed": {"name": f"{model}_is_well_formed", "arguments": rules}}


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
