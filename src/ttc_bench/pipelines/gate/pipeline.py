"""Wiring of the gate."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.pipelines.gate.nodes import close, rule_on


def create_pipeline(**_: object) -> Pipeline:
    """Return scores of the last run -> verdicts -> exit status."""
    outputs = ["gate_verdicts", "gate_junit", "gate_table"]
    return Pipeline(
        [
            node(
                rule_on,
                inputs=[
                    "all_scores",
                    "gate_policy",
                    "params:gate",
                    "params:aggregate",
                    "kept_settings",
                    "kept_scores",
                    "params:compare",
                ],
                outputs=outputs,
                name="rule_on_limits",
            ),
            node(close, inputs=outputs, outputs=None, name="close_gate"),
        ],
        tags="gate",
    )
