"""Where the report stands in a run."""

from __future__ import annotations

from ttc_bench.pipeline_registry import register_pipelines


def test_report_is_written_before_the_share_of_valid_responses_is_judged() -> None:
    for name in ("__default__", "speculative"):
        nodes = [node.name for node in register_pipelines()[name].nodes]
        assert nodes.index("write_report") < nodes.index("check_valid_share")


def test_report_alone_needs_only_what_is_stored() -> None:
    needed = register_pipelines()["report"].inputs()
    assert "all_scores" in needed
    assert not [name for name in needed if name.endswith((".scores", ".responses", "jobs"))]
