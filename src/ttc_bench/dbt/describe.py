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

GROUP = "concat_ws('/', model, benchmark, policy, variant)"

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

    models = [_with_nulls_tested(m) for m in (_scores(), _pairs(), _summary(), _history())]
    text = yaml.safe_dump({"version": 2, "models": models}, sort_keys=False, width=100)
    return f"# Written by python -m ttc_bench.dbt.describe: change that, not this.\n{text}"


def metrics() -> list[str]:
    """Return the variable ``metrics`` of the dbt project."""
    import yaml

    project = yaml.safe_load((PROJECT / "dbt_project.yml").read_text(encoding="utf-8"))
    return list(project["vars"]["metrics"])


def _scores() -> dict[str, Any]:
    known = {**RUN, **VARIANT, **RESPONSE}
    columns = [_column(name, text, name not in MAY_BE_NULL) for name, text in known.items()]
    status = next(column for column in columns if column["name"] == "status")
    status["data_tests"].append({"accepted_values": {"arguments": {"values": ["ok", "failed"]}}})
    return {
        "name": "stg_scores",
        "description": "One row per response, with the metrics that are compared. "
        "Metrics are null for a failed response and where a metric does not apply.",
        "columns": columns + [_column(name, text) for name, text in _definitions()],
    }


def _pairs() -> dict[str, Any]:
    sides = {"own": "The variant's value", "base": "The baseline's value"}
    return {
        "name": "int_pairs",
        "description": "One row per response of a variant to a job that baseline.greedy was asked "
        "too. A metric that one side lacks is null on both; the reward of a failed one is 0.",
        "columns": [_column(name, text, True) for name, text in VARIANT.items()]
        + [
            _column(f"{side}_{name}", f"{title}. {text}")
            for name, text in _definitions()
            for side, title in sides.items()
        ],
    }


def _summary() -> dict[str, Any]:
    known = {**VARIANT, **COUNTS}
    return {
        "name": "bench_summary",
        "description": "One row per model, benchmark, policy and variant. For every metric its "
        "mean and quantiles over the valid responses that have it; null where none does. A bill "
        "that one of them lacks has neither. The reward is over all responses, 0 for a failed one.",
        "data_tests": [_unique(GROUP)],
        "columns": [_column(name, text, True) for name, text in known.items()] + _figures(),
    }


def _history() -> dict[str, Any]:
    known = {**RUN, "recorded_at": "When the rows were written, in UTC.", **VARIANT, **COUNTS}
    return {
        "name": "history",
        "description": "The rows of bench_summary of all runs. Building again under the same "
        "run_id, model and config replaces the rows of these; all others stay.",
        "data_tests": [_unique(f"concat_ws('/', run_id, config, {GROUP})")],
        "columns": [_column(name, text, True) for name, text in known.items()] + _figures(),
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


def _column(name: str, text: str, required: bool = False) -> dict[str, Any]:
    column: dict[str, Any] = {"name": name, "description": text}
    return {**column, "data_tests": ["not_null"]} if required else column


def _with_nulls_tested(model: dict[str, Any]) -> dict[str, Any]:
    """Return a model whose columns are tested for nulls by one query, not by one each."""
    names, columns = [], []
    for column in model["columns"]:
        tests = list(column.get("data_tests", ()))
        if "not_null" in tests:
            tests.remove("not_null")
            names.append(column["name"])
        rest = {name: value for name, value in column.items() if name != "data_tests"}
        columns.append({**rest, "data_tests": tests} if tests else rest)
    every = {"not_null": {"arguments": {"columns": names}}}
    return {**model, "data_tests": [*model.get("data_tests", ()), every], "columns": columns}


def _unique(expression: str) -> dict[str, Any]:
    return {"unique": {"arguments": {"column_name": expression}}}


if __name__ == "__main__":
    FILE.write_text(document(), encoding="utf-8")
