"""The contract of metrics: what a metric is, and how a family of metrics is defined.

A family is one file: a function that takes a `ScoringBatch` and returns one column of values
per metric, under ``@family(name, [MetricSpec(...), ...])``. A value that does not apply is
`Null` with its reason, never a silent zero.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pydantic import Field, field_validator

from ttc_bench.benchmarks import benchmark_of
from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.benchmarks.scoring.encoder import (
    EMBEDDED,
    PUBLISHED,
    PUBLISHED_SENTENCES,
    PUBLISHED_TOKENS,
)
from ttc_bench.errors import UserError
from ttc_bench.params import Params, unknown
from ttc_bench.registry import Registry
from ttc_bench.types import GROUP, Job, MetricSpec

if TYPE_CHECKING:
    import pandas as pd

__all__ = [
    "FLAGS",
    "LONG_COLUMNS",
    "METRICS",
    "NOT_REPORTED",
    "PASS_AT",
    "Columns",
    "Family",
    "MetricSpec",
    "Null",
    "ScoreParams",
    "ScoringBatch",
    "Value",
    "all_metrics",
    "all_notes",
    "answer_digest",
    "family",
    "ratio",
    "reference_text",
    "score_columns",
]


@dataclass(frozen=True)
class Null:
    """A value that does not exist, and why."""

    reason: str


Value = float | int | bool | Null | None
"""One value of a metric; ``None`` is `NOT_REPORTED`."""

Columns = Mapping[str, "Sequence[Value | str]"]
"""Values of each metric, and texts of each note, aligned with the rows of a batch."""

LONG_COLUMNS = ("samples", "null_reasons")
"""Columns of the scores that are long and that no summary reads."""

_UNREAD = ("bill",)  # the bill of every call is long, and its totals are columns

NOT_REPORTED = "not reported by the model or the engine"

STEERED = Null("the run was paused, or its calls were limited otherwise, while it was answered")
REPLAYED = Null("a call was replayed from the journal: its time is of another run")


class ScoreParams(Params):
    """Settings of the score stage.

    Attributes:
        families: Families to switch on or off; one that is not named keeps its own default.
        encoder: Encoder of WorFEval, semantic similarity and BERTScore: ``embedded`` works
            offline, ``published`` takes those of the published figures (all-mpnet-base-v2, and
            roberta-large for BERTScore), and any other is a Hugging Face name or a folder.
            Scores of different encoders do not compare.
        bert_score_model: Another model for BERTScore; ``None`` takes the one of ``encoder``.
        pass_at: The k of pass@k.
        success: Reward from which an answer counts as correct.
        likelihood_model: Folder or Hugging Face name of a causal language model for the
            family ``likelihood``; ``None`` leaves its perplexities null.
    """

    families: dict[str, bool] = Field(default_factory=dict)
    encoder: str = Field(default=EMBEDDED, min_length=1)
    bert_score_model: str | None = Field(default=None, min_length=1)
    pass_at: tuple[int, ...] = (1, 2, 4, 8)
    success: float = Field(default=1.0, gt=0.0, le=1.0)
    likelihood_model: str | None = None

    @field_validator("pass_at")
    @classmethod
    def _known_k(cls, value: tuple[int, ...]) -> tuple[int, ...]:
        if not set(value) <= set(PASS_AT):
            raise ValueError(f"each k must be one of {', '.join(map(str, PASS_AT))}")
        return value

    def sentence_encoder(self) -> str:
        """Return the name of the encoder of sentences."""
        return PUBLISHED_SENTENCES if self.encoder == PUBLISHED else self.encoder

    def token_encoder(self) -> str:
        """Return the name of the model of BERTScore."""
        chosen = self.bert_score_model or self.encoder
        return PUBLISHED_TOKENS if chosen == PUBLISHED else chosen

    def enabled(self) -> dict[str, Family]:
        """Return the families to compute, by name.

        Raises:
            UserError: If a setting names no family.
        """
        for name in self.families:
            if name not in METRICS:
                raise UserError(f"parameter score.families: {unknown('family', name, METRICS)}")
        return {n: f for n, f in METRICS.items() if self.families.get(n, f.default)}


PASS_AT = (1, 2, 4, 8, 16, 32)
"""The k for which pass@k has a column."""


@dataclass(frozen=True)
class ScoringBatch:
    """What a family sees: valid responses and their jobs, aligned.

    Attributes:
        jobs: The job of each response.
        columns: Columns of the response table as lists; a null is ``None``.
        params: Settings of the stage.
        earlier: The metrics of the family ``benchmark``, ``reward`` among them; nothing for that
            family itself.
    """

    jobs: Sequence[Job]
    columns: Mapping[str, Sequence[Any]]
    params: ScoreParams = field(default_factory=ScoreParams)
    earlier: Mapping[str, Sequence[float | None]] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: pd.DataFrame, jobs: Sequence[Job], params: ScoreParams) -> ScoringBatch:
        """Return a batch of a response table whose rows are aligned with ``jobs``."""
        import pyarrow as pa

        names = [str(name) for name in rows.columns if name not in _UNREAD]
        lists = {name: pa.Array.from_pandas(rows[name]).to_pylist() for name in names}
        return cls(jobs, lists, params)

    def __len__(self) -> int:
        return len(self.jobs)

    def part(self, rows: Sequence[int]) -> ScoringBatch:
        """Return some of the rows as a batch of their own."""
        tables = [
            {name: [values[row] for row in rows] for name, values in table.items()}
            for table in (self.columns, self.earlier)
        ]
        return ScoringBatch([self.jobs[row] for row in rows], tables[0], self.params, tables[1])

    def column(self, name: str) -> Sequence[Any]:
        """Return a column of the responses; all ``None`` if the table does not have it."""
        return self.columns.get(name) or [None] * len(self)

    def times(self, name: str) -> Sequence[Any]:
        """Return a column of seconds; null with its reason where the row was not measured."""
        rows = zip(self.column("measured"), self.steered, self.column(name), strict=True)
        return [
            value if measured is not False else STEERED if steered else REPLAYED
            for measured, steered, value in rows
        ]

    @cached_property
    def steered(self) -> Sequence[bool]:
        """Whether the run was called otherwise while each response was made."""
        return [any(n.startswith("steered:") for n in own or ()) for own in self.column("notes")]

    @property
    def texts(self) -> Sequence[str]:
        """The whole text of each response."""
        return ["" if text is None else text for text in self.column("text")]

    @cached_property
    def answers(self) -> Sequence[str]:
        """What text metrics compare: the final answer, or all of a workflow."""
        return [
            benchmark_of(job).answer(text, job)
            for text, job in zip(self.texts, self.jobs, strict=True)
        ]

    @cached_property
    def references(self) -> Sequence[str | None]:
        """The gold text of each response; ``None`` where a refusal is the gold answer."""
        return [reference_text(job) for job in self.jobs]

    def groups(self) -> Iterable[list[int]]:
        """Return the rows of each `GROUP`, in order."""
        rows: dict[tuple[Any, ...], list[int]] = {}
        for row, key in enumerate(zip(*(self.column(c) for c in GROUP), strict=True)):
            rows.setdefault(key, []).append(row)
        return rows.values()


def reference_text(job: Job) -> str | None:
    """Return the gold answers as one text; ``None`` where the gold answer is a refusal."""
    if REWARD_RULES[job.reward_metric].gold == "refusal":
        return None
    return ", ".join("None" if r is None else r for r in job.references)


def answer_digest(text: str) -> str:
    """Return what tells the text of a response from others, letter by letter."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:16]


Compute = Callable[[ScoringBatch], Columns]


@dataclass(frozen=True)
class Family:
    """A family of metrics.

    Attributes:
        name: Registered name.
        metrics: Its metrics, in the order of their columns.
        compute: Computes the columns of a batch.
        default: Whether it is on unless the parameters say otherwise.
        notes: Columns of text that it adds for later stages; no metrics.
        encodes: Whether a model reads each response by itself for it, so that processes can share
            the responses.
    """

    name: str
    metrics: tuple[MetricSpec, ...]
    compute: Compute
    default: bool
    notes: tuple[str, ...] = ()
    encodes: bool = False


METRICS: Registry[Family] = Registry("metric family", "ttc_bench.metrics")


IDENTITY = (
    "job_id",
    "benchmark",
    "task",
    "difficulty",
    "model",
    "engine",
    "policy",
    "variant",
    "status",
    "error_type",
    "error_message",
)
"""Columns of a response that say what it is."""

DESCRIBED = (
    "replayed", "lossless", "notes", "host", "device", "encoder", "bert_encoder", "reward_rule",
    "question", "answer", "null_reasons", "run_id", "config",
)  # fmt: skip
"""Further columns that every table of scores has beside its metrics."""

FLAGS = ("replayed", "lossless")
"""Those that are true or false."""

_OWNERS = dict.fromkeys((*IDENTITY, *DESCRIBED), "every table")
"""Whose each column is: two of one name would replace each other unseen."""


def family(
    name: str,
    metrics: Iterable[MetricSpec],
    *,
    default: bool = True,
    notes: Sequence[str] = (),
    encodes: bool = False,
) -> Callable[[Compute], Compute]:
    """Return a decorator that registers a function as the family ``name``.

    Args:
        name: Name of the family.
        metrics: What it computes; the function returns exactly these columns, and the notes.
        default: Whether it is on unless the parameters say otherwise.
        notes: Columns of text that it adds for later stages; no metrics.
        encodes: Whether a model reads each response by itself for it, and nothing of other
            families: Ray's workers then share the responses.

    Raises:
        ValueError: If a column is another family's, or one that every table of scores has.
    """
    specs = tuple(replace(spec, family=name) for spec in metrics)
    for column in (*(spec.name for spec in specs), *notes):
        owner = _OWNERS.setdefault(column, name)
        if owner != name:
            raise ValueError(f"metric family {name}: the column {column!r} is {owner}'s; rename it")

    def decorate(compute: Compute) -> Compute:
        METRICS.register(name)(Family(name, specs, compute, default, tuple(notes), encodes))
        return compute

    return decorate


def all_metrics() -> Iterator[MetricSpec]:
    """Yield every metric of every family, by family name."""
    for entry in METRICS.values():
        yield from entry.metrics


def all_notes() -> Iterator[str]:
    """Yield every column of text of every family."""
    for entry in METRICS.values():
        yield from entry.notes


def score_columns() -> dict[str, Any]:
    """Return Arrow's types of the columns of a table of scores as it is stored, by name."""
    import pyarrow as pa

    named = [name for name in (*IDENTITY, *DESCRIBED) if name not in ("run_id", "config")]
    return {
        **{name: pa.bool_() if name in FLAGS else pa.string() for name in named},
        **{spec.name: pa.float64() for spec in all_metrics()},
        **dict.fromkeys(all_notes(), pa.string()),
    }


def ratio(above: float | None, below: float | None, reason: str) -> Value:
    """Return ``above / below``; null with ``reason`` if ``below`` is 0, and if one is unknown."""
    if above is None or below is None:
        return None
    return above / below if below else Null(reason)
