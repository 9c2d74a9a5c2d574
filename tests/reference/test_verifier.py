"""The verifier's labels and scores."""

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from ttc_bench.reference.batches import IGNORE
from ttc_bench.reference.conversations import TASKS, gold_text
from ttc_bench.reference.network import export, new_model
from ttc_bench.reference.sampling import prompt_text
from ttc_bench.reference.settings import ModelParams, TrainParams, VerifierParams
from ttc_bench.reference.verifier import (
    Judged,
    collate_judged,
    encode_judged,
    judge,
    judge_loss,
    judge_samples,
    score_rows,
    verifier_from,
)

SIZE = ModelParams(layers=2, width=32, heads=2, inner=64)


def judged(text: Callable[[str], str] = str) -> Judged:
    problem = TASKS["handle_time"].problem(random.Random(0), "easy", "train")
    return judge(problem, text(gold_text(problem)))


def labels_of(tokenizer: Any, row: Judged) -> list[tuple[str, int]]:
    (coded,) = encode_judged(tokenizer, [row])
    words = [tokenizer.decode([token]) for token in coded.ids]
    return [(w, n) for w, n in zip(words, coded.learn, strict=True) if n != IGNORE]


def test_labels_turn_at_the_first_wrong_token(tiny_tokenizer: Any) -> None:
    row = judged(lambda gold: gold.replace("Answer: ", "Answer: x", 1))
    found = labels_of(tiny_tokenizer, row)
    assert "".join(word for word, _ in found) == row.text
    right = "".join(word for word, label in found if label)
    assert row.text.startswith(right)
    assert right.rstrip().endswith("Answer:")
    assert [label for _, label in found] == sorted((label for _, label in found), reverse=True)


def test_a_right_solution_is_right_everywhere(tiny_tokenizer: Any) -> None:
    assert {label for _, label in labels_of(tiny_tokenizer, judged())} == {1}


def test_what_was_left_out_makes_the_last_token_wrong(tiny_tokenizer: Any) -> None:
    row = judged(lambda gold: gold.rsplit("\n", 1)[0])
    labels = [label for _, label in labels_of(tiny_tokenizer, row)]
    assert labels == [1] * (len(labels) - 1) + [0]


def test_labels_are_not_shifted(tiny_tokenizer: Any) -> None:
    row = judged(lambda gold: gold + "0")
    (coded,) = encode_judged(tiny_tokenizer, [row])
    batch = collate_judged([coded, coded], 0)
    assert batch.inputs[0].tolist() == coded.ids
    assert batch.labels[0, -2:].tolist() == [1, 0]


def test_half_of_the_loss_is_on_the_last_tokens(tiny_tokenizer: Any) -> None:
    model = verifier_from(new_model(SIZE, tiny_tokenizer, 0)).eval()
    torch.nn.init.normal_(model.score.weight)
    rows = [judged(), judged(lambda gold: gold + "0")]
    batch = collate_judged(encode_judged(tiny_tokenizer, rows), 0)
    loss, whole = judge_loss(model, batch, TrainParams(), random.Random(0))
    scores = score_rows(model, tiny_tokenizer, [(row.prompt, row.text) for row in rows])
    right, wrong = scores
    assert abs(float(whole) + (math.log(right) + math.log(1 - wrong)) / 2) < 1e-3
    assert loss.requires_grad


def test_cores_share_the_problems(tiny_tokenizer: Any) -> None:
    model = new_model(SIZE, tiny_tokenizer, 0)
    task = TASKS["lead_qualification"]
    problems = [task.problem(random.Random(i), "easy", "train") for i in range(3)]
    params = VerifierParams(samples=2, sampling_workers=2)
    found = judge_samples(model, tiny_tokenizer, problems, params)
    assert {row.prompt for row in found} == {prompt_text(p) for p in problems}
    assert len(found) == 6
    assert all(row.right is not None for row in found), "an untrained model solves nothing"


def test_starts_undecided_and_scores_like_hugging_face(tiny_tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    verifier = verifier_from(new_model(SIZE, tiny_tokenizer, 0)).eval()
    row = judged()
    assert score_rows(verifier, tiny_tokenizer, [(row.prompt, row.text)]) == [0.5]
    torch.nn.init.normal_(verifier.score.weight)
    export(verifier, tiny_tokenizer, tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    ids = tiny_tokenizer(row.prompt + row.text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        theirs = float(loaded(ids).logits.sigmoid())
    (ours,) = score_rows(loaded, tiny_tokenizer, [(row.prompt, row.text)])
    assert abs(ours - theirs) < 1e-4
