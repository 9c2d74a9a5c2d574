from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from tests.metrics.support import batch_of, is_null, make_job, make_response, run
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ttc_bench.errors import UserError
from ttc_bench.metrics.likelihood import perplexities

WORDS = ["<unk>", "who", "won", "?", "ann", "bob", "answer", ":"]


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny Llama with random weights and a tokenizer of whole words."""
    folder = tmp_path_factory.mktemp("causal")
    vocabulary = {word: i for i, word in enumerate(WORDS)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>").save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(WORDS),
        hidden_size=16,
        intermediate_size=16,
        num_hidden_layers=1,
        num_attention_heads=2,
        max_position_embeddings=32,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder


def test_perplexity_is_exp_of_the_mean_loss(causal: Path) -> None:
    job = make_job()
    model = LlamaForCausalLM.from_pretrained(causal).eval()
    pair = ((job.messages[0].model_copy(update={"content": "who won ?"}),), "ann bob")
    # Without a chat template the prompt is what an engine renders: "User: ...", "Assistant:".
    prompt = [0, 7, 1, 2, 3, 0, 7]
    ids = torch.tensor([[*prompt, 4, 5]])
    labels = torch.tensor([[*(-100 for _ in prompt), 4, 5]])
    with torch.no_grad():
        loss = float(model(ids, labels=labels).loss)
    assert perplexities([pair, pair], str(causal)) == [pytest.approx(math.exp(loss))] * 2


def test_the_family_without_and_with_a_model(causal: Path) -> None:
    job = make_job(references=("bob",))
    private = make_job(id="crmarena/2", reward_metric="privacy_rejection", references=(None,))
    pairs = [
        (job, make_response(job, "ann", mean_logprob=-0.5)),
        (job, make_response(job, "")),
        (private, make_response(private, "bob " * 100)),
    ]
    off = run("likelihood", batch_of(pairs))
    assert off["mean_logprob"][0] == -0.5
    assert all(map(is_null, off["mean_logprob"][1:]))
    assert all(map(is_null, off["response_perplexity"]))
    found = run("likelihood", batch_of(pairs, likelihood_model=str(causal)))
    assert float(found["response_perplexity"][0]) > 1.0  # type: ignore[arg-type]
    assert is_null(found["response_perplexity"][1])
    assert float(found["response_perplexity"][2]) > 1.0  # type: ignore[arg-type]
    assert found["reference_perplexity"][0] == found["reference_perplexity"][1]
    assert is_null(found["reference_perplexity"][2])


def test_a_path_that_is_no_model_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"score\.likelihood_model"):
        perplexities([], str(tmp_path))
