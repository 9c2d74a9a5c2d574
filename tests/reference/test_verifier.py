"""The verifier's training: what is judged, how it is paired, and what the loss rewards."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_bench.reference.batches import IGNORE, Encoded, collate
from ttc_bench.reference.conversations import TASKS
from ttc_bench.reference.network import export, new_model
from ttc_bench.reference.problems import LEVELS, Problem
from ttc_bench.reference.sampling import prompt_text
from ttc_bench.reference.settings import ModelParams, TrainParams, VerifierParams
from ttc_bench.reference.verifier import (
    Judged,
    Pair,
    cut_pairs,
    encode_pairs,
    judge,
    judge_samples,
    log_likelihoods,
    pair_feed,
    pair_loss,
    verifier_from,
)

SIZE = ModelParams(layers=2, width=32, heads=2, inner=64)


def problem(task: str = "handle_time", seed: int = 0) -> Problem:
    return TASKS[task].problem(random.Random(seed), "easy", "train")


def judged(number: int, *texts: str) -> list[Judged]:
    return judge(number, problem(), texts)


GOLD = TASKS["handle_time"].gold(problem())


@given(st.sampled_from(sorted(TASKS)), st.sampled_from(LEVELS), st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_every_way_is_right_and_another_answer_is_not(name: str, level: str, seed: int) -> None:
    task, rng = TASKS[name], random.Random(seed)
    asked = task.problem(rng, level, "train")
    texts = [task.gold(asked, way) for way in range(task.ways)]
    assert all(row.right for row in judge(0, asked, texts))
    assert not judge(0, asked, [texts[0] + "0"])[0].right


def test_a_crm_solution_is_judged_by_its_answer_and_a_plan_as_a_whole() -> None:
    steps, last = GOLD.rsplit("\n", 1)
    assert judged(0, f"{steps}0\n{last}")[0].right
    office = problem("office")
    plan = TASKS["office"].gold(office)
    assert not judge(0, office, [plan.replace("\n", "\n\n", 1)])[0].right


def test_a_problem_that_no_sample_solves_gets_its_gold_solution() -> None:
    assert [(row.text, row.right) for row in judged(0, "no", "no", "")] == [
        ("no", False),
        (GOLD, True),
    ]
    assert len(judged(0, GOLD, "no")) == 2


def test_every_wrong_solution_meets_a_right_one_of_its_problem(tiny_tokenizer: Any) -> None:
    other = f"{GOLD.splitlines()[0]}\n{GOLD}"
    rows = [*judged(0, GOLD, other, "a", "b", "c"), *judged(1, GOLD), *judged(2, "d")]
    pairs = encode_pairs(tiny_tokenizer, rows)
    told = [(learnt(tiny_tokenizer, p.right), learnt(tiny_tokenizer, p.wrong)) for p in pairs]
    assert told == [(GOLD, "a"), (other, "b"), (GOLD, "c"), (GOLD, "d")]


def learnt(tokenizer: Any, row: Encoded) -> str:
    text: str = tokenizer.decode([t for t, on in zip(row.ids, row.learn, strict=True) if on])
    return text


@given(st.lists(st.tuples(st.integers(2, 40), st.integers(2, 40)), min_size=1, max_size=30))
def test_parts_keep_within_their_tokens_and_lose_no_pair(lengths: list[tuple[int, int]]) -> None:
    rows = [Pair(*(Encoded([1] * n, [True] * n) for n in pair)) for pair in lengths]
    parts = cut_pairs(rows, 160)
    assert sorted(id(row) for part in parts for row in part) == sorted(map(id, rows))
    assert all(2 * len(part) * max(map(len, part)) <= 160 or len(part) == 1 for part in parts)


def test_right_and_wrong_alternate_in_a_batch(tiny_tokenizer: Any) -> None:
    pairs = encode_pairs(tiny_tokenizer, [*judged(0, GOLD, "a"), *judged(1, GOLD, "b")])
    epoch, batch = next(pair_feed(pairs, 0, 4096, first=3))
    counts = (batch.labels != IGNORE).sum(1).tolist()
    assert epoch == 3
    assert counts[0] == counts[2] > counts[1] == counts[3]


@pytest.fixture
def batch(tiny_tokenizer: Any) -> Any:
    pairs = encode_pairs(tiny_tokenizer, judged(0, GOLD, GOLD.replace("Answer", "Anwser"), "no"))
    return collate([row for pair in pairs for row in (pair.right, pair.wrong)], 0)


def test_likelihoods_are_those_of_hugging_face(batch: Any, tiny_tokenizer: Any) -> None:
    model = new_model(SIZE, tiny_tokenizer, 0).eval()
    for row, ours in enumerate(log_likelihoods(model, batch).detach().tolist()):
        loss = torch.nn.CrossEntropyLoss(reduction="sum", ignore_index=IGNORE)
        logits = model(batch.inputs[row : row + 1]).logits[0]
        theirs = float(loss(logits, batch.labels[row]).detach())
        assert ours == pytest.approx(-theirs, rel=1e-4)


def test_training_raises_the_right_solution_above_the_wrong(
    batch: Any, tiny_tokenizer: Any
) -> None:
    target = new_model(SIZE, tiny_tokenizer, 0).eval()
    verifier = verifier_from(target, 0.3)
    optimiser = torch.optim.AdamW(verifier.parameters(), 1e-2)
    compared = []
    for _ in range(12):
        loss, told = pair_loss(verifier, batch, TrainParams(), random.Random(0), target, 0.3)
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        optimiser.zero_grad()
        compared.append(float(told))
    assert compared[0] == pytest.approx(0.6931, abs=1e-3), "it starts as the target"
    assert compared[-1] < 0.3
    assert all(p.grad is None for p in target.parameters())
    right, wrong = (log_likelihoods(verifier, batch) - log_likelihoods(target, batch))[:2].tolist()
    assert right > wrong


def test_cores_share_the_problems(tiny_tokenizer: Any) -> None:
    model = new_model(SIZE, tiny_tokenizer, 0)
    problems = [problem("lead_qualification", seed) for seed in range(3)]
    params = VerifierParams(samples=2, sampling_workers=2)
    found = judge_samples(model, tiny_tokenizer, problems, params)
    assert {row.prompt for row in found} == {prompt_text(p) for p in problems}
    assert {row.problem for row in found} == {0, 1, 2}
    assert sum(row.right for row in found) == 3, "an untrained model solves nothing"


def test_the_product_reads_the_trained_reward(tiny_tokenizer: Any, tmp_path: Path) -> None:
    import asyncio
    import math

    from ttc_bench.engines.local import LocalModels
    from ttc_bench.types import Message

    target = new_model(SIZE, tiny_tokenizer, 0).eval()
    verifier = verifier_from(new_model(SIZE, tiny_tokenizer, 1).eval(), 0.3)
    export(target, tiny_tokenizer, tmp_path / "target")
    export(verifier, tiny_tokenizer, tmp_path / "verifier")
    roles = {role: str(tmp_path / role) for role in ("target", "verifier")}
    engine = LocalModels(**roles).build()
    question = (Message(role="user", content="Who?"),)
    (score,) = asyncio.run(engine.verify(question, ["Ana"])).scores
    prompt = tiny_tokenizer.apply_chat_template(
        [m.model_dump() for m in question], tokenize=False, add_generation_prompt=True
    )
    tokens = tiny_tokenizer(prompt + "Ana", add_special_tokens=False)["input_ids"]
    first = len(tiny_tokenizer(prompt, add_special_tokens=False)["input_ids"])
    row = Encoded([*tokens, 0], [i >= first for i in range(len(tokens))] + [False])
    told = collate([row], 0)
    ours, theirs = (
        float(log_likelihoods(model.to(torch.bfloat16).float(), told))
        for model in (verifier, target)
    )
    assert score == pytest.approx(1 / (1 + math.exp(-0.3 * (ours - theirs))), abs=1e-3)
