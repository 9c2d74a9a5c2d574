"""Wiring of human evaluation."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.pipelines.human_evaluation.nodes import log_human, sum_up


def create_pipeline(**_: object) -> Pipeline:
    """Return ratings of people -> strengths, grades and agreement -> MLflow.

    The database is read and extended by the dashboard, and belongs to no run.
    """
    return Pipeline(
        [
            node(
                sum_up,
                inputs=[
                    "all_scores",
                    "stored_responses",
                    "params:human_evaluation",
                    "params:aggregate",
                ],
                outputs=[
                    "human_ratings",
                    "human_strengths",
                    "human_grades",
                    "human_agreement",
                    "human_table",
                ],
                name="sum_up_ratings",
            ),
            node(
                log_human,
                inputs=[
                    "human_strengths",
                    "human_grades",
                    "human_agreement",
                    "human_table",
                    "tracker",
                ],
                outputs=None,
                name="log_ratings",
            ),
        ],
        tags="human_evaluation",
    )
