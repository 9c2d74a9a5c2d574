"""Plain data types that every layer shares. Nothing here imports a heavy library."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from pandas import DataFrame
else:
    # Kedro resolves the type hints of nodes when it lists pipelines; pandas can wait.
    DataFrame = Any

__all__ = [
    "BASELINE",
    "GROUP",
    "DataFrame",
    "Job",
    "Message",
    "MetricSpec",
    "Reading",
    "Record",
    "Role",
    "Sample",
]

GROUP = ("model", "benchmark", "policy", "variant")
"""Columns that name what one figure of a summary stands for."""

BASELINE = ("baseline", "greedy")
"""The policy and variant that all others are compared with."""

INTERRUPTED = "interrupted"
"""What ended a run whose process went without telling an end, as by Ctrl-C."""

Role = Literal["system", "user", "assistant"]


class Record(BaseModel):
    """Base of records that are read from and written to disk."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Message(Record):
    """One chat message."""

    role: Role
    content: str


class Reading(Record):
    """How the answers to a question of one's own are read.

    Attributes:
        is_marked: Whether the answer stands behind a marker, such as ``Answer:``; else the whole
            response is the answer.
        form: How a response gives its answer, ``{}`` in the answer's place.
        pattern: Regular expression whose last match is the answer, in place of known markers.
        request: What asks for the form; ``None`` is the usual text, an empty one asks for none.
    """

    is_marked: bool
    form: str = "{}"
    pattern: str | None = None
    request: str | None = None


class Sample(Record):
    """One benchmark item, before any prompt template is applied.

    Attributes:
        id: Unique within the benchmark.
        benchmark: Name of the benchmark, e.g. ``crm_sim``.
        task: Task type within the benchmark, e.g. ``handle_time``.
        messages: The benchmark's own chat messages (system and user).
        references: Gold answers; ``None`` is CRMArena's explicit "no answer".
        reward_metric: Name of the official scoring rule that applies.
        difficulty: Difficulty level where the benchmark has one.
        solution: A worked gold solution in the target's output format where one exists
            (used for few-shot examples and training, never shown for a scored sample).
        reading: How answers are read, for a question of one's own.
        grading: Options of the scoring rule.
        metadata: Anything else the source says about the item.
    """

    id: str = Field(min_length=1)
    benchmark: str = Field(min_length=1)
    task: str = Field(min_length=1)
    messages: tuple[Message, ...] = Field(min_length=1)
    references: tuple[str | None, ...]
    reward_metric: str = Field(min_length=1)
    difficulty: str | None = None
    solution: str | None = None
    reading: Reading | None = None
    grading: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)


class Job(Record):
    """A sample rendered for a run: everything an engine and a scorer need.

    Attributes:
        id: ``{benchmark}/{sample id}``, unique in a run.
        benchmark: Name of the benchmark.
        task: Task type within the benchmark.
        difficulty: Difficulty level where the benchmark has one.
        messages: The rendered chat messages, few-shot turns included.
        references: Gold answers; ``None`` is an explicit "no answer".
        reward_metric: Name of the official scoring rule that applies.
        stop: Strings that end a completion.
        max_tokens: Most completion tokens that one call may produce.
        prompting: The prompting settings the job was rendered with.
        question: Digest of what the sample asks, whatever the prompting; see
            `ttc_bench.benchmarks.base.question_digest`.
        reading: How answers are read, for a question of one's own; ``None`` for those of a
            registered benchmark.
        grading: Options of the scoring rule.
        population: Samples and task types of the source that the job was drawn from.
        metadata: Carried over from the sample.
    """

    id: str = Field(min_length=1)
    benchmark: str = Field(min_length=1)
    task: str = Field(min_length=1)
    difficulty: str | None = None
    messages: tuple[Message, ...] = Field(min_length=1)
    references: tuple[str | None, ...]
    reward_metric: str = Field(min_length=1)
    stop: tuple[str, ...] = ()
    max_tokens: int = Field(gt=0)
    prompting: dict[str, Any] = Field(default_factory=dict)
    question: str | None = None
    population: tuple[int, int] | None = None
    reading: Reading | None = None
    grading: dict[str, Any] = Field(default_factory=dict)
    metadata: dict[str, Any] = Field(default_factory=dict)


@dataclass(frozen=True)
class MetricSpec:
    """What one metric means.

    Attributes:
        name: Its column in the scores.
        unit: Unit of its values; ``1`` is a share or a score without a unit.
        range: Smallest and largest value; ``None`` is open.
        higher_is_better: Its direction; ``None`` where neither end is good.
        definition: What is computed, in one sentence.
        source: Paper, library or field it comes from.
        family: The family it belongs to, set where the family is registered.
    """

    name: str
    unit: str
    range: tuple[float | None, float | None]
    higher_is_better: bool | None
    definition: str
    source: str
    family: str = ""
