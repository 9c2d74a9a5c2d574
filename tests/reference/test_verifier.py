"""The verifier's labels and scores."""

import random
from pathlib import Path
from typing import Any

import torch

from ttc_bench.reference.batches import IGNORE
from ttc_bench.reference.conversations import TASKS, gold_text
from ttc_bench.reference.network import export, new_model
from ttc_bench.reference.sampling import prompt_text
from ttc_bench.reference.settings import ModelParams
from ttc_bench.reference.verifier import (
    Judged,
    collate_judged,
    encode_judged,
    judge,
    score_rows,
    verifier_from,
)

SIZE = ModelParams(layers=2, width=32, heads=2, inner=64)


def judged(right: int | None) -> Judged:
    problem = TASKS["handle_time"].problem(random.Random(0), "easy", "train")
    return Judged(prompt_text(problem), gold_text(problem), right)


def labels_of(tokenizer: Any, row: Judged) -> list[tuple[str, int]]:
    (coded,) = encode_judged(tokenizer, [row])
    words = tokenizer.convert_ids_to_tokens(coded.ids)
    return [(w, y) for w, y in zip(words, coded.learn, strict=True) if y != IGNORE]


def test_every_token_of_the_solution_is_right_until_the_mistake(tiny_tokenizer: Any) -> None:
    row = judged(len("-"))
    found = labels_of(tiny_tokenizer, row)
    _, labels = zip(*found, strict=True)
    whole = tiny_tokenizer.tokenize(row.text)
    assert len(found) == len(whole) + 1
    right = len(tiny_tokenizer.tokenize("-"))
    assert labels == (1,) * right + (0,) * (len(found) - right)


def test_a_number_that_is_half_right_is_wrong(tiny_tokenizer: Any) -> None:
    problem = TASKS["handle_time"].problem(random.Random(0), "easy", "train")
    text = gold_text(problem) + "7"
    row = judge(problem, text)
    assert row.right == len(text) - 1
    assert [y for _, y in labels_of(tiny_tokenizer, row)][-2:] == [0, 0]


def test_a_right_solution_is_right_everywhere(tiny_tokenizer: Any) -> None:
    assert {y for _, y in labels_of(tiny_tokenizer, judged(None))} == {1}


def test_a_solution_that_stops_early_is_wrong_at_its_end(tiny_tokenizer: Any) -> None:
    problem = TASKS["handle_time"].problem(random.Random(0), "easy", "train")
    row = judge(problem, gold_text(problem).rpartition("\n")[0])
    *before, (last, label) = labels_of(tiny_tokenizer, row)
    assert (last, label) == (tiny_tokenizer.eos_token, 0)
    assert {y for _, y in before} == {1}


def test_labels_are_not_shifted(tiny_tokenizer: Any) -> None:
    (coded,) = encode_judged(tiny_tokenizer, [judged(0)])
    batch = collate_judged([coded], 0)
    end = tiny_tokenizer.eos_token_id
    assert batch.inputs[0, -1] == end
    assert batch.labels[0, -1] == 0


def test_starts_undecided_and_scores_like_hugging_face(tiny_tokenizer: Any, tmp_path: Path) -> None:
    from transformers import AutoModelForSequenceClassification

    verifier = verifier_from(new_model(SIZE, tiny_tokenizer, 0)).eval()
    row = judged(None)
    assert score_rows(verifier, tiny_tokenizer, [(row.prompt, row.text)]) == [0.5]
    torch.nn.init.normal_(verifier.score.weight)
    export(verifier, tiny_tokenizer, tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path).eval()
    ids = tiny_tokenizer(row.prompt + row.text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        theirs = float(loaded(ids).logits.sigmoid())
    (ours,) = score_rows(loaded, tiny_tokenizer, [(row.prompt, row.text)])
    assert abs(ours - theirs) < 1e-4
