"""Reading without generating: surprisal of a text, scores of a verifier."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.engines.tiny_models import (
    CORPUS,
    ask,
    llama_config,
    save,
    save_implicit_verifier,
    save_llama,
    save_verifier,
)
from transformers import (
    AutoModelForCausalLM,
    GPT2Config,
    GPT2LMHeadModel,
    LlamaForCausalLM,
    LlamaForSequenceClassification,
    LlamaForTokenClassification,
)

from ttc_bench.engines.completion import CallError, Reading
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.errors import UserError
from ttc_bench.types import Message

SOLUTIONS = ["Answer: 42", "First, count the cases.\nThen sum the minutes.\nAnswer: 17", ""]
QUESTION = ask(CORPUS[1]).messages


def verify(engine: LocalEngine, solutions: list[str]) -> Reading:
    return asyncio.run(engine.verify(QUESTION, solutions))


@pytest.mark.parametrize("cls", [LlamaForSequenceClassification, LlamaForTokenClassification])
def test_scores_are_the_head_at_the_last_token(
    cls: type, tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    path = save_verifier(tmp_path, cls)
    engine = LocalModels(target=tiny_paths["target"], verifier=path).build()
    reading = verify(engine, SOLUTIONS)
    model = cls.from_pretrained(path)  # type: ignore[attr-defined]
    prompter = engine.language_model().prompter
    for score, solution in zip(reading.scores, SOLUTIONS, strict=True):
        tokens = prompter.encode((*QUESTION, Message(role="assistant", content=solution)))
        logit = model(torch.tensor([tokens])).logits.detach().flatten()[-1]
        assert score == pytest.approx(float(logit.sigmoid()), abs=1e-5)
    assert (reading.usage.prefill_flops or 0) > 0


def test_each_score_is_independent_of_its_company(engine: LocalEngine) -> None:
    many = [f"Step {i}: look at case {i}. " * (i % 5 + 1) for i in range(21)]
    together = verify(engine, many)
    alone = [verify(engine, [solution]).scores[0] for solution in many]
    assert together.scores == pytest.approx(alone, abs=1e-4)
    assert all(0 <= score <= 1 for score in together.scores)


def test_a_question_is_read_once_for_all_its_solutions(engine: LocalEngine) -> None:
    one, three = verify(engine, SOLUTIONS[:1]), verify(engine, SOLUTIONS[:1] * 3)
    extra = (three.usage.verifier_tokens - one.usage.verifier_tokens) / 2
    assert extra < one.usage.verifier_tokens / 2
    assert one.usage.forward_passes == three.usage.forward_passes == 2
    assert three.timing.latency_s > 0


def test_a_partial_assistant_turn_is_continued_for_the_verifier(tiny: LocalEngine) -> None:
    begun = (*QUESTION, Message(role="assistant", content="First, "))
    reading = asyncio.run(tiny.verify(begun, ["count."]))
    assert len(reading.scores) == 1


def test_a_solution_beyond_the_window_is_a_failed_call(tiny: LocalEngine) -> None:
    with pytest.raises(CallError, match="512"):
        verify(tiny, ["1" * 600])
    assert verify(tiny, []).scores == ()


def logprob(path: str, prompt: list[int], solution: list[int]) -> float:
    model = AutoModelForCausalLM.from_pretrained(path)
    with torch.no_grad():
        logprobs = model(torch.tensor([prompt + solution])).logits[0].log_softmax(-1)
    places = range(len(prompt) - 1, len(prompt) + len(solution) - 1)
    return sum(float(logprobs[place, token]) for place, token in zip(places, solution, strict=True))


@pytest.mark.parametrize("reference", ["llama", "gpt2"])
def test_an_implicit_reward_is_the_log_likelihood_ratio_of_the_solution(
    reference: str, tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    beside = tiny_paths["target"]
    if reference == "gpt2":
        config = GPT2Config(vocab_size=400, n_positions=512, n_embd=32, n_layer=2, n_head=2)
        beside = save(GPT2LMHeadModel(config), tmp_path / "gpt2")
    path = save_implicit_verifier(tmp_path / "verifier", beside)
    engine = LocalModels(target=tiny_paths["target"], verifier=path).build()
    scores = verify(engine, SOLUTIONS).scores
    model = engine.language_model()
    prompt = model.prompter.encode(QUESTION)
    for score, solution in zip(scores, SOLUTIONS, strict=True):
        tokens = model.tokenizer(solution, add_special_tokens=False)["input_ids"]
        ratio = logprob(path, prompt, tokens) - logprob(beside, prompt, tokens)
        assert score == pytest.approx(1 / (1 + math.exp(-0.5 * ratio)), abs=1e-4)
    assert scores[2] == 0.5, "nothing was said yet"


def test_without_a_reference_the_score_is_a_power_of_the_likelihood(
    tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    path = save_implicit_verifier(tmp_path, None)
    engine = LocalModels(target=tiny_paths["target"], verifier=path).build()
    reading = verify(engine, SOLUTIONS)
    model = engine.language_model()
    prompt = model.prompter.encode(QUESTION)
    for score, solution in zip(reading.scores, SOLUTIONS, strict=True):
        tokens = model.tokenizer(solution, add_special_tokens=False)["input_ids"]
        assert score == pytest.approx(math.exp(0.5 * logprob(path, prompt, tokens)), rel=1e-3)
    assert reading.scores[2] == 1.0, "nothing was said yet"
    assert reading.usage.layers_run == 8, "two passes of one model with four layers"


def test_an_implicit_reward_covers_what_stands_in_the_question(
    tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    path = save_implicit_verifier(tmp_path, tiny_paths["target"])
    engine = LocalModels(target=tiny_paths["target"], verifier=path).build()
    begun = (*QUESTION, Message(role="assistant", content=SOLUTIONS[0]))
    continued = asyncio.run(engine.verify(begun, [" and more"]))
    whole = verify(engine, [SOLUTIONS[0] + " and more"])
    assert continued.scores == whole.scores
    assert continued.usage == whole.usage


def test_an_implicit_verifier_pays_for_both_models(
    tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    def bill(reference: str) -> Reading:
        path = save_implicit_verifier(tmp_path / f"for-{Path(reference).name}", reference)
        engine = LocalModels(target=tiny_paths["target"], verifier=path).build()
        return verify(engine, SOLUTIONS)

    small = save_llama(tmp_path / "small", seed=1, num_hidden_layers=1)
    large = bill(tiny_paths["target"])
    assert large.usage.layers_run == 16, "two passes of each of two models with four layers"
    assert bill(small).usage.layers_run == 10
    assert (bill(small).usage.prefill_flops or 0) < (large.usage.prefill_flops or 0)
    assert bill(small).usage.verifier_tokens == large.usage.verifier_tokens


def test_the_reference_is_part_of_an_implicit_verifier(
    tiny_paths: dict[str, str], tmp_path: Path
) -> None:
    folders = [tmp_path / "a", tmp_path / "b"]
    for seed, folder in enumerate(folders):
        save_llama(folder / "target", seed)
        save_implicit_verifier(folder / "verifier", "../target")
    first, second = (
        LocalModels(target=tiny_paths["target"], verifier=str(folder / "verifier")).build()
        for folder in folders
    )
    assert first.fingerprint("verifier") != second.fingerprint("verifier")
    assert verify(first, SOLUTIONS[:1]).scores != verify(second, SOLUTIONS[:1]).scores


@pytest.mark.parametrize(
    ("told", "wrong"),
    [
        ({"beta": 1, "reference": "../nowhere"}, "reference: '../nowhere' .* no such folder"),
        ({"beta": 0, "reference": "../target"}, r"implicit_reward.*beta"),
        ({"beta": 1, "referense": "../target"}, r"implicit_reward.*reference"),
        ({"beta": 1, "reference": "../other"}, "another tokenizer"),
    ],
)
def test_an_unusable_implicit_reward_is_one_clear_line(
    told: dict[str, object], wrong: str, tmp_path: Path
) -> None:
    target = save_llama(tmp_path / "target", seed=1)
    save(LlamaForCausalLM(llama_config()), tmp_path / "other", template=None)
    vocabulary = tmp_path / "other/tokenizer.json"
    vocabulary.write_text(vocabulary.read_text().replace('"agent"', '"tnega"', 1) + " ")
    path = save_llama(tmp_path / "verifier", seed=4, implicit_reward=told)
    with pytest.raises(UserError, match=wrong) as failure:
        LocalModels(target=target, verifier=path).build()
    assert "\n" not in failure.value.message


def test_surprisal_is_the_models_own(engine: LocalEngine) -> None:
    text = CORPUS[3]
    reading = asyncio.run(engine.prompt_logprobs(text, "target"))
    tokens = engine.language_model().tokenizer(text, add_special_tokens=False)["input_ids"]
    model = AutoModelForCausalLM.from_pretrained(engine.models.target, dtype=torch.float32)
    logprobs = model(torch.tensor([tokens])).logits[0].log_softmax(-1)
    expected = logprobs[:-1].gather(1, torch.tensor(tokens[1:])[:, None])[:, 0].tolist()
    assert reading.tokens[0].logprob is None
    assert [t.logprob for t in reading.tokens[1:]] == pytest.approx(expected, abs=1e-4)
    assert reading.usage.verifier_tokens == len(tokens)


@settings(max_examples=40, deadline=None)
@given(st.text(max_size=80))
def test_spans_partition_any_text(tiny: LocalEngine, text: str) -> None:
    reading = asyncio.run(tiny.prompt_logprobs(text, "target"))
    assert "".join(text[t.start : t.end] for t in reading.tokens) == text


def test_long_texts_are_read_in_windows(tiny: LocalEngine) -> None:
    text = " ".join(CORPUS * 12)
    reading = asyncio.run(tiny.prompt_logprobs(text, "draft"))
    assert len(reading.tokens) > 2 * 512
    assert all(t.logprob is not None and t.logprob < 0 for t in reading.tokens[1:])
    short = asyncio.run(tiny.prompt_logprobs(text[:400], "draft"))
    count = len(short.tokens) - 2
    assert [t.logprob for t in reading.tokens[1:count]] == pytest.approx(
        [t.logprob for t in short.tokens[1:count]], abs=1e-4
    )
