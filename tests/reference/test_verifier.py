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
    score_rows,
    verifier_from,
)

SIZE = ModelParams(layers=2, width=32, heads=2, inner=64)


def judged(wrong: int | None) -> Judged:
    problem = TASKS["handle_time"].problem(random.Random(0), "easy", "train")
    return Judged(prompt_text(problem), gold_text(problem), wrong)


def test_labels_stand_at_line_ends_breaks_and_the_end(tiny_tokenizer: Any) -> None:
    row = judged(2)
    (coded,) = encode_judged(tiny_tokenizer, [row])
    labels = [label for label in coded.learn if label != IGNORE]
    lines = row.text.split("\n")
    # A line end and a break per line; the last line has the end token instead of a break.
    assert labels == [1, 1] + [0, 0] * (len(lines) - 1)


def test_a_right_solution_is_right_everywhere(tiny_tokenizer: Any) -> None:
    (coded,) = encode_judged(tiny_tokenizer, [judged(None)])
    assert {label for label in coded.learn if label != IGNORE} == {1}


def test_the_header_of_a_workflow_is_no_step(tiny_tokenizer: Any) -> None:
    problem = TASKS["shop"].problem(random.Random(0), "easy", "train")
    row = Judged(prompt_text(problem), gold_text(problem), 1)
    (coded,) = encode_judged(tiny_tokenizer, [row])
    labels = [label for label in coded.learn if label != IGNORE]
    assert labels[:4] == [1, 1, 0, 0]


def test_labels_are_not_shifted(tiny_tokenizer: Any) -> None:
    (coded,) = encode_judged(tiny_tokenizer, [judged(1)])
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
