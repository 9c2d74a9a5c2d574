"""Which parameters hold for what is run."""

from __future__ import annotations

import pytest
from kedro.pipeline import Pipeline

from ttc_bench.hooks.parameters import used_by
from ttc_bench.pipeline_registry import register_pipelines

NAMES = ("limit", "seed", "score", "ray", "aggregate", "judge")
WHOLE = register_pipelines()["kv_cache"]
SCORING = [node.name for node in WHOLE.nodes if node.name.endswith(".score")]


@pytest.mark.parametrize(
    ("pipeline", "used"),
    [
        (WHOLE, NAMES),
        (register_pipelines()["generate"], NAMES),
        (register_pipelines()["estimate"], NAMES),
        (WHOLE.filter(tags=["generate"]), NAMES),
        (register_pipelines()["score"], NAMES[2:]),
        (register_pipelines()["judge"], NAMES),
        (register_pipelines()["ingest_benchmarks"] + register_pipelines()["score"], NAMES),
        (WHOLE.filter(tags=["score", "aggregate", "report"]), NAMES[2:]),
        (WHOLE.filter(from_nodes=SCORING), NAMES[2:]),
        (WHOLE.filter(tags=["aggregate"]), NAMES[4:]),
        *((register_pipelines()[name], NAMES[4:]) for name in ("aggregate", "report", "compare")),
        *((register_pipelines()[name], NAMES[4:]) for name in ("track", "gate")),
    ],
)
def test_what_is_found_was_measured_by_other_parameters(
    pipeline: Pipeline, used: tuple[str, ...]
) -> None:
    assert tuple(used_by(pipeline, NAMES)) == used
