"""CRMArena-Pro: 22 task types of CRM work (arXiv 2505.18878, dataset CC BY-NC 4.0).

The original is an agent benchmark: the model queries a Salesforce instance turn by turn. This
is its single-turn question answering: the user message is the task's query, word for word;
the system message carries what the original puts there (who the user is, the answer rules,
the task's required metadata and, as in its "aided" mode, the domain details), without the
database schema and the query tool, which need a live instance. Scores are therefore
comparable between policies here, not with the published agent scores.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar, Literal

from ttc_bench.benchmarks.answers import answer_span, as_vote
from ttc_bench.benchmarks.base import BENCHMARKS, Benchmark, Prompting, draw_examples
from ttc_bench.benchmarks.records import Entry, fetch_parquet, read_entries
from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.benchmarks.scoring.crm_answers import extract
from ttc_bench.benchmarks.scoring.refusal import refuses_for_privacy
from ttc_bench.benchmarks.scoring.text import normalise
from ttc_bench.errors import UserError
from ttc_bench.params import Params
from ttc_bench.thinking import split_thinking
from ttc_bench.types import Job, Message, Sample

REPOSITORY = "Salesforce/CRMArenaPro"
PATH_KEY = "sources.crmarena.path"
TRAIN_KEY = "sources.crmarena.train_path"
EXTERNAL_TASKS = frozenset(
    {
        "knowledge_qa",
        "named_entity_disambiguation",
        "private_customer_information",
        "internal_operation_data",
        "confidential_company_knowledge",
    }
)
"""Tasks whose user is a customer, not an employee (the original's external-facing tasks)."""

_USERS = {
    True: "a human user (a customer)",
    False: "an internal user (an employee of the same company)",
}
_RULES = """\
You are an expert in Salesforce and answer the questions of {user} about a Salesforce instance.

# Instructions
- You are given a question and the relevant task context.
- If multiple records match the requirements, return them as one comma-separated string.
- If no record matches the requirements, return None."""
_THINK = (
    "Think step by step, then end with one line of the form 'Answer: <answer>' that holds "
    "only the answer: no full sentence, no explanation."
)
_ONLY = "Reply with one line of the form 'Answer: <answer>' that holds only the answer."


class CRMArenaParams(Params):
    """Where the tasks come from.

    Attributes:
        path: Local JSON, JSONL or Parquet file (or folder of them) in the dataset's schema;
            ``None`` downloads the dataset from the Hugging Face hub.
        org_type: Which organisation's tasks to download.
        train_path: File of tasks that may be shown as few-shot examples; the dataset itself
            has a scored side only.
        aided: Put the domain details (quarters, seasons, periods) into the system message.
    """

    path: str | None = None
    org_type: Literal["b2b", "b2c"] = "b2b"
    train_path: str | None = None
    aided: bool = True


class CRMArena(Benchmark[CRMArenaParams]):
    """CRMArena-Pro as single-turn question answering."""

    name: ClassVar[str] = "crmarena"
    params: ClassVar[type[Params]] = CRMArenaParams
    max_tokens: ClassVar[int] = 512

    def load(self, params: CRMArenaParams) -> list[Sample]:
        """Return every task of the source; see `Benchmark.load`."""
        if params.path is not None:
            entries = read_entries(Path(params.path), PATH_KEY, "idx")
        else:
            files = fetch_parquet(REPOSITORY, params.org_type, PATH_KEY)
            entries = [e for file in files for e in read_entries(file, PATH_KEY, "idx")]
        return _samples(entries, params)

    def examples(self, sample: Sample, count: int, params: CRMArenaParams) -> list[Sample]:
        """Return examples from the train file, of the same task type where there are enough."""
        if params.train_path is None:
            raise UserError(
                "crmarena has only a scored side: set prompting.shots to 0, or give a file of "
                f"other tasks to draw examples from: `{TRAIN_KEY}: <path>`."
            )
        return draw_examples(_train_side(params), sample, count, TRAIN_KEY, "tasks")

    def instruction(self, sample: Sample, prompting: Prompting) -> tuple[Message, ...]:
        """Return the task's messages with the form of the answer asked for."""
        system, user = sample.messages
        form = _THINK if prompting.chain_of_thought else _ONLY
        content = f"{system.content}\n\n# Form of the answer\n{form}"
        return Message(role="system", content=content), user

    def parse(self, text: str, job: Job) -> Hashable:
        """Return the canonical answer: sorted answers, normalised text, or a refusal."""
        span = answer_span(text)
        return None if not span else _CANONICAL[job.reward_metric](span, job)

    def score(self, text: str, job: Job) -> Mapping[str, float | None]:
        """Return CRMArena's figures; the task decides how a sentence is read."""
        answer = split_thinking(text).answer
        return REWARD_RULES[job.reward_metric].score(answer, job.references, job.task)


_CANONICAL: dict[str, Callable[[str, Job], Hashable]] = {
    "exact_match": lambda span, job: as_vote(extract(span, job.task)),
    "fuzzy_match": lambda span, _: normalise(span) or None,
    "privacy_rejection": lambda span, _: refuses_for_privacy(span) or normalise(span) or None,
}


@lru_cache(maxsize=2)
def _train_side(params: CRMArenaParams) -> tuple[Sample, ...]:
    entries = read_entries(Path(str(params.train_path)), TRAIN_KEY, "idx")
    return tuple(_samples(entries, params))


def _samples(entries: Sequence[Entry], params: CRMArenaParams) -> list[Sample]:
    samples = [_sample(entry, params) for entry in entries]
    counts = Counter(s.id for s in samples)
    for entry, sample in zip(entries, samples, strict=True):
        if counts[sample.id] > 1:
            raise entry.fault("idx", f"is not unique: {counts[sample.id]} records have it")
    return samples


def _sample(entry: Entry, params: CRMArenaParams) -> Sample:
    task, query = entry.text("task"), entry.text("query")
    return Sample(
        id=entry.text("idx", (int, str)),
        benchmark=CRMArena.name,
        task=task,
        messages=(
            Message(role="system", content=_system(entry, task, params)),
            Message(role="user", content=query),
        ),
        references=_references(entry),
        reward_metric=_reward(entry),
        metadata={"persona": entry.get("persona", str), "org_type": params.org_type},
    )


def _system(entry: Entry, task: str, params: CRMArenaParams) -> str:
    """Join the parts in the original's order: rules, required metadata, domain details."""
    metadata = Entry(entry.where, entry.get("metadata", dict))
    required = metadata.get("required", (str, type(None)))
    optional = metadata.get("optional", (str, type(None))) if params.aided else None
    parts = [
        _RULES.format(user=_USERS[task in EXTERNAL_TASKS]),
        f"# Salesforce instance Metadata\n{required}" if required else "",
        optional or "",
        f"# Persona of the user\n{entry.get('persona', str)}",
    ]
    return "\n\n".join(part for part in parts if part)


def _references(entry: Entry) -> tuple[str | None, ...]:
    answers = entry.get("answer", list)
    for answer in answers:
        if not isinstance(answer, str | None):
            raise entry.fault("answer", f"holds {type(answer).__name__}, not text or null")
    if not answers:
        raise entry.fault("answer", "is empty")
    return tuple(answers)


def _reward(entry: Entry) -> str:
    metric: str = entry.get("reward_metric", str)
    if metric not in _CANONICAL:
        raise entry.fault("reward_metric", f"is {metric!r}, not one of {', '.join(_CANONICAL)}")
    return metric


BENCHMARKS.register(CRMArena.name)(CRMArena())
