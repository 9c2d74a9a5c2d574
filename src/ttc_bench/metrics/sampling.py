"""What a policy's candidate answers were worth, and how far its confidence can be trusted."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from math import comb, isfinite
from typing import Any, NamedTuple

from pydantic import StrictFloat, StrictStr, TypeAdapter
from typing_extensions import TypedDict

from ttc_bench.benchmarks import benchmark_of
from ttc_bench.metrics.base import (
    PASS_AT,
    Columns,
    MetricSpec,
    Null,
    ScoreParams,
    ScoringBatch,
    Value,
    family,
)
from ttc_bench.metrics.benchmark import batched, score_texts
from ttc_bench.metrics.stored import damaged, of_json
from ttc_bench.types import Job

_FEW = Null("the policy drew fewer than two samples")
_BINS = 10


class _Pool(TypedDict, total=False):
    """What a policy that draws a pool notes of it; see `pool_note`."""

    pool: dict[str, StrictFloat]
    scores: list[StrictFloat | None] | None
    scored_by: StrictStr


_NOTES = TypeAdapter(dict[str, Any])
_POOL = TypeAdapter(_Pool)


class Candidates(NamedTuple):
    """The samples of one response.

    Attributes:
        rewards: Reward of each sample.
        answers: Canonical answer of each sample; ``None`` is unreadable.
    """

    rewards: list[float]
    answers: list[Hashable]


def _spec(
    name: str,
    better: bool | None,
    definition: str,
    source: str,
    top: float | None = 1.0,
    unit: str = "1",
) -> MetricSpec:
    return MetricSpec(name, unit, (0.0, top), better, definition, source)


@family(
    "sampling",
    [
        _spec("samples_drawn", None, "Candidate answers.", "policy", None, "samples"),
        *(
            _spec(
                f"pass_at_{k}",
                True,
                f"Unbiased estimate of the chance that one of {k} samples is correct.",
                "arXiv 2107.03374",
            )
            for k in PASS_AT
        ),
        _spec("majority_reward", True, "Reward of the most frequent answer.", "arXiv 2203.11171"),
        _spec("oracle_reward", True, "Reward of the best sample.", "arXiv 2407.21787"),
        _spec("mean_sample_reward", True, "Mean reward of the samples.", "this project"),
        _spec("selection_regret", False, "Oracle reward minus reward.", "this project"),
        _spec("answer_diversity", None, "Distinct answers over samples.", "this project"),
        _spec("unreadable_share", False, "Samples without a readable answer.", "this project"),
        _spec(
            "confidence",
            None,
            "The policy's own confidence, else the share of samples that agree with its answer.",
            "policy, arXiv 2203.11171",
        ),
        _spec(
            "brier",
            False,
            "Squared distance of the confidence from correct (1) or not (0).",
            "Brier 1950",
        ),
        _spec(
            "ece",
            False,
            "Expected calibration error of the confidence, 10 bins, of the (model, policy, "
            "variant, benchmark); the same in each of its rows.",
            "arXiv 1706.04599",
        ),
    ],
    notes=["samples"],
)
def sampling(batch: ScoringBatch) -> Columns:
    """Return what the samples of each response were worth.

    The note ``samples`` holds the pool of the policies that draw one, for curves over fewer
    samples; see `pool_note`.
    """
    candidates = _candidates(batch)
    rewards = [r or 0.0 for r in batch.earlier["reward"]]
    noted = _noted(batch)
    confidence = _confidence(batch, candidates, noted)
    correct = [float(reward >= batch.params.success) for reward in rewards]
    several = [c if len(c.rewards) > 1 else None for c in candidates]
    return {
        "samples_drawn": [len(c.rewards) for c in candidates],
        **{f"pass_at_{k}": _pass_column(candidates, k, batch.params) for k in PASS_AT},
        "majority_reward": [_majority(c) if c else _FEW for c in several],
        "oracle_reward": [max(c.rewards) if c else _FEW for c in several],
        "mean_sample_reward": [sum(c.rewards) / len(c.rewards) if c else _FEW for c in several],
        "selection_regret": [
            max(max(c.rewards) - r, 0.0) if c else _FEW
            for c, r in zip(several, rewards, strict=True)
        ],
        "answer_diversity": [_diversity(c.answers) if c else _FEW for c in several],
        "unreadable_share": [
            c.answers.count(None) / len(c.answers) if c else _FEW for c in several
        ],
        "confidence": confidence,
        "brier": [
            c if c is None or isinstance(c, Null) else (float(c) - hit) ** 2
            for c, hit in zip(confidence, correct, strict=True)
        ],
        "ece": _ece_column(batch, confidence, correct),
        "samples": [
            pool_note(c, own, batch.params.success, len(set(texts or ())))
            for c, own, texts in zip(candidates, noted, batch.column("samples"), strict=True)
        ],
    }


def _noted(batch: ScoringBatch) -> list[Mapping[str, Any]]:
    """Return what the policy noted of each of its decisions.

    Raises:
        DataError: If the column ``info`` is no JSON object, or tells no pool as one is told.
    """
    names = ("policy", "variant", "info", "samples")
    rows = zip(batch.jobs, *(batch.column(name) for name in names), strict=True)
    noted: list[Mapping[str, Any]] = []
    for job, *values in rows:
        response = {"job_id": job.id, **dict(zip(names, values, strict=True))}
        own = of_json(_NOTES, response, "info") or {}
        pool = of_json(_POOL, response, "info") if "pool" in own else None
        scores, n = (pool or {}).get("scores"), len(response["samples"] or ())
        if scores and n and len(scores) != n:
            raise damaged(response, "info", ("scores",), f"{len(scores)} of {n} samples")
        noted.append(own)
    return noted


def pool_note(
    candidates: Candidates, noted: Mapping[str, Any], success: float, distinct: int
) -> str | None:
    """Return what later stages need of a pool of independent samples, as one JSON object.

    Its keys: ``pool`` (settings of the draws), ``rewards``, ``answers`` (a number per sample, equal
    for equal answers; null is unreadable), ``scores`` (by the name of what scored the samples;
    null is no finite score), ``success`` (reward from which a sample counts as correct) and
    ``distinct`` (different texts).

    Args:
        candidates: The samples of a response.
        noted: What the policy noted.
        success: Reward from which a sample counts as correct.
        distinct: Different texts among the samples.

    Returns:
        The note; ``None`` for a policy that noted no ``pool``.
    """
    if "pool" not in noted or not candidates.rewards:
        return None
    numbers: dict[Hashable, int] = {}
    # A stored response has null where a sample without an answer scored minus infinity.
    scores = [
        None if score is None or not isfinite(score) else score
        for score in noted.get("scores") or ()
    ]
    note = {
        "pool": noted["pool"],
        "rewards": candidates.rewards,
        "answers": [
            None if answer is None else numbers.setdefault(answer, len(numbers))
            for answer in candidates.answers
        ],
        "scores": {noted["scored_by"]: scores} if scores and "scored_by" in noted else {},
        "success": success,
        "distinct": distinct,
    }
    return json.dumps(note, separators=(",", ":"))


def pass_at_k(n: int, correct: int, k: int) -> float:
    """Return the unbiased estimate of pass@k: 1 - C(n - c, k) / C(n, k).

    Args:
        n: Samples drawn, at least ``k``.
        correct: Correct ones among them.
        k: Samples that an attempt may draw.
    """
    return 1.0 - comb(n - correct, k) / comb(n, k)


def _pass_column(candidates: Sequence[Candidates], k: int, params: ScoreParams) -> list[Value]:
    if k not in params.pass_at:
        return [Null("this k is not asked for")] * len(candidates)
    few = Null(f"fewer than {k} samples")
    return [
        pass_at_k(len(c.rewards), sum(r >= params.success for r in c.rewards), k)
        if len(c.rewards) >= k
        else few
        for c in candidates
    ]


def _candidates(batch: ScoringBatch) -> list[Candidates]:
    drawn = []
    rows = zip(batch.jobs, batch.column("samples"), strict=True)
    for chunk in batched(rows, 2048):
        by_text = {(job.id, text): job for job, texts in chunk for text in texts or ()}
        rewards = {key: row["reward"] or 0.0 for key, row in score_texts(by_text).items()}
        answers = {key: _parse(key[1], job) for key, job in by_text.items()}
        for job, texts in chunk:
            keys = [(job.id, text) for text in texts or ()]
            drawn.append(Candidates([rewards[k] for k in keys], [answers[k] for k in keys]))
    return drawn


def _parse(text: str, job: Job) -> Hashable:
    return benchmark_of(job).parse(text, job)


def _majority(candidates: Candidates) -> float:
    """Reward of the winner; of answers that tie, the one that came first wins."""
    votes = Counter(answer for answer in candidates.answers if answer is not None)
    if not votes:
        return 0.0
    winner = votes.most_common(1)[0][0]
    return candidates.rewards[candidates.answers.index(winner)]


def _diversity(answers: Sequence[Hashable]) -> float:
    return len(set(answers)) / len(answers)


def _confidence(
    batch: ScoringBatch, candidates: Sequence[Candidates], noted: Sequence[Mapping[str, Any]]
) -> list[Value]:
    values: list[Value] = []
    columns = (batch.jobs, batch.texts, noted, candidates)
    for job, text, own, drawn in zip(*columns, strict=True):
        stated = own.get("confidence")
        if isinstance(stated, int | float):
            values.append(min(max(float(stated), 0.0), 1.0))
        elif len(drawn.answers) > 1:
            values.append(drawn.answers.count(_parse(text, job)) / len(drawn.answers))
        else:
            values.append(Null("the policy states no confidence and drew fewer than two samples"))
    return values


def expected_calibration_error(confidence: Sequence[float], correct: Sequence[float]) -> float:
    """Return the mean distance of confidence and accuracy over 10 bins, weighted by size.

    Args:
        confidence: Stated confidence of each answer, in [0, 1].
        correct: 1 where the answer is correct, else 0.
    """
    bins: dict[int, list[tuple[float, float]]] = {}
    for pair in zip(confidence, correct, strict=True):
        bins.setdefault(min(int(pair[0] * _BINS), _BINS - 1), []).append(pair)
    gaps = (abs(sum(c for c, _ in rows) - sum(hit for _, hit in rows)) for rows in bins.values())
    return sum(gaps) / len(confidence)


def _ece_column(
    batch: ScoringBatch, confidence: Sequence[Value], correct: Sequence[float]
) -> list[Value]:
    values: list[Value] = [Null("no answer of the group has a confidence")] * len(batch)
    for rows in batch.groups():
        pairs = [(float(c), correct[r]) for r in rows if isinstance(c := confidence[r], float)]
        if pairs:
            figure = expected_calibration_error(*zip(*pairs, strict=True))
            for row in rows:
                values[row] = figure
    return values
