"""From the database of ratings to strengths, grades and agreement."""

from __future__ import annotations

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


def log_human(strengths: DataFrame, agreement: DataFrame, table: str, tracker: Tracker) -> None:
    """Log what people said to the MLflow run, if one is open."""
    import mlflow

    from ttc_bench.reporting.row_dicts import row_dicts

    def send() -> None:
        for row in row_dicts(strengths):
            name, value = f"human/{row['variant']}/win_rate", float(row["win_rate"])
            mlflow.log_metric(name, value, run_id=tracker.run)
        text = agreement.to_csv(index=False)
        mlflow.log_text(text, "human/agreement.csv", run_id=tracker.run)
        mlflow.log_text(table, "human/summary.txt", run_id=tracker.run)

    if tracker.run is not None:
        tracker.log("ratings", send, None, "kedro run --pipeline=human_evaluation")
