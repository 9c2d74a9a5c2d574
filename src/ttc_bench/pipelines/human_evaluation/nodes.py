"""From the database of ratings to strengths, grades and agreement."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import click

from ttc_bench.ratings.params import HumanEvaluationParams
from ttc_bench.ratings.standing import digests_of, standing
from ttc_bench.ratings.store import Ratings
from ttc_bench.ratings.summary import agreement, grades, lines, strengths
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.tracker import Tracker
from ttc_bench.types import DataFrame


def sum_up(
    all_scores: DataFrame,
    stored: Mapping[str, Callable[[], DataFrame]],
    params: HumanEvaluationParams,
    aggregate: AggregateParams,
) -> tuple[DataFrame, DataFrame, DataFrame, DataFrame, str]:
    """Return all ratings, strengths, grades, agreement, and what they say as text.

    What was said of an answer that has changed since is among the ratings, and counts for nothing.

    Args:
        all_scores: Scores of the last run.
        stored: Loads each table of responses, by its name.
        params: Where the ratings are.
        aggregate: How sure to be.

    Raises:
        UserError: If there is no such database.
    """
    ratings, digests = Ratings(params.database), dict[tuple[str, str, str, str], str]()
    for load in stored.values():
        digests |= digests_of(load())
    rated, graded = ratings.rows("pairs"), ratings.rows("gradings")
    pairs, gradings = standing(rated, digests), standing(graded, digests)
    strong = strengths(pairs.counted, params.seed, aggregate.confidence)
    agreed = agreement(pairs.counted, all_scores)
    told = lines(strong, agreed, pairs.counted["rater"].nunique())
    noted = [f"single answers: {line}" for line in gradings.lines()]
    text = "\n".join([*told, *pairs.lines(), *noted])
    click.echo(text)
    return rated, strong, grades(gradings.counted, aggregate.confidence), agreed, f"{text}\n"


def log_human(
    strengths: DataFrame, grades: DataFrame, agreement: DataFrame, table: str, tracker: Tracker
) -> None:
    """Log what people said to the MLflow run, if one is open."""
    from ttc_bench.reporting.mlflow_runs import log_people

    run, tables = tracker.run, {"strengths": strengths, "grades": grades, "agreement": agreement}
    if run is not None:
        send = partial(log_people, tables, table, run)
        tracker.log("ratings", send, None, "kedro run --pipeline=human_evaluation")
