"""Closeness in meaning, by the vectors of a language model.

The encoders' names stand in the columns ``encoder`` and ``bert_encoder``: scores of different
encoders do not compare. Both families work offline with the embedded encoder;
``score.encoder: published`` takes the published ones (all-mpnet-base-v2, roberta-large).
"""

from __future__ import annotations

from ttc_bench.benchmarks.scoring.encoder import get_encoder
from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, Value, family
from ttc_bench.metrics.bertscore import bert_scores
from ttc_bench.metrics.text_overlap import spread

EMPTY = Null("an empty text has no vectors")


@family(
    "semantic",
    [
        MetricSpec(
            "semantic_similarity",
            "1",
            (-1.0, 1.0),
            True,
            "Cosine of the sentence vectors of answer and reference.",
            "sentence-transformers, arXiv 1908.10084",
        )
    ],
    encodes=True,
)
def semantic(batch: ScoringBatch) -> Columns:
    """Return the cosine similarity of each answer with its reference."""
    pairs = _pairs(batch)
    encoder = get_encoder()
    values: list[Value] = []
    for start in range(0, len(pairs), 4096):
        chunk = pairs[start : start + 4096]
        both = encoder.embed([text for pair in chunk for text in pair])
        values += (both[0::2] * both[1::2]).sum(axis=1).tolist() if chunk else []
    values = [
        value if answer.strip() else EMPTY for value, (answer, _) in zip(values, pairs, strict=True)
    ]
    return {"semantic_similarity": spread(values, _known(batch))}


def _spec(name: str, definition: str) -> MetricSpec:
    # Cosines can be slightly negative, and rounding can exceed 1 in the last digit.
    return MetricSpec(name, "1", (-1.0, 1.0), True, definition, "bert-score, arXiv 1904.09675")


@family(
    "bert_score",
    [
        _spec("bert_precision", "Mean best cosine of each answer token with the reference."),
        _spec("bert_recall", "Mean best cosine of each reference token with the answer."),
        _spec("bert_f1", "Harmonic mean of the two."),
    ],
    encodes=True,
)
def bert_score(batch: ScoringBatch) -> Columns:
    """Return BERTScore of each answer with its reference."""
    pairs = _pairs(batch)
    full = [pair for pair in pairs if pair[0].strip() and pair[1].strip()]
    scores = dict(zip(full, bert_scores(full, batch.params.token_encoder()), strict=True))
    rows = [scores.get(pair, (EMPTY,) * 3) for pair in pairs]
    names = ("bert_precision", "bert_recall", "bert_f1")
    columns: list[list[Value]] = [[row[i] for row in rows] for i in range(3)]
    return {n: spread(c, _known(batch)) for n, c in zip(names, columns, strict=True)}


def _pairs(batch: ScoringBatch) -> list[tuple[str, str]]:
    both = zip(batch.answers, batch.references, strict=True)
    return [(answer, reference) for answer, reference in both if reference is not None]


def _known(batch: ScoringBatch) -> list[bool]:
    return [reference is not None for reference in batch.references]
