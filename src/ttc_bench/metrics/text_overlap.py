"""How much of the reference text is in the answer, word by word and letter by letter."""

from __future__ import annotations

from ttc_bench.benchmarks.scoring.base import share
from ttc_bench.benchmarks.scoring.text import f1_of_tokens, squad_normalise
from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, Value, family
from ttc_bench.metrics.ngrams import Overlap, overlaps

NO_REFERENCE = Null("the gold answer is a refusal, not a text")


@family(
    "text_overlap",
    [
        share("text_exact", "Normalised answer equals the normalised reference.", "SQuAD"),
        share("token_f1", "F1 of the normalised token multisets.", "SQuAD, arXiv 1606.05250"),
        share("rouge1", "F1 of words.", "rouge-score"),
        share("rouge2", "F1 of pairs of words.", "rouge-score"),
        share("rouge_l", "F1 by the longest common subsequence of words.", "rouge-score"),
        share("bleu", "Sentence BLEU, exponential smoothing, effective order.", "sacrebleu"),
        share("chrf", "chrF2: F2 of character n-grams up to 6.", "sacrebleu"),
        MetricSpec(
            "answer_words",
            "words",
            (0.0, None),
            None,
            "Words of the final answer (of the whole text for a workflow).",
            "this project",
        ),
        MetricSpec(
            "response_words",
            "words",
            (0.0, None),
            None,
            "Words of the whole response, reasoning included.",
            "this project",
        ),
    ],
)
def text_overlap(batch: ScoringBatch) -> Columns:
    """Return the overlap of each answer with its reference."""
    pairs = list(zip(batch.answers, batch.references, strict=True))
    texts = [(answer, reference) for answer, reference in pairs if reference is not None]
    exact, f1 = _tokens(texts)
    figures = overlaps(texts)
    columns: dict[str, list[Value]] = {"text_exact": [*exact], "token_f1": [*f1]}
    for name in Overlap._fields:
        columns[name] = [getattr(figure, name) for figure in figures]
    has_reference = [reference is not None for _, reference in pairs]
    return {
        **{name: spread(column, has_reference) for name, column in columns.items()},
        "answer_words": [len(answer.split()) for answer in batch.answers],
        "response_words": [len(text.split()) for text in batch.texts],
    }


def spread(values: list[Value], has_reference: list[bool]) -> list[Value]:
    """Return one value per row: the values where the gold answer is a text, else why not."""
    rest = iter(values)
    return [next(rest) if has else NO_REFERENCE for has in has_reference]


def _tokens(pairs: list[tuple[str, str]]) -> tuple[list[float], list[float]]:
    tokens = {text: squad_normalise(text).split() for pair in pairs for text in pair}
    exact = [float(tokens[answer] == tokens[reference]) for answer, reference in pairs]
    return exact, [f1_of_tokens(tokens[answer], tokens[reference]) for answer, reference in pairs]
