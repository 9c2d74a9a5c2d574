"""Score responses: a pure function of responses, jobs and parameters."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from ttc_bench.bars import progress_bar
from ttc_bench.benchmarks.base import question_of
from ttc_bench.benchmarks.scoring.encoder import threads, using_encoder
from ttc_bench.benchmarks.scoring.kept import Kept, keeping
from ttc_bench.engines.base import Engine
from ttc_bench.errors import DataError
from ttc_bench.measured import stamp_scored
from ttc_bench.metrics.base import (
    FLAGS,
    IDENTITY,
    METRICS,
    NOT_REPORTED,
    Columns,
    Family,
    Null,
    ScoreParams,
    ScoringBatch,
    Value,
    all_metrics,
    all_notes,
    answer_digest,
)
from ttc_bench.metrics.benchmark import REFUSAL_JUDGED
from ttc_bench.metrics.resources import TURN
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.responses import responses_of_now
from ttc_bench.types import DataFrame, Job
from ttc_bench.workers.pool import Pool

logger = logging.getLogger(__name__)

FIRST = "benchmark"
"""The family that computes ``reward``: always on, and before all others."""


def score_responses(
    responses: DataFrame,
    jobs: Sequence[Job],
    params: ScoreParams,
    workers: Pool | None = None,
    encoded: Kept | None = None,
) -> DataFrame:
    """Return one row of metrics per response, in the order of the responses.

    The columns are always the same, whatever families are on: `IDENTITY`, `FLAGS`, ``notes``
    (a JSON list, see `ttc_bench.policies.responses.Response`), ``host``, ``device``,
    ``encoder``, ``bert_encoder``, ``reward_rule``, ``question`` (see `question_of`), ``answer``
    (a digest of the text, null without one), every metric of the catalogue, every note
    (``samples``), and ``null_reasons``: a JSON object that says for each reason which metrics are
    null by it. A failed response has nothing but nulls.

    Args:
        responses: Table of `ttc_bench.policies.responses.response_schema`.
        jobs: The jobs that were answered, in any order; more of them do no harm.
        params: Settings of the stage.
        workers: Compute the families that encode, with models of their own.
        encoded: What the embedded encoder made of texts in earlier runs, and in this one.

    Raises:
        DataError: If a response belongs to none of the jobs.
        UserError: If a setting names an unknown family or a model that cannot be loaded.
    """
    answered = _jobs_of(responses, jobs)
    valid = [row for row, status in enumerate(responses["status"]) if status == "ok"]
    batch = ScoringBatch.of(responses.iloc[valid], [answered[row] for row in valid], params)
    table = _Table(len(answered), valid, params)
    with TURN, keeping(encoded):
        for columns in compute(batch, workers):
            table.add(columns)
    table.fail(responses, valid)
    return _frame(_beside_metrics(responses, answered, params), table)


def score_variant(
    responses: DataFrame,
    jobs: Sequence[Job],
    params: ScoreParams,
    measured_settings: str,
    workers: Pool | None = None,
    encoded: Kept | None = None,
) -> DataFrame:
    """Return the scores of a variant, which say what they were made with.

    See `score_responses` and `ttc_bench.measured`.
    """
    scores = score_responses(responses, jobs, params, workers, encoded)
    return stamp_scored(scores, responses, json.loads(measured_settings))


def _beside_metrics(
    responses: DataFrame, answered: Sequence[Job], params: ScoreParams
) -> dict[str, list[Any]]:
    """Return the columns that are no metrics: of which response a row is, and how it was scored."""
    from ttc_bench.benchmarks.scoring.base import REWARD_RULES

    lossless = responses["lossless"] if "lossless" in responses else [None] * len(answered)
    identity = {name: responses[name].to_list() for name in (*IDENTITY, "replayed")}
    identity["lossless"] = list(lossless)
    told = responses["notes"] if "notes" in responses else [None] * len(answered)
    identity["notes"] = [_as_json(notes) for notes in told]
    for name in ("host", "device"):
        identity[name] = list(responses[name] if name in responses else [None] * len(answered))
    rules = [REWARD_RULES[job.reward_metric].figure for job in answered]
    if "judge_refused" in responses:
        said = responses["judge_refused"].notna() | responses["judge_refusal_error"].notna()
        rules = [
            REFUSAL_JUDGED if judged else rule for judged, rule in zip(said, rules, strict=True)
        ]
    named = {"encoder": params.sentence_encoder(), "bert_encoder": params.token_encoder()}
    encoders = {name: [value] * len(answered) for name, value in named.items()}
    asked = {"question": [question_of(job) for job in answered]}
    texts = responses["text"]
    digests = {"answer": [answer_digest(text) if isinstance(text, str) else None for text in texts]}
    return {**identity, **encoders, "reward_rule": rules, **asked, **digests}


def _as_json(notes: Sequence[str] | None) -> str | None:
    return None if notes is None or not len(notes) else json.dumps(list(notes))


def rescore(
    stored: Mapping[str, Callable[[], DataFrame]],
    jobs: Sequence[Job],
    params: ScoreParams,
    measured_settings: str,
    workers: Pool | None = None,
    encoded: Kept | None = None,
) -> dict[str, DataFrame]:
    """Return the scores of every stored responses table, by ``{policy}.{variant}``.

    Args:
        stored: Loads each table, by its name.
        jobs: The jobs that were answered.
        params: Settings of the stage.
        measured_settings: Those of this command, see `ttc_bench.measured`; its own for scoring
            are those of the scores.
        workers: See `score_responses`.
        encoded: See `score_responses`.

    Raises:
        DataError: If no responses are stored, or a response belongs to none of the jobs.
    """
    if not stored:
        raise DataError("no responses are stored: generate some, e.g. by `kedro run`.")
    tables = {name: load() for name, load in sorted(stored.items())}
    now = json.loads(measured_settings)
    known = dict(zip(tables, responses_of_now(list(tables.values())), strict=True))
    return {
        name: stamp_scored(score_responses(known[name], jobs, params, workers, encoded), table, now)
        for name, table in tables.items()
    }


def compute(batch: ScoringBatch, workers: Pool | None = None) -> Iterator[Columns]:
    """Yield the columns of each family that is on, as soon as it is done."""
    order = _families(batch.params)
    theirs = _by_workers(batch, workers) if workers is not None and len(batch) else {}
    shown = progress_bar("score", len(order), "group of metrics", stays=False)
    with using_encoder(batch.params.sentence_encoder()), shown as bar:
        for name in order:
            columns = theirs.get(name) or _checked(METRICS[name], batch)
            if name == FIRST:
                first = {key: [_number(v) for v in values] for key, values in columns.items()}
                batch = ScoringBatch(batch.jobs, batch.columns, batch.params, first)
            yield columns
            bar.update()


@dataclass(frozen=True)
class Part:
    """The responses to one job, which one worker scores.

    Attributes:
        id: The job's.
        rows: Their places in the batch that they are of.
        batch: The responses.
    """

    id: str
    rows: Sequence[int]
    batch: ScoringBatch


def _by_workers(batch: ScoringBatch, workers: Pool) -> dict[str, dict[str, list[Value | str]]]:
    """Return the columns of the families that encode, by family."""
    import torch

    rows: dict[str, list[int]] = {}
    for row, job in enumerate(batch.jobs):
        rows.setdefault(job.id, []).append(row)
    parts = [Part(job, own, batch.part(own)) for job, own in rows.items()]
    # Where similarities tie, the number of threads decides: it is the one of this process.
    work = partial(score_parts, torch.get_num_threads())
    tables: dict[str, dict[str, list[Value | str]]] = {}
    pieces = workers.answer(work, parts, workers.homes_of(parts))
    with progress_bar("score", len(parts), "job", stays=False) as bar:
        for _, (own, by_family) in pieces:
            for name, columns in by_family.items():
                for column, values in columns.items():
                    table = tables.setdefault(name, {}).setdefault(column, [None] * len(batch))
                    for row, value in zip(own, values, strict=True):
                        table[row] = value
            bar.update()
    return tables


def score_parts(
    cores: int, _engine: Engine, _journal: Journal, parts: Sequence[Part]
) -> Iterator[tuple[str, tuple[Sequence[int], dict[str, Columns]]]]:
    """Yield the rows of each part and their columns of the families that encode, by family.

    Runs in a worker, with torch on so many cores.
    """
    for part in parts:
        params = part.batch.params
        encoding = [METRICS[name] for name in _families(params) if METRICS[name].encodes]
        with threads(cores), using_encoder(params.sentence_encoder()):
            columns = {family.name: _checked(family, part.batch) for family in encoding}
        yield part.id, (part.rows, columns)


def _families(params: ScoreParams) -> list[str]:
    """Return the families that are on, in the order of their computation."""
    return [FIRST, *(name for name in params.enabled() if name != FIRST)]


def _checked(entry: Family, batch: ScoringBatch) -> Columns:
    """Compute a family and hold it to what it declares: no metric without a definition."""
    columns = entry.compute(batch)
    declared = {*(spec.name for spec in entry.metrics), *entry.notes}
    if missing := sorted(declared - set(columns)):
        raise RuntimeError(f"family {entry.name} did not compute {', '.join(missing)}")
    if more := sorted(set(columns) - declared):
        raise RuntimeError(f"family {entry.name} computed {', '.join(more)} without defining it")
    return columns


def _jobs_of(responses: DataFrame, jobs: Sequence[Job]) -> list[Job]:
    by_id = {job.id: job for job in jobs}
    names = responses["job_id"].to_list()
    for name in names:
        if name not in by_id:
            raise DataError(
                f"the responses answer job {name!r}, which is not among the jobs: score them "
                "with the jobs they were generated from."
            )
    return [by_id[name] for name in names]


class _Table:
    """Metric columns of all rows, filled from those of the valid rows."""

    def __init__(self, rows: int, valid: Sequence[int], params: ScoreParams) -> None:
        import pyarrow as pa

        off = set(METRICS) - set(_families(params))
        self._valid = valid
        self._rows = rows
        # Arrow's columns take a quarter of the memory of lists of Python's floats.
        nothing = pa.nulls(rows, pa.float64())
        self.columns: dict[str, pa.Array] = {spec.name: nothing for spec in all_metrics()}
        self.notes: dict[str, list[str | None]] = {name: [None] * rows for name in all_notes()}
        switched_off = [f"{name}.*" for name in sorted(off)]
        start = {"the family is switched off": switched_off} if switched_off else {}
        self._why: list[dict[str, list[str]]] = [
            {reason: list(names) for reason, names in start.items()} for _ in range(rows)
        ]

    def add(self, columns: Columns) -> None:
        """Place columns of the valid rows."""
        for name, values in columns.items():
            self._add(name, values)

    def _add(self, name: str, values: Sequence[Value | str]) -> None:
        if name in self.notes:
            for row, value in zip(self._valid, values, strict=True):
                self.notes[name][row] = value if isinstance(value, str) else None
            return
        import pyarrow as pa

        column: list[float | None] = [None] * self._rows
        for row, value in zip(self._valid, values, strict=True):
            column[row] = _number(value)
            if column[row] is None:
                self._why[row].setdefault(_reason(value), []).append(name)
        self.columns[name] = pa.array(column, pa.float64())

    def fail(self, responses: DataFrame, valid: Sequence[int]) -> None:
        """Give the rows that failed their reason."""
        scored = set(valid)
        for row, error in enumerate(responses["error_type"].to_list()):
            if row not in scored:
                self._why[row] = {f"the response failed: {error}": ["*"]}

    def reasons(self) -> list[str]:
        """Return the ``null_reasons`` of each row; equal ones share one string."""
        shared: dict[str, str] = {}
        texts = (json.dumps(why, sort_keys=True) for why in self._why)
        return [shared.setdefault(text, text) for text in texts]


def _reason(value: Value | str) -> str:
    if isinstance(value, Null):
        return value.reason
    return NOT_REPORTED if value is None else "not a finite number"


def _number(value: Value | str) -> float | None:
    if value is None or isinstance(value, Null | str):
        return None
    number = float(value)
    return number if math.isfinite(number) else None


def _frame(identity: Mapping[str, Sequence[Any]], table: _Table) -> DataFrame:
    import pandas as pd
    import pyarrow as pa

    named = {
        name: pa.array(_clean(values), pa.bool_() if name in FLAGS else pa.string())
        for name, values in identity.items()
    }
    notes = {name: pa.array(values, pa.string()) for name, values in table.notes.items()}
    reasons = pa.array(table.reasons(), pa.string())
    arrow = pa.table({**named, **table.columns, **notes, "null_reasons": reasons})
    frame: DataFrame = arrow.to_pandas(types_mapper=pd.ArrowDtype)
    return frame


def _clean(values: Sequence[Any]) -> list[Any]:
    import pandas as pd

    return [None if pd.isna(value) else value for value in values]
