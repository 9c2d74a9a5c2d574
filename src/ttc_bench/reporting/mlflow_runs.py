"""MLflow: one nested run per policy, variant and benchmark under the run of the pipeline.

Names are chosen for the views of MLflow, which sort by name: the comparison of runs opens with the
first parameters that differ and the first metric, and charts are grouped by what stands before the
slash. So ``policy``, ``variant`` and the variant's settings (``variant.n``) follow each other, and
the key figures come first (``key/reward``), then rewards, means (``summary/``) and ``usage/``. All
other figures, some hundreds of a variant, are rows of a table (`FIGURES`): nobody would find one
among their names.
"""

from __future__ import annotations

import json
import math
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from ttc_bench.commit import commit
from ttc_bench.errors import UserError
from ttc_bench.measured import NOT_MEASURED
from ttc_bench.params import flat
from ttc_bench.reporting.candidates import cost_words
from ttc_bench.reporting.row_dicts import Row, full_name, row_dicts
from ttc_bench.reporting.sheet import csv_text, known
from ttc_bench.reporting.tracker import name_in_mlflow
from ttc_bench.types import GROUP, DataFrame

KEY = "ttc_bench.key"
"""Tag that identifies a nested run within its parent, so that writing twice changes nothing."""

PARENT = "mlflow.parentRunId"

COMMIT = "git_commit"
"""Tag of the commit of the code, changed since or not."""

NOTE = "mlflow.note.content"
"""Tag that MLflow shows as the description of a run."""

READING = (
    "`key/speed` and `key/ttft_ratio` are the figures of the table and the decision: the middle of"
    " the ratios to plain decoding, timed beside it question by question (Hodges and Lehmann's"
    " estimate). `summary/speed_mean` and `summary/ttft_ratio_mean` are the plain means of the same"
    " ratios, which a few outliers move. All figures, with their intervals, are in `figures.csv`."
)
"""What tells figures of like names apart, in Markdown."""

KEY_FIGURES = {
    "speed": ("speed", 1.0),
    "ttft_ratio": ("ttft_ratio", 1.0),
    "latency_s_mean": ("latency_s", 1.0),
    "total_tokens_mean": ("tokens", 1.0),
    "flops_mean": ("gflop", 1e-9),
    "usd_mean": ("usd", 1.0),
}
"""Columns of the verdicts that are key figures of a variant, by name and factor."""

SECTION = "key"
"""Charts of a nested run's key figures come first: MLflow goes by the alphabet."""

BEST_FIRST = f"{SECTION}/reward"
"""Metric by which nested runs are listed, the highest first."""

LONG = 250
"""Letters of a setting from which on MLflow's stores may have cut it off."""

SCORES = "scores.parquet"
"""Artifact of a nested run: its responses with all metrics."""

FIGURES = "figures.csv"
"""Artifact of a nested run: all its figures, those that are metrics of MLflow among them."""


@dataclass(frozen=True)
class Figures:
    """The tables of a run that go to MLflow.

    Attributes:
        scores: One row per response.
        summary: One row per model, benchmark, policy and variant.
        versus: Paired comparisons with the baseline.
        intervals: Means and differences with their intervals.
        verdicts: Each variant against the baseline, in words and ratios.
        decision: The variant that is named for each aim.
        files: Where the ``jobs`` and ``all_scores`` of the run lie.
    """

    scores: DataFrame
    summary: DataFrame
    versus: DataFrame
    intervals: DataFrame
    verdicts: DataFrame
    decision: DataFrame
    files: Mapping[str, str]

    def of(self, group: Mapping[str, Any]) -> DataFrame:
        """Return the scores of one group."""
        return _where(self.scores, group)


def loggable(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings as MLflow takes them, each under its own name.

    The recipe of the reference models is no setting of a run, and its stages are too long.
    """
    return {name_in_mlflow(k): v for k, v in flat(settings).items() if "train_reference" not in k}


def changed(settings: Mapping[str, Any], logged: Mapping[str, str]) -> str | None:
    """Return the first setting of which a run in MLflow has another value, if there is one.

    Of what is too long MLflow keeps the beginning.
    """
    for name, value in settings.items():
        there, text = logged.get(name), str(value)
        if there is None or text == there or (len(there) >= LONG and text.startswith(there)):
            continue
        return name
    return None


def log_children(
    figures: Figures,
    parameters: Mapping[str, Any],
    table: str,
    run: str | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, str]:
    """Write or refresh a nested run per group of the summary; return run ids by key.

    Args:
        figures: The tables of the run.
        parameters: All parameters, those of a policy by the labels of its variants: at each point
            of a sweep.
        table: The printed table.
        run: Id of the run they are nested in; ``None`` is the open one, or one of its own.
        settings: All parameters as they were set: the run they are nested in gets those that it
            does not have.
    """
    import mlflow

    ids = {}
    with _parent_run(run) as parent:
        _log_missing(parent, settings)
        mlflow.log_text(table, "summary.txt")
        key_figures = {
            name_in_mlflow(f"{name}/{row['benchmark']}/{full_name(row)}"): value
            for row, name, value in _key_figures(figures)
        }
        _log_batch({COMMIT: commit(), **_named(figures.decision)}, {}, key_figures)
        existing = _existing(parent)
        for benchmark, scores in figures.scores.groupby("benchmark", sort=True):
            mlflow.log_input(_questions(str(benchmark), scores, figures.files), context="benchmark")
        for row in row_dicts(figures.summary):
            group = {name: row[name] for name in GROUP}
            key = "/".join(str(value) for value in group.values())
            with mlflow.start_run(
                run_id=existing.get(key),
                run_name=f"{group['policy']}.{group['variant']} {group['benchmark']}",
                nested=True,
                log_system_metrics=False,
            ) as own:
                # A description may have been edited since.
                note = {} if key in existing else {NOTE: READING}
                _log(key, group, row, figures, parameters, note)
                ids[key] = own.info.run_id
    return ids


def log_parent(
    tables: Mapping[str, DataFrame],
    stills: Mapping[str, bytes],
    interactive: Mapping[str, Any],
    report: str,
    run: str | None = None,
    settings: Mapping[str, Any] = MappingProxyType({}),
) -> dict[str, str]:
    """Log what speaks of all variants to the run of the pipeline; return its id.

    Plots as PNG, all of them as one interactive page, tables as CSV, and the report.

    Args:
        tables: Tables by name.
        stills: PNG files by the name of the plot.
        interactive: Plotly figures by the name of the plot.
        report: The report as HTML.
        run: See `log_children`.
        settings: See `log_children`.
    """
    import mlflow

    with _parent_run(run) as parent, tempfile.TemporaryDirectory() as folder:
        _log_missing(parent, settings)
        place = Path(folder)
        (place / "plots").mkdir()
        (place / "tables").mkdir()
        (place / "report.html").write_text(report, encoding="utf-8")
        for name, png in stills.items():
            (place / "plots" / f"{name}.png").write_bytes(png)
        (place / "plots.html").write_text(_page(interactive), encoding="utf-8")
        for name, table in tables.items():
            (place / "tables" / f"{name}.csv").write_text(csv_text(table), encoding="utf-8")
        mlflow.log_artifacts(folder)
    return {"parent": parent}


PEOPLE = {
    "strengths": ("win_rate", "strength", "strength_low", "strength_high"),
    "grades": ("mean", "low", "high"),
    "agreement": ("value", "low", "high"),
}
"""Figures of the tables of what people said; their columns of text say what each is of."""


def log_people(tables: Mapping[str, DataFrame], text: str, run: str) -> None:
    """Log what people said to a run: each known figure as a metric, tables and summary as files.

    Args:
        tables: The tables of `PEOPLE`, by name.
        text: The summary.
        run: Id of the run.
    """
    import mlflow

    mlflow.log_text(text, "human/summary.txt", run_id=run)
    metrics = {}
    for name, figures in PEOPLE.items():
        for row in row_dicts(tables[name]):
            named = [value for value in row.values() if isinstance(value, str)]
            for figure in figures:
                if known(row[figure]):
                    label = "/".join(("human", *named, figure))
                    metrics[name_in_mlflow(label)] = float(row[figure])
        mlflow.log_text(csv_text(tables[name]), f"human/{name}.csv", run_id=run)
    mlflow.log_metrics(metrics, run_id=run)


def _page(figures: Mapping[str, Any]) -> str:
    """Return interactive figures as one page that holds Plotly's code, once for all of them.

    MLflow shows a page without the files beside it, and there may be no network.
    """
    parts = [
        figure.to_html(full_html=False, include_plotlyjs=number == 0, div_id=name)
        for number, (name, figure) in enumerate(figures.items())
    ]
    head = '<!doctype html><html lang="en"><meta charset="utf-8"><title>Plots</title>'
    return "\n".join([head, *parts, "</html>"])


@contextmanager
def _parent_run(run: str | None) -> Iterator[str]:
    """Let what is logged go to a run, which threads other than the main one have to open."""
    import mlflow

    active = mlflow.active_run()
    if active is not None and run in (None, active.info.run_id):
        yield active.info.run_id
        return
    name = "aggregate" if run is None else None
    with mlflow.start_run(
        run_id=run, run_name=name, nested=active is not None, log_system_metrics=False
    ) as opened:
        yield opened.info.run_id


def _log_missing(run: str, settings: Mapping[str, Any]) -> None:
    """Log the settings that a run does not have: a command that measures nothing logs none of now.

    What was measured before it was measured with settings of its own, see `ttc_bench.measured`.

    Raises:
        UserError: If the run has other ones: MLflow changes none, and they would be of two runs.
    """
    import mlflow

    logged = mlflow.MlflowClient().get_run(run).data.params
    given = loggable(settings)
    measured = loggable({k: value for k, value in settings.items() if k not in NOT_MEASURED})
    if name := changed(measured, logged):
        raise UserError(
            f"the run of MLflow that this command goes on in has {name} {logged[name]}, and the"
            f" scores were made with {measured[name]}: give this one another id."
        )
    if missing := {name: value for name, value in given.items() if name not in logged}:
        mlflow.log_params(missing, run_id=run)


def _existing(parent: str) -> dict[str, str]:
    """Return the nested runs that an earlier call wrote under ``parent``, by key."""
    import mlflow

    client = mlflow.MlflowClient()
    experiment = client.get_run(parent).info.experiment_id
    asked, token = f"tags.`{PARENT}` = '{parent}'", None
    runs: dict[str, str] = {}
    while True:
        page = client.search_runs([experiment], asked, page_token=token)
        runs |= {run.data.tags[KEY]: run.info.run_id for run in page if KEY in run.data.tags}
        if not (token := page.token):
            return runs


def _log(
    key: str,
    group: Mapping[str, Any],
    row: Mapping[str, Any],
    figures: Figures,
    parameters: Mapping[str, Any],
    note: Mapping[str, str],
) -> None:
    import mlflow

    scores = figures.of(group)
    verdicts = [row for row in row_dicts(_where(figures.verdicts, group)) if known(row["verdict"])]
    words = _words(verdicts[0]) if verdicts else {}
    engine = str(scores["engine"].iloc[0])
    tags = {KEY: key, **group, **words, "engine": engine, COMMIT: commit(), **note}
    metrics = _metrics(row, figures, group)
    shown = {name: value for name, value in metrics.items() if _is_shown(name)}
    _log_batch(tags, _settings(group, parameters), shown)
    mlflow.log_input(
        _questions(str(group["benchmark"]), scores, figures.files), context="benchmark"
    )
    mlflow.log_input(_responses(key, scores, figures.files), context="scores")
    with tempfile.TemporaryDirectory() as folder:
        scores.to_parquet(Path(folder) / SCORES)
        lines = (f"{name},{value!r}\n" for name, value in sorted(metrics.items()))
        (Path(folder) / FIGURES).write_text("".join(["figure,value\n", *lines]), encoding="utf-8")
        mlflow.log_artifacts(folder)


def _words(verdict: Row) -> dict[str, str]:
    """Return what is said of a variant's answers and of each of its costs, as tags."""
    costs = {f"verdict/{words}": word for words, word in cost_words(verdict).items()}
    return {"verdict": verdict["verdict"], **costs}


def _log_batch(
    tags: Mapping[str, Any], settings: Mapping[str, Any], metrics: Mapping[str, float]
) -> None:
    """Log to the open run; one request takes it all."""
    import mlflow
    from mlflow.entities import Metric, Param, RunTag

    run = mlflow.active_run()
    assert run is not None
    now_ms = int(time.time() * 1000)
    mlflow.MlflowClient().log_batch(
        run.info.run_id,
        metrics=[Metric(name, value, now_ms, 0) for name, value in metrics.items()],
        params=[Param(name, str(value)) for name, value in settings.items()],
        tags=[RunTag(name, str(value)) for name, value in tags.items()],
    )


def _named(decision: DataFrame) -> dict[str, str]:
    """Return the variant that is named for each aim, as tags of the run of the pipeline."""
    rows = [row for row in row_dicts(decision) if known(row["policy"])]
    return {
        name_in_mlflow(
            f"decision/{row['benchmark']}/{row['aim']}"
        ): f"{full_name(row)}: {row['reason']}"
        for row in rows
    }


def _key_figures(
    figures: Figures, group: Mapping[str, Any] = MappingProxyType({})
) -> Iterator[tuple[Row, str, float]]:
    """Yield reward, speed and costs of every variant of a group, with its row and their names."""
    means = _where(figures.intervals, {"metric": "reward"})
    tables = ((means, {"mean": ("reward", 1.0)}), (figures.verdicts, KEY_FIGURES))
    for table, columns in tables:
        for row in row_dicts(_where(table, group)):
            for column, (name, factor) in columns.items():
                if known(row[column]):
                    yield row, name, float(row[column]) * factor


def _questions(benchmark: str, scores: DataFrame, files: Mapping[str, str]) -> Any:
    """Return the questions of a benchmark as an MLflow dataset: equal ones have one digest."""
    from mlflow.data import pandas_dataset

    columns = [n for n in ("job_id", "task", "difficulty", "question") if n in scores.columns]
    asked = scores[columns].drop_duplicates("job_id").sort_values("job_id", ignore_index=True)
    return pandas_dataset.from_pandas(_plain(asked), source=_local(files["jobs"]), name=benchmark)


def _responses(key: str, scores: DataFrame, files: Mapping[str, str]) -> Any:
    """Return the scores of one group as an MLflow dataset."""
    from mlflow.data import pandas_dataset

    columns = [n for n in ("job_id", "status", "reward", "latency_s") if n in scores.columns]
    return pandas_dataset.from_pandas(
        _plain(scores[columns].reset_index(drop=True)),
        source=_local(files["all_scores"]),
        name=key,
        targets="reward",
    )


def _local(path: str) -> Any:
    """Return a file of the project as MLflow's source; a plain path it would have to guess at."""
    from mlflow.data.dataset_source_registry import get_dataset_source_from_json

    return get_dataset_source_from_json(json.dumps({"uri": path}), "local")


def _plain(table: DataFrame) -> DataFrame:
    """Return a table of text and floats: MLflow's schemas know no other missing value."""
    import pandas as pd

    numeric = {name: pd.api.types.is_numeric_dtype(table[name]) for name in table}
    return table.astype({name: "float64" if yes else "object" for name, yes in numeric.items()})


def _metrics(
    row: Mapping[str, Any], figures: Figures, group: Mapping[str, Any]
) -> dict[str, float]:
    """Return the figures of a group by the name under which MLflow shows them."""
    values = {name: value for name, value in row.items() if name not in group}
    for line in row_dicts(_where(figures.intervals, group)):
        metric = line["metric"]
        values[f"{metric}_mean"] = line["mean"]
        for name, value in line.items():
            if name.endswith(("_low", "_high")) or name == "difference":
                values[f"{metric}_{name}"] = value
    for line in row_dicts(_where(figures.verdicts, group)):
        ratios = {n: v for n, v in line.items() if "_ratio" in n or n.startswith("speed")}
        values |= {n: float(v) for n, v in ratios.items() if known(v)}
    for line in row_dicts(_where(figures.versus, group)):
        values[f"{line['metric']}_median_ratio"] = line["median_ratio"]
    named = {_shown(name): float(value) for name, value in values.items() if _is_figure(value)}
    key_figures = {f"{SECTION}/{name}": value for _, name, value in _key_figures(figures, group)}
    return key_figures | named


USAGE = ("flops", "latency_s", "total_tokens", "usd")
"""Metrics of which MLflow shows a section of their own."""


def _shown(name: str) -> str:
    if name.startswith("reward_"):
        return name
    is_usage = any(name.startswith(f"{metric}_") for metric in USAGE)
    return f"{'usage' if is_usage else 'summary'}/{name}"


def _is_shown(name: str) -> bool:
    """Return whether a figure is a metric of MLflow, not only a row of `FIGURES`."""
    return not name.startswith("summary/") or name.endswith("_mean")


def _is_figure(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _settings(group: Mapping[str, Any], parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the run's settings and the variant's own, flat, as MLflow wants parameters."""
    # Stored scores of another run may be of a point that these settings do not have.
    own = (parameters.get(str(group["policy"])) or {}).get(str(group["variant"])) or {}
    common = {key: parameters.get(key) for key in ("limit", "seed", "prompting", "model")}
    named = {**group, **flat(common), **flat(own, "variant.")}
    return {name_in_mlflow(name): value for name, value in named.items()}


def _where(frame: DataFrame, group: Mapping[str, Any]) -> DataFrame:
    mask = None
    for name, value in group.items():
        same = frame[name] == value
        mask = same if mask is None else mask & same
    return frame if mask is None else frame[mask]
