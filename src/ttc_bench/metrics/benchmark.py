"""Benchmark quality: the official figures of each benchmark, and the reward."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice
from typing import TypeVar

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.benchmarks.scoring import crm_reward, worfeval
from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, Value, family
from ttc_bench.types import Job

T = TypeVar("T")

REWARD_RULES = {
    "exact_match": "exact_match",
    "fuzzy_match": "fuzzy_f1",
    "privacy_rejection": "refusal_detected",
    "workflow": "graph_f1",
}
"""Which figure is the reward, by the reward metric of a job."""

_CRM, _ROUGE = "CRMArena, arXiv 2411.02305", "CRMArena, package rouge 1.0.1"
_DETECTOR = "this project; the original has a model judge it"
_DEFINITIONS = {
    "exact_match": ("Stripped answer, or sorted answers, equal to the gold ones.", _CRM),
    "fuzzy_em": ("Normalised answer equals the normalised gold text.", _CRM),
    "fuzzy_f1": ("F1 of normalised tokens; the reward of fuzzy matches.", _CRM),
    "fuzzy_bleu": ("BLEU of the normalised texts.", "CRMArena, sacrebleu"),
    "fuzzy_rouge_1": ("F1 of the sets of normalised words.", _ROUGE),
    "fuzzy_rouge_2": ("F1 of the sets of normalised word pairs.", _ROUGE),
    "fuzzy_rouge_l": ("F1 of the distinct words of a longest common subsequence.", _ROUGE),
    "refusal_detected": ("Wording declines for privacy or confidentiality.", _DETECTOR),
}
_WORF = {
    "node_precision": "Longest run of matched subtasks in order, over predicted subtasks.",
    "node_recall": "Longest run of matched subtasks in order, over gold subtasks.",
    "node_f1": "Harmonic mean of the node precision and recall.",
    "graph_precision": "Largest connected shared subgraph over predicted nodes.",
    "graph_recall": "Largest connected shared subgraph over gold nodes.",
    "graph_f1": "Harmonic mean of the two; the reward of workflows.",
}


def _spec(name: str, definition: str, source: str) -> MetricSpec:
    return MetricSpec(name, "1", (0.0, 1.0), True, definition, source)


@family(
    "benchmark",
    [
        _spec(
            "reward",
            "The number that policies are compared by; column reward_rule says which it is.",
            "the benchmark",
        ),
        *(_spec(name, *_DEFINITIONS[name]) for name in crm_reward.KEYS if name != "reward"),
        *(_spec(key, _WORF[key], "WorFEval, arXiv 2410.07869") for key in worfeval.KEYS),
    ],
)
def benchmark(batch: ScoringBatch) -> Columns:
    """Return the official figures; one that a benchmark does not compute is null."""
    keys = [(job.id, text) for job, text in zip(batch.jobs, batch.texts, strict=True)]
    scored = score_texts(dict(zip(keys, batch.jobs, strict=True)))
    names = dict.fromkeys([*crm_reward.KEYS, *worfeval.KEYS])
    # A benchmark with figures of its own needs no change here: they become columns too.
    names.update(dict.fromkeys(name for row in scored.values() for name in row))
    return {
        name: [_value(name, scored[key], job) for key, job in zip(keys, batch.jobs, strict=True)]
        for name in names
    }


def _value(name: str, row: Mapping[str, float | None], job: Job) -> Value:
    value = row.get(name)
    return Null(f"no figure of {job.reward_metric}") if value is None else value


def score_texts(
    wanted: Mapping[tuple[str, str], Job],
) -> dict[tuple[str, str], Mapping[str, float | None]]:
    """Return the official figures of each (job id, text), each scored once.

    Args:
        wanted: The job of each (job id, text).
    """
    figures = {}
    for chunk in batched(wanted.items(), 1024):
        plans = [(key[1], job) for key, job in chunk if job.reward_metric == "workflow"]
        worfeval.warm((text, str(job.references[0])) for text, job in plans)
        for key, job in chunk:
            figures[key] = BENCHMARKS[job.benchmark].score(key[1], job)
    return figures


def batched(items: Iterable[T], size: int) -> Iterator[list[T]]:
    """Yield the items in lists of ``size``."""
    rest = iter(items)
    while chunk := list(islice(rest, size)):
        yield chunk
