"""Wiring of stage 3 on its own: score again what is there, without a call to a model."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.pipelines.score.nodes import rescore


def create_pipeline(**_: object) -> Pipeline:
    """Return the rescoring of every stored responses table.

    Within a policy's pipeline each variant is scored by a node of its own, see
    `ttc_bench.pipelines.generate.pipeline.policy_pipeline`.
    """
    return Pipeline(
        [
            node(
                rescore,
                inputs=[
                    "stored_responses",
                    "jobs",
                    "params:score",
                    "measured_settings",
                    "workers",
                    "encoded",
                ],
                outputs="rescored",
                name="rescore",
                tags="score",
            )
        ]
    )
