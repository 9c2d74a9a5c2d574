"""The contract of a benchmark: how to load it, render it, read answers and score them."""

from __future__ import annotations

import hashlib
import json
import random
from abc import ABC, abstractmethod
from collections.abc import Hashable, Mapping, Sequence
from typing import ClassVar, Generic, TypeVar

from pydantic import Field

from ttc_bench.benchmarks.answers import parse_workflow
from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.errors import UserError
from ttc_bench.params import Params
from ttc_bench.registry import Registry
from ttc_bench.thinking import split_thinking
from ttc_bench.types import Job, Message, Sample

QUESTION_VERSION = "2:"
"""Begins every digest of a question; moves when what counts as the same question does."""

REFUSAL = "Answer: None. I cannot share confidential information."
"""An answer that declines for privacy."""

BENCHMARKS: Registry[Benchmark] = Registry("benchmark", "ttc_bench.benchmarks")  # type: ignore[type-arg]


class Prompting(Params):
    """How samples become prompts.

    Attributes:
        shots: Worked examples placed before the question, drawn from the train side.
        chain_of_thought: Ask for reasoning before the answer, or for the answer only.
        max_tokens: Most completion tokens per call; ``None`` takes the benchmark's default.
        stop: Extra stop strings, added to the benchmark's own.
    """

    shots: int = Field(default=0, ge=0, le=16)
    chain_of_thought: bool = True
    max_tokens: int | None = Field(default=None, gt=0)
    stop: tuple[str, ...] = ()


P = TypeVar("P", bound=Params)


class Benchmark(ABC, Generic[P]):
    """One benchmark.

    Attributes:
        name: Registered name.
        params: Class of the benchmark's own source parameters.
        max_tokens: Default completion budget of one call.
        stop: Strings that end an answer.
        marked: Whether answers stand behind a marker (``Answer:``), so that writing it after
            unfinished reasoning makes a model answer.
    """

    name: ClassVar[str]
    params: ClassVar[type[Params]]
    max_tokens: ClassVar[int] = 512
    stop: ClassVar[tuple[str, ...]] = ()
    marked: ClassVar[bool] = True

    @abstractmethod
    def load(self, params: P) -> list[Sample]:
        """Return every scored sample of the source, nothing dropped.

        Raises:
            DataError: If a record is malformed (names file, record and field) or the
                source cannot be reached (says how to give a local path).
        """

    @abstractmethod
    def examples(self, sample: Sample, count: int, params: P) -> list[Sample]:
        """Return ``count`` worked examples for few-shot prompts, never from the scored side.

        Raises:
            UserError: If the benchmark has no train side to draw from.
        """

    @abstractmethod
    def instruction(self, sample: Sample, prompting: Prompting) -> tuple[Message, ...]:
        """Return the sample's messages with the instructions that ``prompting`` asks for."""

    @abstractmethod
    def parse(self, text: str, job: Job) -> Hashable:
        """Return the answer in ``text`` in canonical form, so that equal answers are equal.

        Votes, verifiers and critiques read answers by this parser. ``None`` means that the
        text holds no readable answer.
        """

    def is_marked(self, job: Job) -> bool:
        """Return whether the answers to a job stand behind a marker; see `marked`."""
        return self.marked

    def answer(self, text: str, job: Job) -> str:
        """Return the part of a response that is scored: its final answer, or the workflow."""
        return REWARD_RULES[job.reward_metric].answer(text)

    def gold(self, job: Job) -> str:
        """Return a response that gives the gold answer in the form that the job's rule reads."""
        form = REWARD_RULES[job.reward_metric].gold
        if form == "workflow":
            return str(job.references[0])
        if form == "refusal":
            return REFUSAL
        return "Answer: " + ", ".join("None" if r is None else r for r in job.references)

    def score(self, text: str, job: Job) -> Mapping[str, float | None]:
        """Return the official figures of one response by the job's rule, quirks included.

        Marked reasoning is no answer and is left out. One key is always ``reward``, the number in
        [0, 1] that policies are compared by.
        """
        return REWARD_RULES[job.reward_metric].score(split_thinking(text).answer, job.references)

    def chance(self, samples: Sequence[Sample]) -> float | None:
        """Return the expected reward of blind guessing, or ``None`` where it is unknown."""
        return None

    def render(self, sample: Sample, prompting: Prompting, params: P) -> Job:
        """Return ``sample`` as a job: few-shot turns, instructions, budget and stop strings.

        Raises:
            UserError: If its reward rule is unknown.
        """
        first, *rest = self.instruction(sample, prompting)
        shots: list[Message] = []
        for example in self.examples(sample, prompting.shots, params) if prompting.shots else ():
            turns = self.instruction(example, prompting)
            shots += [m for m in turns if m.role != "system"]
            shots.append(Message(role="assistant", content=self.worked(example, prompting)))
        system, user = ([first], rest) if first.role == "system" else ([], [first, *rest])
        return Job(
            id=f"{sample.benchmark}/{sample.id}",
            benchmark=sample.benchmark,
            task=sample.task,
            difficulty=sample.difficulty,
            messages=(*system, *shots, *user),
            references=sample.references,
            reward_metric=REWARD_RULES[sample.reward_metric].name,
            stop=tuple(dict.fromkeys((*self.stop, *prompting.stop))),
            max_tokens=prompting.max_tokens or self.max_tokens,
            prompting=prompting.model_dump(mode="json"),
            question=question_digest(sample.benchmark, sample.messages, sample.references),
            reading=sample.reading,
            grading=sample.grading,
            metadata=sample.metadata,
        )

    def worked(self, example: Sample, prompting: Prompting) -> str:
        """Return the assistant turn of a few-shot example."""
        if prompting.chain_of_thought and example.solution:
            return example.solution
        answer = ", ".join("None" if r is None else r for r in example.references)
        return f"Answer: {answer}"


class Planning(Benchmark[P]):
    """A benchmark whose answer is a workflow and nothing else: no reasoning, no marker."""

    marked: ClassVar[bool] = False

    def instruction(self, sample: Sample, prompting: Prompting) -> tuple[Message, ...]:
        """Return the sample's messages unchanged, whatever the prompting."""
        return sample.messages

    def worked(self, example: Sample, prompting: Prompting) -> str:
        """Return the gold plan, which has no ``Answer:`` line."""
        return str(example.references[0])

    def parse(self, text: str, job: Job) -> Hashable:
        """Return the canonical workflow; see `parse_workflow`."""
        return parse_workflow(text)


def question_digest(
    benchmark: str, messages: Sequence[Message], references: Sequence[str | None]
) -> str:
    """Return what tells a question from others: all that it is asked with, and its gold answers.

    Context counts, such as the records or the day in a system message; an id does not.
    """
    asked = json.dumps([benchmark, [[m.role, m.content] for m in messages], references])
    digest = hashlib.sha256(asked.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{QUESTION_VERSION}{digest[:16]}"


def question_of(job: Job) -> str:
    """Return the digest by which runs are compared, question by question.

    Ids do not tell questions apart: a generated benchmark has the same ones for every seed.
    """
    return job.question or question_digest(job.benchmark, job.messages, job.references)


def draw_examples(
    train: Sequence[Sample], sample: Sample, count: int, key: str, noun: str
) -> list[Sample]:
    """Return ``count`` train samples that ask something else, those of the sample's task first.

    Args:
        train: The train side.
        sample: The sample that they are shown before; its id seeds the order.
        count: How many.
        key: The parameter that names the train side, for the message.
        noun: What its samples are called there.

    Raises:
        UserError: If there are not so many.
    """
    question = sample.messages[-1].content
    pool = [other for other in train if other.messages[-1].content != question]
    if len(pool) < count:
        raise UserError(f"{key} has {len(pool)} usable {noun} for {count} shots.")
    random.Random(sample.id).shuffle(pool)
    return sorted(pool, key=lambda other: other.task != sample.task)[:count]
