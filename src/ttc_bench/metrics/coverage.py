"""Business coverage: what a user of the answer would miss, or should not find in it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from ttc_bench.benchmarks import benchmark_of
from ttc_bench.benchmarks.answers import read_graph
from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.benchmarks.scoring.refusal import refuses
from ttc_bench.benchmarks.scoring.text import f1_of_tokens, normalise
from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, Value, family
from ttc_bench.types import Job

_STEP_MATCH = 0.5  # token F1 from which a gold step counts as covered

# A record id mixes letters and digits: 005Wt000003NIXCIA4, C-1042, KB7. Quarters, ordinals
# and quantities (Q3, 15th, 20kg) are no ids. All patterns are bounded: a response may be
# 100,000 characters without a blank.
_ID = re.compile(
    r"\b(?=[A-Za-z0-9-]{0,40}[A-Za-z])(?=[A-Za-z0-9-]{0,40}\d)"
    r"(?![QH][1-4]\b|\d+(?:st|nd|rd|th|s|am|pm|k|m|x|d|h|kg|km|cm|mm|gb|mb)\b)"
    r"[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*\b"
)
_MONTH = "Jan|Feb|Mar|Apr|May|Jun|Jul|Aug|Sep|Oct|Nov|Dec"
_ENTITY = re.compile(
    r"(?<![\w.+-])[\w.+-]{1,64}@[\w-]{1,64}\.[\w.]{1,64}"  # e-mail addresses
    r"|\b\d{4}-\d{2}-\d{2}\b"  # dates
    rf"|\b(?:{_MONTH})[a-z]*\b(?:\s+\d{{1,2}},?\s+\d{{4}})?"  # months, written dates
    r"|[$€£]\s?\d[\d,]*(?:\.\d+)?"  # amounts
    r"|\b\d+(?:\.\d+)?\s?%"  # percentages
    r"|\+?\d[\d\s().-]{7,20}\d"  # phone numbers
    r"|\b[A-Z][\w&'-]{1,40}(?:\s{1,3}[A-Z][\w&'-]{1,40}){1,5}"  # names of several words
)
_TOOLS = (
    re.compile(r"['\"]name['\"]\s*:\s*['\"](\w+)['\"]"),  # API lists
    re.compile(
        r"^(?:The action list you can take: )?(?!Task\b)(\w+): ", re.MULTILINE
    ),  # "bash: ..."
    re.compile(r"\b(\w+)\[\w+\]"),  # search[keywords]
)


class Named(NamedTuple):
    """How much of what an answer should name it names.

    Attributes:
        share: Things of the gold answer that are named, over all of them.
        missed: Things of the gold answer that are not named.
        invented: Named things that are neither in the gold answer nor in the prompt.
    """

    share: Value
    missed: Value
    invented: Value


def _share(name: str, better: bool, definition: str, source: str = "this project") -> MetricSpec:
    return MetricSpec(name, "1", (0.0, 1.0), better, definition, source)


def _count(name: str, definition: str) -> MetricSpec:
    return MetricSpec(name, "count", (0.0, None), False, definition, "this project")


@family(
    "coverage",
    [
        _share("ids_found", True, "Record ids of the gold answer that the answer names."),
        _count("ids_missed", "Record ids of the gold answer that the answer does not name."),
        _count("ids_invented", "Record ids of the response found in neither prompt nor gold."),
        _share("entities_found", True, "Names, dates, amounts of the gold that are named."),
        _count("entities_missed", "Names, dates, amounts of the gold that are not named."),
        _count("entities_invented", "Such entities found in neither prompt nor gold."),
        _share("steps_covered", True, "Gold steps with a predicted step of token F1 >= 0.5."),
        _share("tools_covered", True, "Tools offered and used in the gold that are used."),
        _count("tools_invented", "Actions of the form tool[...] that are not offered."),
        _share("format_compliance", True, "The benchmark's parser can read an answer."),
        _share("refusal_due", True, "A refusal that is due is given."),
        _share("refusal_undue", False, "A refusal that is not due is given."),
        _share("truncated", False, "The answer was cut off by the token budget.", "engine"),
    ],
)
def coverage(batch: ScoringBatch) -> Columns:
    """Return what each response covers, misses and invents."""
    rows = list(zip(batch.jobs, batch.texts, batch.answers, strict=True))
    ids = [_compare(_ID, *row) for row in rows]
    entities = [_compare(_ENTITY, *row) for row in rows]
    finish = batch.column("finish_reason")
    return {
        "ids_found": [f.share for f in ids],
        "ids_missed": [f.missed for f in ids],
        "ids_invented": [f.invented for f in ids],
        "entities_found": [f.share for f in entities],
        "entities_missed": [f.missed for f in entities],
        "entities_invented": [f.invented for f in entities],
        "steps_covered": [_steps(job, text) for job, text, _ in rows],
        "tools_covered": [_tools(job, text) for job, text, _ in rows],
        "tools_invented": [_strange_tools(job, text) for job, text, _ in rows],
        "format_compliance": [_readable(job, text) for job, text, _ in rows],
        "refusal_due": [_refusal(job, answer, due=True) for job, _, answer in rows],
        "refusal_undue": [_refusal(job, answer, due=False) for job, _, answer in rows],
        "truncated": [None if f is None else float(f == "length") for f in finish],
    }


def _gold(job: Job) -> str:
    return REWARD_RULES[job.reward_metric].gold


def things(pattern: re.Pattern[str], texts: Iterable[str]) -> frozenset[str]:
    """Return the distinct things that a pattern finds, case and blanks normalised."""
    matches = (m.group() for text in texts for m in pattern.finditer(text))
    return frozenset(" ".join(thing.split()).casefold() for thing in matches)


@lru_cache(maxsize=4096)
def _in_prompt(pattern: re.Pattern[str], prompt: tuple[str, ...]) -> frozenset[str]:
    return things(pattern, prompt)


def _compare(pattern: re.Pattern[str], job: Job, text: str, answer: str) -> Named:
    if _gold(job) == "refusal":
        return Named(*[Null("the gold answer is a refusal")] * 3)
    gold = things(pattern, (r for r in job.references if r is not None))
    prompted = _in_prompt(pattern, tuple(m.content for m in job.messages))
    invented = len(things(pattern, [text]) - gold - prompted)
    if not gold:
        nothing = Null("the gold answer names none")
        return Named(nothing, nothing, invented)
    missed = len(gold - things(pattern, [answer]))
    return Named(1 - missed / len(gold), missed, invented)


def _steps(job: Job, text: str) -> Value:
    gold = _gold_steps(job.references[0] or "") if _gold(job) == "workflow" else ()
    if not gold:
        return Null("the gold answer is no workflow")
    graph = read_graph(text)
    steps = [normalise(node).split() for node in graph.nodes[1:-1]] if graph else []
    covered = sum(any(f1_of_tokens(s, g) >= _STEP_MATCH for s in steps) for g in gold)
    return covered / len(gold)


@lru_cache(maxsize=4096)
def _gold_steps(text: str) -> tuple[list[str], ...]:
    graph = read_graph(text)
    return tuple(normalise(node).split() for node in graph.nodes[1:-1]) if graph else ()


@lru_cache(maxsize=4096)
def _offered(prompt: tuple[str, ...]) -> frozenset[str]:
    return frozenset(name for text in prompt for p in _TOOLS for name in p.findall(text))


def _tools(job: Job, text: str) -> Value:
    if _gold(job) != "workflow":
        return Null("the task offers no tools")
    offered = _offered(tuple(m.content for m in job.messages if m.role == "user"))
    needed = offered & set(re.findall(r"\w+", job.references[0] or ""))
    if not needed:
        return Null("the gold answer names no tool")
    return len(needed & set(re.findall(r"\w+", text))) / len(needed)


def _strange_tools(job: Job, text: str) -> Value:
    if _gold(job) != "workflow":
        return Null("the task offers no tools")
    offered = _offered(tuple(m.content for m in job.messages if m.role == "user"))
    return len(set(_TOOLS[-1].findall(text)) - offered)


def _readable(job: Job, text: str) -> float:
    return float(benchmark_of(job).parse(text, job) is not None)


def _refusal(job: Job, answer: str, *, due: bool) -> Value:
    if (_gold(job) == "refusal") != due:
        return Null("a refusal is due" if not due else "no refusal is due")
    return float(refuses(answer))
