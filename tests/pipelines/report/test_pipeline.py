"""Where the report stands in a run."""

from __future__ import annotations

from ttc_bench.pipeline_registry import register_pipelines


def test_report_is_written_before_the_share_of_valid_responses_is_judged() -> None:
    for name in ("__default__", "speculative"):
        pipeline = register_pipelines()[name]
        before = pipeline.to_nodes("reporting.check_valid_share").nodes
        names = {node.name.rpartition(".")[2] for node in before}
        assert {"write_report", "log_report", "log_runs"} <= names


def test_everything_behind_the_scores_folds_into_one_box() -> None:
    pipelines = register_pipelines()
    for name in ("__default__", "speculative", "aggregate", "report"):
        behind = [n for n in pipelines[name].nodes if n.tags & {"aggregate", "report"}]
        assert {str(n.namespace).split(".")[0] for n in behind} == {"reporting"}
        assert not [d for n in behind for d in n.outputs if d.startswith("reporting.")]


def test_report_alone_needs_only_what_is_stored() -> None:
    needed = register_pipelines()["report"].inputs()
    assert "all_scores" in needed
    assert not [name for name in needed if name.endswith((".scores", ".responses", "jobs"))]
