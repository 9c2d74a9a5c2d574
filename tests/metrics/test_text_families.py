from __future__ import annotations

import math
from functools import cache
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from tests.metrics.support import (
    PLAN,
    batch_of,
    is_null,
    make_job,
    make_response,
    run,
    workflow_job,
)

from ttc_bench.benchmarks.scoring.encoder import (
    EMBEDDED,
    Encoder,
    embedded,
    encoder_path,
    get_encoder,
)
from ttc_bench.errors import UserError
from ttc_bench.metrics.base import Null, ScoreParams
from ttc_bench.metrics.bertscore import bert_scores
from ttc_bench.metrics.ngrams import Counts, overlap, overlaps

TOKENS = ["the", "case", "was", "closed,", "by", "Agent-7:", "3.5", "—", "“ß”", "中", "x"]
WORDS = st.lists(st.sampled_from(TOKENS))
TEXTS = st.one_of(st.text(max_size=60), WORDS.map(" ".join))
SENTENCES = [
    "The agent closed the case in March.",
    "Case closed.",
    "Sales rose in every region but one, because of the new price list.",
    "Das Gerät kühlt sich ab",
]


@cache
def rouge_scorer() -> Any:
    from rouge_score.rouge_scorer import RougeScorer

    return RougeScorer(["rouge1", "rouge2", "rougeL"])


@settings(deadline=None, max_examples=200)
@given(TEXTS, TEXTS)
@example("", "")
@example("a", "")
@example("Ϩ" * 3, "Ϩ a ϩ")
@example("".join(map(chr, range(0x4E00, 0x4E60))), "".join(map(chr, range(0x4E20, 0x4E80))))
@example("\ud800 x", "x \ud800")
def test_overlap_equals_the_libraries(prediction: str, reference: str) -> None:
    import sacrebleu

    ours = overlap(Counts(prediction), Counts(reference))
    rouge = rouge_scorer().score(reference, prediction)
    official = [
        *(rouge[name].fmeasure for name in ("rouge1", "rouge2", "rougeL")),
        sacrebleu.sentence_bleu(prediction, [reference]).score / 100,
        sacrebleu.sentence_chrf(prediction, [reference]).score / 100,
    ]
    assert list(ours) == pytest.approx(official, abs=1e-9)
    assert overlaps([(prediction, reference)]) == [ours]


def test_overlap_of_very_long_texts() -> None:
    long, other = "agent case " * 9_000, "case agent closed " * 5_500
    assert len(long) > 90_000
    same, different = overlaps([(long, long), (long, other)])
    assert list(same) == pytest.approx([1.0] * 5)
    assert all(0.0 <= figure <= 1.0 for figure in different)


def test_only_the_answer_is_compared_and_a_refusal_has_no_reference() -> None:
    exact = make_job(references=("May", None))
    private = make_job(id="crmarena/2", reward_metric="privacy_rejection", references=(None,))
    plan = workflow_job()
    found = run(
        "text_overlap",
        batch_of(
            [
                (exact, make_response(exact, "I think of June.\nAnswer: May, None")),
                (private, make_response(private, "Answer: no")),
                (plan, make_response(plan, PLAN)),
            ]
        ),
    )
    assert found["text_exact"][0] == found["text_exact"][2] == 1.0
    assert isinstance(found["rouge_l"][1], Null)
    assert found["answer_words"] == [2, 1, len(PLAN.split())]
    assert found["response_words"] == [7, 2, len(PLAN.split())]


def test_the_embedded_encoder_equals_sentence_transformers() -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(encoder_path(EMBEDDED), device="cpu")
    texts = [*SENTENCES, "", "word " * 500]
    official = model.encode(texts, normalize_embeddings=True)
    ours = get_encoder(EMBEDDED).embed(texts)
    assert abs(official - ours).max() < 1e-6


def test_a_vector_does_not_depend_on_its_company() -> None:
    alone = Encoder(EMBEDDED).embed(SENTENCES[:1])
    together = Encoder(EMBEDDED).embed(SENTENCES * 8)
    assert (alone[0] == together[0]).all()
    assert Encoder(EMBEDDED).embed([]).shape[0] == 0


def test_any_sentence_transformers_model_can_be_the_encoder() -> None:
    folder = encoder_path(EMBEDDED)
    difference = Encoder(folder).embed(SENTENCES) - get_encoder(EMBEDDED).embed(SENTENCES)
    assert abs(difference).max() < 1e-6


def test_one_parameter_takes_the_published_encoders() -> None:
    published = ScoreParams(encoder="published")
    assert published.sentence_encoder() == "sentence-transformers/all-mpnet-base-v2"
    assert published.token_encoder() == "roberta-large"
    assert ScoreParams().sentence_encoder() == ScoreParams().token_encoder() == EMBEDDED
    assert ScoreParams(bert_score_model="published").sentence_encoder() == EMBEDDED


def test_any_encoder_serves_both_families() -> None:
    folder = encoder_path(EMBEDDED)
    job = make_job(references=("The case was closed.",))
    batch = [(job, make_response(job, f"Answer: {SENTENCES[0]}"))]
    for name in ("semantic", "bert_score"):
        for metric, (value,) in run(name, batch_of(batch, encoder=folder)).items():
            (embedded,) = run(name, batch_of(batch))[metric]
            assert value == pytest.approx(embedded, abs=1e-6)


def test_an_encoder_that_is_not_there_is_one_line(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    empty = str(tmp_path_factory.mktemp("empty"))
    with pytest.raises(UserError, match=r"score\.encoder: embedded"):
        Encoder(empty).embed(["x"])
    with pytest.raises(UserError, match=r"score\.bert_score_model: embedded"):
        bert_scores([("x", "y")], empty)


def test_bert_score_equals_the_library() -> None:
    from bert_score import BERTScorer

    pairs = [(a, b) for a in SENTENCES for b in SENTENCES]
    library = BERTScorer(model_type=encoder_path(EMBEDDED), num_layers=6, device="cpu")
    # In larger batches the library clips negative cosines wherever it pads.
    columns = library.score([a for a, _ in pairs], [b for _, b in pairs], batch_size=1)
    for scores, *official in zip(bert_scores(pairs, EMBEDDED), *columns, strict=True):
        assert list(scores) == pytest.approx([float(x) for x in official], abs=1e-6)
    assert bert_scores(pairs[:1], EMBEDDED) == bert_scores(pairs, EMBEDDED)[:1]


def test_a_text_is_encoded_once_for_its_sentence_vector_and_for_bert_score() -> None:
    import torch

    if torch.cuda.is_available():
        pytest.skip("BERTScore is computed on the GPU, sentence vectors are not")
    pair = ("a text that no other test holds", "and the one that it is beside")
    passes: list[Any] = []
    with embedded()._model.register_forward_hook(lambda *call: passes.append(call)):
        get_encoder(EMBEDDED).embed(pair)
        assert len(passes) == 2
        bert_scores([pair], EMBEDDED)
        assert len(passes) == 2


def test_similarity_families_on_odd_texts() -> None:
    answers = ["Answer: May", "", "   ", "Answer: " + "x" * 100_000, "Answer: \u2603"]
    jobs = [make_job(id=f"crmarena/{i}", references=("May",)) for i in range(len(answers))]
    batch = batch_of([(j, make_response(j, a)) for j, a in zip(jobs, answers, strict=True)])
    for name in ("semantic", "bert_score"):
        for values in run(name, batch).values():
            assert values[0] == pytest.approx(1.0, abs=1e-5)
            assert is_null(values[1])
            assert is_null(values[2])
            assert all(-1 <= float(v) <= 1.001 for v in values[3:])  # type: ignore[arg-type]
            assert all(math.isfinite(float(v)) for v in values[3:])  # type: ignore[arg-type]
