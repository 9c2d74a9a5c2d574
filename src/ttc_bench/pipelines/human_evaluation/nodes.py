"""From the database of ratings to strengths, grades and agreement."""

from __future__ import annotations

from functools import partial

import click

from ttc_bench.ratings.params import HumanEvaluationParams
from ttc_bench.ratings.store import Ratings
from ttc_bench.ratings.summary import agreement, grades, lines, strengths
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.tracker import Tracker
from ttc_bench.types import DataFrame


def sum_up(
    all_scores: DataFrame, params: HumanEvaluationParams, aggregate: AggregateParams
) -> tuple[DataFrame, DataFrame, DataFrame, DataFrame, str]:
    """Return all ratings, strengths, grades, agreement, and what they say as text.

    Raises:
        UserError: If there is no such database.
    """
    ratings = Ratings(params.database)
    rated = ratings.rows("pairs")
    strong = strengths(rated, params.seed, aggregate.confidence)
    agreed = agreement(rated, all_scores)
    text = "\n".join(lines(strong, agreed, rated["rater"].nunique()))
    click.echo(text)
    graded = grades(ratings.rows("gradings"), aggregate.confidence)
    return rated, strong, graded, agreed, f"{text}\n"


def log_human(
    strengths: DataFrame, grades: DataFrame, agreement: DataFrame, table: str, tracker: Tracker
) -> None:
    """Log what people said to the MLflow run, if one is open."""
    from ttc_bench.reporting.mlflow_runs import log_people

    run, tables = tracker.run, {"strengths": strengths, "grades": grades, "agreement": agreement}
    if run is not None:
        send = partial(log_people, tables, table, run)
        tracker.log("ratings", send, None, "kedro run --pipeline=human_evaluation")
