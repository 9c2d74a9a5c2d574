"""Questions of one's own, without code: a table, its columns, and a reward by name.

Any name in ``sources`` that no benchmark is registered under is such a table. Answers are read by
the markers that models are known to answer behind (`readers.final_answer`), or by a pattern.
"""

from __future__ import annotations

import logging
from collections.abc import Hashable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field, model_validator

from ttc_bench.benchmarks.base import Benchmark, Prompting, draw_examples
from ttc_bench.benchmarks.columns import Columns
from ttc_bench.benchmarks.patterns import fault_of, last_match
from ttc_bench.benchmarks.question_rows import (
    Cells,
    Keyed,
    check_golds,
    guessed_reward,
    messages_of,
    read_otherwise,
    references_of,
    shuffled,
    way_of,
)
from ttc_bench.benchmarks.scoring.base import REWARD_RULES, RewardRule
from ttc_bench.benchmarks.scoring.quantity import has_decimal_comma
from ttc_bench.benchmarks.scoring.readers import final_answer
from ttc_bench.benchmarks.tables import Table, read_tables
from ttc_bench.errors import DataError, UserError
from ttc_bench.params import Params, faults, unknown
from ttc_bench.thinking import split_thinking
from ttc_bench.types import Job, Message, Reading, Sample

logger = logging.getLogger(__name__)

FORMS = {
    "line": "Answer: {}",
    "hashes": "#### {}",
    "boxed": "\\boxed{{{}}}",
    "sentence": "The answer is ({}).",
    "free": "{}",
}
"""How a response gives its answer, by the names of ``answer_form``."""

_THINK = "Think step by step, then end with one line of the form '{form}' that holds only {what}."
_ONLY = "Reply with one line of the form '{form}' that holds only {what}."
_WHAT = {"choice": "the letter of the right choice", "numeric": "the number"}


class QuestionsParams(Params):
    """A table of questions and how they are asked and scored.

    Attributes:
        path: CSV, TSV, JSON, JSONL, Parquet or Excel file, a folder of them, or the id of a Hugging
            Face data set (``owner/name``).
        subset: Subset of the data set, a folder of it.
        split: Split of the data set.
        train_path: Like ``path``, with questions that may be shown as few-shot examples.
        train_split: Like ``split``, of ``train_path``, or of ``path`` where there is none.
        columns: Which column means what.
        reward: Name of the reward, or the dotted path of a function of one's own; ``None`` takes
            ``choice`` where there are choices, ``numeric`` where all gold answers are numbers, else
            ``normalised``.
        options: Options of the reward, such as ``tolerance``.
        reference_pattern: Regular expression that finds the gold answer in its cell: its last
            match, or the first group of it.
        system: System message before every question.
        answer_form: How the answer is asked for; ``free`` asks for no form and takes the whole
            response. ``None`` is ``line``, or ``free`` where the reward reads whole responses.
        answer_request: Text that asks for the answer's form, in place of the usual one.
        answer_pattern: Regular expression that finds the answer in a response: its last match, or
            the first group of it. Without it all known markers are read, whichever is asked for.
        shuffle_choices: Seed by which the choices of each question are put in another order.
        first_choice: Number of the first choice, where gold answers are numbers of choices.
        max_tokens: Most tokens of a completion, unless ``prompting`` says otherwise.
        name: Name of the source.
    """

    path: str | None = None
    subset: str | None = None
    split: str | None = None
    train_path: str | None = None
    train_split: str | None = None
    columns: Columns = Columns()
    reward: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    reference_pattern: str | None = None
    system: str = ""
    answer_form: Literal["line", "hashes", "boxed", "sentence", "free"] | None = None
    answer_request: str | None = None
    answer_pattern: str | None = None
    shuffle_choices: int | None = None
    first_choice: Literal[0, 1] = 0
    max_tokens: int = Field(default=512, gt=0)
    name: str = "questions"

    @model_validator(mode="after")
    def _check(self) -> QuestionsParams:
        for name in ("answer_pattern", "reference_pattern"):
            if wrong := fault_of(getattr(self, name) or ""):
                raise ValueError(f"{name} {wrong}")
        if self.reward is not None and "." not in self.reward:
            offered = [name for name, rule in REWARD_RULES.items() if rule.canonical]
            if self.reward not in offered:
                raise ValueError(unknown("reward", self.reward, offered).rstrip("."))
            own = REWARD_RULES[self.reward].options
            if lines := faults(own, self.options, "options"):
                raise ValueError("; ".join(lines))
        return self


class Questions(Benchmark[QuestionsParams]):
    """Questions of a table; samples and jobs carry how their answers are read and scored."""

    name: ClassVar[str] = "questions"
    params: ClassVar[type[Params]] = QuestionsParams

    def load(self, params: QuestionsParams) -> list[Sample]:
        """Return every question of the source; see `Benchmark.load`.

        Raises:
            DataError: With a line per kind of fault, and the rows that have it.
        """
        key = f"sources.{params.name}.path"
        if params.path is None:
            raise UserError(f"{key}: is not set. Give a file of questions, or a data set's id.")
        return _samples(params.path, params.split, key, params)

    def examples(self, sample: Sample, count: int, params: QuestionsParams) -> list[Sample]:
        """Return questions of the train side, of the same task where there are enough."""
        key = f"sources.{params.name}.train_path"
        if params.train_path is None and params.train_split is None:
            raise UserError(
                f"{params.name} has only a scored side: set prompting.{params.name}.shots to 0, or"
                f" give a file of other questions: `{key}: <path>`."
            )
        if params.train_path is None and Path(str(params.path)).expanduser().is_file():
            raise UserError(
                f"{key}: sources.{params.name}.path is a single file, whose questions are scored:"
                f" set prompting.{params.name}.shots to 0, or give the file of the split"
                f" {params.train_split!r}."
            )
        return draw_examples(_train_side(params.model_dump_json()), sample, count, key, "questions")

    def instruction(self, sample: Sample, prompting: Prompting) -> tuple[Message, ...]:
        """Return the question, with the form of the answer asked for in a system message."""
        is_set = sample.messages[0].role == "system"
        system = sample.messages[0].content if is_set else ""
        parts = [part for part in (system, _request(sample, prompting)) if part]
        rest = sample.messages[1:] if is_set else sample.messages
        return (*([Message(role="system", content="\n\n".join(parts))] if parts else ()), *rest)

    def render(self, sample: Sample, prompting: Prompting, params: QuestionsParams) -> Job:
        """Return a question as a job; see `Benchmark.render`."""
        limit = prompting.max_tokens or params.max_tokens
        return super().render(sample, prompting, params).model_copy(update={"max_tokens": limit})

    def worked(self, example: Sample, prompting: Prompting) -> str:
        """Return the worked solution, if it is asked for, and the answer in its form."""
        reading, gold = _reading(example), str(example.references[0])
        answer = reading.form.format(gold)
        if not (prompting.chain_of_thought and example.solution):
            return answer
        read = _span(example.solution, reading)
        rule = REWARD_RULES[example.reward_metric]
        is_said = read is not None and rule.grade(read, example.references, **example.grading)
        return (
            example.solution if is_said and is_said["reward"] else f"{example.solution}\n{answer}"
        )

    def is_marked(self, job: Job) -> bool:
        """Return whether the known marker ``Answer:`` makes a model answer."""
        reading = _reading(job)
        return reading.is_marked and reading.pattern is None

    def parse(self, text: str, job: Job) -> Hashable:
        """Return the answer as its reward reads it; ``None`` for reasoning without an answer."""
        reading, rule = _reading(job), REWARD_RULES[job.reward_metric]
        span = _span(text, reading)
        if span is None and not (reading.pattern or job.prompting.get("chain_of_thought", True)):
            span = split_thinking(text).answer.strip()
        return rule.canonical(span, **_read_by(job)) if span and rule.canonical else None

    def answer(self, text: str, job: Job) -> str:
        """Return what is scored: the marked answer, or the whole response if it marks none."""
        span = _span(text, _reading(job))
        if span is None:
            return "" if _reading(job).pattern else split_thinking(text).answer.strip()
        return span

    def score(self, text: str, job: Job) -> Mapping[str, float | None]:
        """Return the figures of the job's reward; nothing is right about what cannot be read."""
        rule, answer = REWARD_RULES[job.reward_metric], self.answer(text, job)
        figures = rule.grade(answer, job.references, job.task, **job.grading)
        return figures if answer else dict.fromkeys(figures, 0.0)

    def gold(self, job: Job) -> str:
        """Return a response that gives the gold answer in a form that is read."""
        reading, gold = _reading(job), str(job.references[0])
        texts = [form.format(gold) for form in (reading.form, *FORMS.values())]
        # A sentence puts the answer in brackets.
        said = (text for text in texts if (_span(text, reading) or "") in (gold, f"({gold})"))
        return next(said, texts[0])

    def chance(self, samples: Sequence[Sample]) -> float | None:
        """Return the rate of blind guesses among choices; unknown where there are none."""
        counts = [len(sample.grading.get("choices", ())) for sample in samples]
        return sum(1 / n for n in counts) / len(counts) if counts and all(counts) else None


QUESTIONS = Questions()


def _reading(item: Sample | Job) -> Reading:
    assert item.reading is not None
    return item.reading


def _read_by(job: Job) -> dict[str, Any]:
    """Return the options by which votes are read: a tolerance makes no two answers one."""
    return {name: value for name, value in job.grading.items() if name == "choices"}


def _span(text: str, reading: Reading) -> str | None:
    answer = split_thinking(text).answer
    if reading.pattern is not None:
        return last_match(reading.pattern, answer)
    return final_answer(text) if reading.is_marked else answer.strip()


def _request(sample: Sample, prompting: Prompting) -> str:
    reading = _reading(sample)
    if reading.request is not None or not reading.is_marked:
        return reading.request or ""
    what = _WHAT.get(sample.reward_metric, "the answer")
    form = reading.form.format("<letter>" if sample.reward_metric == "choice" else "<answer>")
    return (_THINK if prompting.chain_of_thought else _ONLY).format(form=form, what=what)


@lru_cache(maxsize=4)
def _train_side(settings: str) -> tuple[Sample, ...]:
    params = QuestionsParams.model_validate_json(settings)
    key = f"sources.{params.name}.train_path"
    return tuple(_samples(params.train_path or str(params.path), params.train_split, key, params))


def _samples(path: str, split: str | None, key: str, params: QuestionsParams) -> list[Sample]:
    """Return the questions of all tables at a path; the faults of all are told at once."""
    samples, lines, tables = (
        list[Sample](),
        list[str](),
        read_tables(path, key, params.subset, split),
    )
    ids: set[str] = set()
    for table, name in zip(tables, _told_apart([Path(t.name) for t in tables]), strict=True):
        head = f"{name}-" if len(tables) > 1 else ""
        try:
            samples += _of_table(table, params, head, ids)
        except DataError as error:
            lines.append(error.message)
    if lines:
        raise DataError("\n".join(lines))
    return samples


def _told_apart(files: Sequence[Path]) -> list[str]:
    """Return the names of files, with their folders where the names alone are not different."""
    for depth in range(1, max((len(file.parts) for file in files), default=1) + 1):
        names = ["-".join(file.with_suffix("").parts[-depth:]) for file in files]
        if len(set(names)) == len(names):
            return names
    return [str(file) for file in files]


class Draft(NamedTuple):
    """A question as it is written, before the reward is known.

    Attributes:
        cells: Its row.
        messages: What is asked.
        golds: Gold answers as they stand in the table.
        choices: Texts of its choices, in the order in which they are asked.
        letters: Letters of the right choices, where there are choices.
    """

    cells: Cells
    messages: tuple[Message, ...]
    golds: tuple[str, ...]
    choices: tuple[str, ...]
    letters: tuple[str, ...]


def _of_table(table: Table, params: QuestionsParams, head: str, ids: set[str]) -> list[Sample]:
    """Return the questions of one table.

    Raises:
        DataError: With all its faults.
    """
    columns = params.columns.resolve(table.columns, table.faults) if table.rows else {}
    cells = [Cells(row, columns, table.faults) for row in table.rows]
    if not {"prompt", "messages"} & columns.keys():
        table.faults.tell()
    drafts = _drafts(cells, params)
    reward = params.reward or guessed_reward([d.golds for d in drafts], "choices" in columns)
    rule = REWARD_RULES[reward]
    if wrong := faults(rule.options, params.options, "options"):
        for line in wrong:
            table.faults.note(None, f"reward {reward}: {line.rstrip('.')}")
        # No answer can be looked at by options that there are not.
        table.faults.tell()
    if reward == "choice" and "choices" not in columns:
        table.faults.note(None, "the reward choice needs a column of choices: columns.choices")
    samples = [_sample(draft, params, rule, head) for draft in drafts]
    for draft, sample in zip(drafts, samples, strict=True):
        if sample.id in ids:
            draft.cells.note(f"the id {sample.id!r} is there already")
        ids.add(sample.id)
    numbers = read_otherwise([(d.cells, d.golds) for d in drafts]) if reward == "numeric" else ""
    # A warning, but with the faults: who mends these mends all of the table at once.
    _tell_contradictions(drafts, params)
    table.faults.tell()
    _tell(table, params, columns, reward)
    _tell_readings(drafts, params, numbers)
    return samples


def _tell_readings(drafts: Sequence[Draft], params: QuestionsParams, numbers: str) -> None:
    """Warn of gold answers that are read in one of several ways."""
    if numbers:
        logger.warning("%s: of the references, %s", params.name, numbers)
    commas = [gold for draft in drafts for gold in draft.golds if has_decimal_comma(gold)]
    if params.reward is None and commas and not drafts[0].choices:
        logger.warning(
            "%s: references such as %r may be one number or two: they are texts, unless"
            " sources.%s.reward is numeric",
            *(params.name, commas[0], params.name),
        )
    for draft in [d for d in drafts if {"nan", "NaN", "NaT", "<NA>"} & set(d.golds)][:1]:
        row, gold = draft.cells.row.number, draft.golds[0]
        logger.warning(
            "%s: the reference of row %d is the text %r: is it missing?", params.name, row, gold
        )
    listed = [d for d in drafts if isinstance(d.cells.value("reference"), str) and d.golds[1:]]
    if listed:
        what = (params.name, listed[0].cells.row.number, len(listed), listed[0].golds)
        logger.warning(
            "%s: the references of row %d (and %d rows in all) are the text of a list or object:"
            " any of %s is right; with reward: exact the text itself is",
            *what,
        )


def _tell_contradictions(drafts: Sequence[Draft], params: QuestionsParams) -> None:
    """Warn of rows that ask the same and call another answer right: no model can please both."""
    first: dict[tuple[Any, ...], Draft] = {}
    for draft in drafts:
        if not (draft.golds and any(message.content for message in draft.messages)):
            continue
        other = first.setdefault((draft.messages, draft.choices), draft)
        if set(other.golds) != set(draft.golds):
            rows = (params.name, other.cells.row.number, draft.cells.row.number)
            logger.warning("%s: rows %d and %d ask the same, but their references differ", *rows)


def _drafts(rows: Sequence[Cells], params: QuestionsParams) -> list[Draft]:
    """Return the rows as drafts, what is wrong with any of them noted."""
    is_choice = params.reward in (None, "choice")
    keyed = list[Keyed]()
    for cells in rows:
        reward = params.reward or ("choice" if "choices" in cells.columns else None)
        golds = references_of(cells, params.reference_pattern, reward)
        keyed.append(Keyed.of(cells, golds, params.first_choice))
    way, doubt = way_of(keyed) if is_choice else (None, "")
    if doubt:
        logger.warning("%s: %s", params.name, doubt)
    return [_draft(cells, row, way, params) for cells, row in zip(rows, keyed, strict=True)]


def _draft(cells: Cells, row: Keyed, way: str | None, params: QuestionsParams) -> Draft:
    choices, letters = row.choices, tuple[str, ...]()
    if choices and params.reward in (None, "choice"):
        letters = row.letters(cells, way, params.first_choice)
        if params.shuffle_choices is not None:
            seed = f"{params.shuffle_choices}/{cells.row.number}"
            choices, letters = shuffled(choices, letters, seed)
    messages = messages_of(cells, choices, params.shuffle_choices is not None)
    return Draft(cells, messages, row.golds, choices, letters)


def _sample(draft: Draft, params: QuestionsParams, rule: RewardRule, head: str) -> Sample:
    """Return a draft as a sample, faults noted; one that has them is no sample to be asked."""
    cells, is_choice = draft.cells, rule.name == "choice"
    golds = draft.letters if is_choice else draft.golds
    grading = {**params.options, **({"choices": list(draft.choices)} if is_choice else {})}
    check_golds(cells, golds, rule, grading)
    system = [Message(role="system", content=params.system)] if params.system else []
    own = draft.messages or (Message(role="user", content=""),)
    if system and own[0].role == "system":
        own = (Message(role="system", content=f"{params.system}\n\n{own[0].content}"), *own[1:])
        system = []
    whole = cells.text("reference") if params.reference_pattern else None
    return Sample(
        id=cells.text("id", is_needed=True) or f"{head}{cells.row.number}",
        benchmark=params.name,
        task=cells.text("task") or "question",
        messages=(*system, *own),
        references=golds,
        reward_metric=rule.name,
        difficulty=cells.text("difficulty"),
        solution=cells.text("solution") or whole,
        reading=_reading_of(params, rule),
        grading=grading,
        metadata={"row": cells.row.number},
    )


def _reading_of(params: QuestionsParams, rule: RewardRule) -> Reading:
    form = params.answer_form or ("free" if rule.is_free else "line")
    # A pattern of one's own goes with a request of one's own, or with none.
    is_silent = params.answer_pattern is not None and params.answer_form is None
    return Reading(
        is_marked=form != "free",
        form=FORMS[form],
        pattern=params.answer_pattern,
        request="" if params.answer_request is None and is_silent else params.answer_request,
    )


def _tell(
    table: Table, params: QuestionsParams, columns: Mapping[str, tuple[str, ...]], reward: str
) -> None:
    """Say what was taken for what, so that a wrong guess is seen."""
    named_in = {name for names in columns.values() for name in names}
    used = named_in | {name.split(".")[0] for name in named_in - {*table.columns}}
    rest = [name for name in table.columns if name not in used]
    named = ", ".join(f"{meaning} = {' + '.join(names)}" for meaning, names in columns.items())
    logger.info(
        "%s: %d questions of %s; %s; reward %s%s%s",
        params.name,
        len(table.rows),
        table.name,
        named,
        reward,
        "" if params.reward else f" (by its answers; sources.{params.name}.reward sets it)",
        f"; not used: {', '.join(rest)}" if rest else "",
    )
