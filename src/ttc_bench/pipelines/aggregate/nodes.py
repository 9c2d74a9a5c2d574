"""From all scores to what they allow one to say."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from shutil import get_terminal_size
from typing import Any

import click

from ttc_bench.benchmarks.scoring.kept import Kept, keeping
from ttc_bench.errors import DataError, UserError
from ttc_bench.measured import SUMMED, as_text, digest, run_of, settings_of, stamp
from ttc_bench.metrics.base import score_columns
from ttc_bench.metrics.stored import as_of_now
from ttc_bench.pipelines.aggregate.settings import united
from ttc_bench.reporting.hosts import of_one_host
from ttc_bench.reporting.pairing import Layout, range_of
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.privacy import apart
from ttc_bench.reporting.scaling import scaling
from ttc_bench.reporting.sheet import NO_TERMINAL, counted_as
from ttc_bench.reporting.tracker import Tracker
from ttc_bench.statistics import compare, mean_intervals, quantile_interval
from ttc_bench.types import BASELINE, GROUP, DataFrame, Job

MOST_TOLD = 4
"""Variants that a message names."""

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}
"""Quantiles of the summary."""


NEEDED = (
    *("job_id", "benchmark", "task", "model", "engine", "policy", "variant", "status"),
    *("replayed", "reward"),
)
"""Columns without which scores say nothing."""

RESCORE = "`kedro run --pipeline=score` scores what is stored anew."


def collect_scores(*scores: DataFrame) -> DataFrame:
    """Return several tables of scores as one."""
    import pandas as pd

    return pd.concat(scores, ignore_index=True)


def collect_known(*scores: DataFrame) -> DataFrame:
    """Return several tables of scores as one, those of another version as far as they go.

    It says what all of them were made with and by which run, see `united`.

    Raises:
        DataError: If one lacks what all scores have.
    """
    known = collect_scores(*as_of_now(scores, score_columns(), NEEDED, "scores", RESCORE))
    return stamp(known, *united(scores))


def collect_stored(stored: dict[str, Callable[[], DataFrame]]) -> DataFrame:
    """Return every stored table of scores as one.

    Raises:
        DataError: If there is none.
    """
    if not stored:
        raise DataError("no scores are stored: make some, e.g. by `kedro run`.")
    return collect_known(*(load() for _, load in sorted(stored.items())))


def name_run(
    collected: DataFrame,
    session_id: str,
    run_settings: Mapping[str, Any],
    params: AggregateParams,
) -> DataFrame:
    """Return scores with ``run_id`` and ``config``, which tell this run from others.

    Scores that one run has measured keep its name, however often they are summed up. Privacy tasks
    are named apart, see `ttc_bench.reporting.privacy`, and times are of one machine, see
    `ttc_bench.reporting.hosts`.

    Args:
        collected: Scores of all variants.
        session_id: Start of the Kedro session, the name of a run that has no other.
        run_settings: All parameters of this command. Scores that say what they were made with take
            from it only what they are summed up with.
        params: Settings of the stage.
    """
    settings, measured_by = settings_of(collected, run_settings), run_of(collected)
    named = of_one_host(apart(collected, params.pool_privacy))
    name = params.run_id or measured_by or session_id
    table = named.assign(run_id=name, config=digest(settings))
    check_same_questions(table)
    return stamp(table, as_text(settings, SUMMED), measured_by)


def check_same_questions(scores: DataFrame) -> None:
    """Raise unless all variants of a model and benchmark answered the same jobs.

    Raises:
        DataError: Naming variants that did and one that did not: they are of several commands.
    """
    for (model, benchmark), part in scores.groupby(["model", "benchmark"], sort=True):
        counts = part["job_id"].groupby(part["policy"] + "." + part["variant"]).nunique()
        n_jobs = part["job_id"].nunique()
        if counts.eq(n_jobs).all():
            continue
        told = [f"{name} {n}" for name, n in counts.items()]
        more = f" and {len(told) - MOST_TOLD} more variants" if len(told) > MOST_TOLD else ""
        raise DataError(
            f"the stored scores of {benchmark}, model {model}, are of different questions,"
            f" {n_jobs} in all, of which {', '.join(told[:MOST_TOLD])}{more} answered: one `kedro"
            " run` of all that is to be compared asks them the same."
        )


def write_sources(
    all_scores: DataFrame, params: AggregateParams, warehouse: Path
) -> tuple[DataFrame, dict[str, int]]:
    """Write what the dbt project reads into the warehouse.

    The scaling curves are a part of that, and are found here: dbt can then begin as early as the
    figures do, which it needs none of.

    Args:
        all_scores: Scores of the run, with ``run_id`` and ``config``.
        params: Settings of the stage.
        warehouse: DuckDB file that holds the history of earlier runs, or will.

    Returns:
        The curves, see `ttc_bench.reporting.scaling.scaling`, and the rows of each table.

    Raises:
        UserError: If the warehouse cannot be opened.
    """
    from ttc_bench import dbt

    tables = {"scores": all_scores, "scaling_curves": scaling(all_scores, params)}
    dbt.write_sources(tables, warehouse)
    return tables["scaling_curves"], {name: len(table) for name, table in tables.items()}


def build_marts(
    warehouse_sources: dict[str, int],  # noqa: ARG001
    warehouse: Path,
) -> dict[str, DataFrame]:
    """Return the marts of the dbt project by name, and keep them in the warehouse.

    Args:
        warehouse_sources: Taken only to come after `write_sources`.
        warehouse: DuckDB file that holds the sources.

    Raises:
        DataError: If a dbt test fails; the message names it.
    """
    from ttc_bench.dbt import ahead, build

    return build(warehouse, ahead.run_build)


def confidence(all_scores: DataFrame, params: AggregateParams) -> DataFrame:
    """Return every figure of the summary with its interval, and differences to the baseline.

    One row per `GROUP` and metric of the summary that the variant has: ``mean, mean_low,
    mean_high`` (`ttc_bench.statistics.intervals`) over the responses that have the metric, and over
    all for the reward, which is 0 for a failed one; ``difference, difference_low,
    difference_high, n_pairs`` against the baseline as in
    `ttc_bench.reporting.comparisons.comparisons`, whose intervals hold at once for all variants
    (null for the baseline and without one); and ``p50_low, p50_high`` and so on, the intervals of
    the summary's quantiles by ranks, null where there are too few responses to bound one.
    """
    import pandas as pd

    from ttc_bench.dbt.describe import metrics

    names = [name for name in metrics() if name in all_scores.columns]
    rows: list[tuple[Any, ...]] = []
    for (model, benchmark), part in all_scores.groupby(["model", "benchmark"], sort=True):
        layout = Layout(part, params.min_clusters)
        figures = [row for name in names for row in _figures(layout, name, params)]
        # By variant first, its metrics in the order of the summary.
        rows += [(model, benchmark, *row) for row in sorted(figures, key=lambda row: row[:2])]
    columns = [*GROUP, "metric", "mean", "mean_low", "mean_high", "n_pairs"]
    columns += ["difference", "difference_low", "difference_high"]
    columns += [f"{name}_{end}" for name in QUANTILES for end in ("low", "high")]
    numbers = [name for name in columns[5:] if name != "n_pairs"]
    return pd.DataFrame(rows, columns=columns).astype(dict.fromkeys(numbers, "float64"))


def _figures(layout: Layout, metric: str, params: AggregateParams) -> Iterator[tuple[Any, ...]]:
    """Yield policy, variant, metric and its figures, of every variant that has the metric."""
    import numpy as np

    values = layout.values(metric)
    names = [name for name, own in values.items() if not np.isnan(own).all()]
    if not names:
        return
    low, high = range_of(metric)
    table = np.column_stack([values[name] for name in names])
    means = mean_intervals(table, layout.codes, params.confidence, (low, high))
    base = values.get(BASELINE, np.full(len(table), np.nan))[:, None]
    rivals = np.where([name == BASELINE for name in names], np.nan, table)
    versus = compare(rivals, np.broadcast_to(base, table.shape), layout.codes,
                     params.comparing(), high - low)  # fmt: skip
    for column, (name, pair) in enumerate(zip(names, versus, strict=True)):
        mean = [_or_none(end[column]) for end in means]
        difference = (pair.n_pairs, pair.difference, pair.low, pair.high)
        ranks = _quantiles(table[:, column], layout.codes, params.confidence)
        yield (*name, metric, *mean, *difference, *ranks)


def _quantiles(values: Any, clusters: Any, confidence: float) -> list[float | None]:
    """Return the ends of the intervals of `QUANTILES`."""
    intervals = (quantile_interval(values, p, clusters, confidence) for p in QUANTILES.values())
    return [_or_none(end) for interval in intervals for end in interval]


def _or_none(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


def find_floors(
    known_jobs: list[Job], all_scores: DataFrame, encoded: Kept | None = None
) -> DataFrame:
    """Return what answering without looking scores on the jobs of the run that are known."""
    from ttc_bench.reporting.floors import floors

    names = dict(zip(all_scores["job_id"], all_scores["benchmark"], strict=True))
    with keeping(encoded):
        return floors([job for job in known_jobs if job.id in names], names)


def show(
    bench_summary: DataFrame,
    intervals: DataFrame,
    speeds: DataFrame,
    floors: DataFrame,
    verdicts: DataFrame,
    decision: DataFrame,
    all_scores: DataFrame,
    params: AggregateParams,
) -> str:
    """Print the table of the run as wide as the terminal, and return it with all its columns."""
    from ttc_bench.reporting.cautions import cautions
    from ttc_bench.reporting.table import render

    tables = (bench_summary, intervals, speeds, floors, verdicts, decision, cautions(all_scores))
    # Not print: where a terminal has no letter for a model's name, all would end there.
    click.echo(render(*tables, order=params.order, width=get_terminal_size(NO_TERMINAL).columns))
    return render(*tables, order=params.order)


def log_runs(
    all_scores: DataFrame,
    bench_summary: DataFrame,
    policy_vs_baseline: DataFrame,
    intervals: DataFrame,
    verdicts: DataFrame,
    decision: DataFrame,
    summary_table: str,
    run_settings: dict[str, Any],
    logged_files: dict[str, str],
    tracker: Tracker,
) -> dict[str, str]:
    """Write one nested MLflow run per policy, variant and benchmark; return their ids."""
    from ttc_bench.pipelines.generate.params import at_points
    from ttc_bench.reporting.mlflow_runs import Figures, log_children

    figures = Figures(
        all_scores, bench_summary, policy_vs_baseline, intervals, verdicts, decision, logged_files
    )
    settings = settings_of(all_scores, run_settings)

    def send() -> dict[str, str]:
        return log_children(figures, at_points(settings), summary_table, tracker.run, settings)

    return tracker.log("figures of the variants", send, {})


def log_traces(
    all_scores: DataFrame,
    known_jobs: list[Job],
    known_responses: dict[str, Callable[[], DataFrame]],
    mlflow_runs: dict[str, str],
    tracker: Tracker,
) -> dict[str, str]:
    """Log the responses that tell most as MLflow traces; return what each is about."""
    from ttc_bench.reporting.mlflow_traces import log_picks, pick

    def send() -> dict[str, str]:
        return log_picks(pick(all_scores), known_jobs, known_responses, mlflow_runs)

    return tracker.log("traces", send, {})


def check_valid_share(
    bench_summary: DataFrame,
    min_valid_share: float,
    *stored: object,  # noqa: ARG001
) -> None:
    """End the run non-zero if too many responses failed; all that it has is stored by now.

    Args:
        bench_summary: The summary.
        min_valid_share: Least share of valid responses of every variant and benchmark.
        stored: Taken only to come after everything that a run stores.

    Raises:
        UserError: Naming every variant below the share, and why its responses failed.
    """
    from ttc_bench.reporting.row_dicts import row_dicts

    lines = []
    for row in row_dicts(bench_summary):
        share = row["n_valid"] / row["n"]
        if share < min_valid_share:
            lines.append(
                f"{row['policy']}.{row['variant']} on {row['benchmark']}: {row['n_failed']} of"
                f" {counted_as(row['n'], 'response')} failed ({row['failures']}); the parameter"
                f" min_valid_share asks for {min_valid_share:.0%} valid ones."
            )
    if lines:
        raise UserError("\n".join(lines))
