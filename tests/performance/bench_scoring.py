"""How fast scoring is beside plain use of the same libraries, and what it holds in memory.

``python tests/performance/bench_scoring.py`` prints a table. A suite is 10 variants over the
same jobs; half of the variants are greedy and answer alike, as speculative decoding or an
elastic batch do. "Plain" calls the libraries once per row (encoders: once per variant, all rows
in one batch). Both sides have their models loaded; rates are pairs per second.
"""

from __future__ import annotations

import argparse
import random
import resource
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from ttc_bench.benchmarks.scoring import encoder
from ttc_bench.benchmarks.scoring.text import token_f1
from ttc_bench.engines.ledger import Call, Ledger
from ttc_bench.metrics import bertscore, ngrams
from ttc_bench.metrics.base import ScoreParams
from ttc_bench.pipelines.score.nodes import score_responses
from ttc_bench.policies.responses import Response, to_frame
from ttc_bench.types import Job, Message

Pairs = list[tuple[str, str]]
VARIANTS = 10
TEXT = """
the case was closed by agent after review of customer order and policy number with long
handling time in march while other regions had fewer transfers because shipping dates of
products moved quarter revenue grew slower than planned quotes need approval contract
renewal lead qualified budget authority timeline issue reported escalation
"""
VOCABULARY = TEXT.split()


class Line(NamedTuple):
    """One line of the table."""

    what: str
    plain: float
    ours: float
    difference: float

    def __str__(self) -> str:
        rates = f"{self.plain:10.0f} {self.ours:10.0f} {self.ours / self.plain:8.1f}"
        return f"{self.what:46} {rates} {self.difference:12.1e}"


def make_suite(jobs: int, words: int, seed: int = 0) -> list[Pairs]:
    """Return the (prediction, reference) pairs of each variant."""
    rnd = random.Random(seed)

    def text() -> str:
        return " ".join(rnd.choices(VOCABULARY, k=words))

    def answer(reference: str) -> str:
        return " ".join(
            w if rnd.random() < 0.7 else rnd.choice(VOCABULARY) for w in reference.split()
        )

    references = [text() for _ in range(jobs)]
    greedy = [answer(reference) for reference in references]
    own = [[answer(r) for r in references] for _ in range(VARIANTS // 2)]
    answers = [greedy] * (VARIANTS - len(own)) + own
    return [list(zip(variant, references, strict=True)) for variant in answers]


def timed(work: Callable[[Pairs], Any], variants: Sequence[Pairs]) -> tuple[float, np.ndarray]:
    """Return pairs per second over all variants, and the figures."""
    start = time.perf_counter()
    figures = [row for pairs in variants for row in work(pairs)]
    rate = sum(map(len, variants)) / (time.perf_counter() - start)
    return rate, np.array(figures, dtype=float)


def compare(what: str, plain: Any, ours: Any, variants: Sequence[Pairs]) -> Line:
    """Run both sides on the same variants."""
    slow, official = timed(plain, variants)
    fast, figures = timed(ours, variants)
    return Line(what, slow, fast, float(abs(official - figures).max()))


def plain_overlap() -> Callable[[Pairs], list[Any]]:
    """Return plain per-row use of rouge-score and sacrebleu, with our token F1."""
    import sacrebleu
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(["rouge1", "rouge2", "rougeL"])

    def row(prediction: str, reference: str) -> tuple[float, ...]:
        rouge = scorer.score(reference, prediction)
        return (
            *(rouge[name].fmeasure for name in ("rouge1", "rouge2", "rougeL")),
            sacrebleu.sentence_bleu(prediction, [reference]).score / 100,
            sacrebleu.sentence_chrf(prediction, [reference]).score / 100,
            token_f1(prediction, reference),
        )

    return lambda pairs: [row(*pair) for pair in pairs]


def our_overlap(pairs: Pairs) -> list[tuple[float, ...]]:
    """Return the same figures by `ttc_bench.metrics.ngrams`."""
    return [(*o, token_f1(*p)) for o, p in zip(ngrams.overlaps(pairs), pairs, strict=True)]


def plain_bert() -> Callable[[Pairs], Any]:
    """Return plain use of bert-score, all rows of a variant at once."""
    from bert_score import BERTScorer

    scorer = BERTScorer(model_type=encoder.encoder_path(encoder.EMBEDDED), num_layers=6)
    return lambda pairs: np.array(scorer.score([a for a, _ in pairs], [b for _, b in pairs])).T


def plain_similarity() -> Callable[[Pairs], Any]:
    """Return plain use of sentence-transformers, all rows of a variant at once."""
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(encoder.encoder_path(encoder.EMBEDDED))

    def score(pairs: Pairs) -> Any:
        left = model.encode([a for a, _ in pairs], normalize_embeddings=True)
        right = model.encode([b for _, b in pairs], normalize_embeddings=True)
        return (left * right).sum(axis=1)

    return score


def our_similarity(pairs: Pairs) -> Any:
    """Return the same by `ttc_bench.benchmarks.scoring.encoder`."""
    both = encoder.get_encoder().embed([text for pair in pairs for text in pair])
    return (both[0::2] * both[1::2]).sum(axis=1)


def big_table(rows: int, params: ScoreParams) -> str:
    """Score many responses and say what it took."""
    jobs = [_job(i) for i in range(rows // VARIANTS)]
    answers = [pairs[i % len(pairs)][0] for pairs in make_suite(400, 100) for i in range(len(jobs))]
    call = Call(request=0, role="target", purpose="answer", model="m", prefill_flops=1.0)
    responses = [
        Response(
            job_id=job.id, benchmark=job.benchmark, task=job.task, difficulty=None, model="m",
            engine="local", policy="p", variant=f"v{v}", status="ok",
            text=f"{answers[v * len(jobs) + i]}\nAnswer: {answers[v * len(jobs) + i]}",
            itl_s=(0.01,) * 100, ledger=Ledger([call]),
        )
        for v in range(VARIANTS)
        for i, job in enumerate(jobs)
    ]  # fmt: skip
    table = to_frame(responses)
    del responses
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    start = time.perf_counter()
    scores = score_responses(table, jobs, params)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return (
        f"{len(scores)} responses of 200 words, {scores.shape[1]} columns: {seconds:.0f} s "
        f"({len(scores) / seconds:.0f}/s), peak memory {peak:.2f} GiB ({before:.2f} before)"
    )


def _job(i: int) -> Job:
    return Job(
        id=f"crmarena/{i}", benchmark="crmarena", task="knowledge_qa", max_tokens=9,
        messages=(Message(role="user", content=f"Question {i}?"),),
        references=(" ".join(random.Random(i).choices(VOCABULARY, k=100)),),
        reward_metric="fuzzy_match",
    )  # fmt: skip


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=100, help="jobs of the text suite")
    parser.add_argument("--encoder-jobs", type=int, default=20, help="jobs of the encoder suite")
    parser.add_argument("--rows", type=int, default=40_000, help="responses of the memory test")
    parser.add_argument(
        "--every-family", action="store_true", help="only the memory test, encoders included"
    )
    options = parser.parse_args()
    if options.every_family:
        print(big_table(options.rows, ScoreParams()))
        return
    print(f"{'':46} {'plain/s':>10} {'ours/s':>10} {'times':>8} {'difference':>12}")
    unique = make_suite(options.jobs, 100, seed=1)[-1:]
    suite = make_suite(options.jobs, 100)
    our_overlap(suite[0][:1])
    print(compare("text overlap, 100 words, no pair twice", plain_overlap(), our_overlap, unique))
    print(compare("text overlap, 100 words, suite", plain_overlap(), our_overlap, suite))
    suite = make_suite(options.encoder_jobs, 50)
    plain, ours = plain_similarity(), our_similarity
    ours(suite[-1][:1]), plain(suite[-1][:1])
    print(compare("semantic similarity, 50 words, suite", plain, ours, suite))
    score = plain_bert()
    bertscore.bert_scores([("a", "b")], encoder.EMBEDDED)
    own: Any = lambda pairs: bertscore.bert_scores(pairs, encoder.EMBEDDED)  # noqa: E731
    print(compare("BERTScore, 50 words, suite", score, own, suite))
    print(big_table(options.rows, ScoreParams(families={"semantic": False, "bert_score": False})))


if __name__ == "__main__":
    main()
