"""Where the report stands in a run."""

from __future__ import annotations

from ttc_bench.pipeline_registry import register_pipelines


def test_report_is_written_before_the_share_of_valid_responses_is_judged() -> None:
    for name in ("__default__", "speculative"):
        pipeline = register_pipelines()[name]
        before = pipeline.to_nodes("check_valid_share").nodes
        assert {"write_report", "log_report", "log_runs"} <= {node.name for node in before}


def test_report_alone_needs_only_what_is_stored() -> None:
    needed = register_pipelines()["report"].inputs()
    assert "all_scores" in needed
    assert not [name for name in needed if name.endswith((".scores", ".responses", "jobs"))]
