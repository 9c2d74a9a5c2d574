"""Wiring of the judge: stored responses are judged, scored again and summed up."""

from __future__ import annotations

from kedro.pipeline import Pipeline, node

from ttc_bench.pipelines.judge.nodes import judge_responses, score_judged
from ttc_bench.reporting.judge_summary import show_judgements, summarise


def create_pipeline(**_: object) -> Pipeline:
    """Return responses -> judgements -> scores with them -> summary.

    No other pipeline holds these nodes: a judge is called only if it is asked for by name.
    """
    return Pipeline(
        [
            node(
                judge_responses,
                inputs=["stored_responses", "jobs", "judge_engine", "journal", "params:judge"],
                outputs="judgements",
                name="judge",
            ),
            node(
                score_judged,
                inputs=[
                    "stored_responses",
                    "judgements",
                    "jobs",
                    "params:score",
                    "run_settings",
                ],
                outputs="rescored",
                name="score_judged",
            ),
            node(
                summarise,
                inputs=["judgements", "rescored", "stored_responses", "params:judge"],
                outputs="judge_summary",
                name="summarise_judgements",
            ),
            node(
                show_judgements,
                inputs="judge_summary",
                outputs="judge_table",
                name="show_judgements",
            ),
        ],
        tags="judge",
    )
