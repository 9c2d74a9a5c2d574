"""How likely a response is under its own model, and under a local model of one's choice.

The mean log-probability is what the answering model reported. The perplexities need a causal
language model that can be run here (``score.likelihood_model``): without one they are null,
because scoring makes no model call that was not asked for.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from ttc_bench.benchmarks.scoring.encoder import quietly
from ttc_bench.engines.runtime.chat import Prompter
from ttc_bench.engines.runtime.stream import encode
from ttc_bench.errors import UserError
from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, Value, family
from ttc_bench.metrics.text_overlap import spread
from ttc_bench.types import Message

_OFF = Null("score.likelihood_model names no model")
_EMPTY = Null("no token to predict")
_UNKNOWN = Null("the answer is no single completion, or its model tells no log-probabilities")
_SOURCE = "language model named by score.likelihood_model"


@family(
    "likelihood",
    [
        MetricSpec(
            "mean_logprob",
            "nat/token",
            (None, 0.0),
            True,
            "Mean log-probability of the tokens of the completion behind the answer.",
            "answering model",
        ),
        MetricSpec(
            "response_perplexity",
            "1",
            (1.0, None),
            False,
            "exp of the mean surprisal of the response's tokens, given the prompt.",
            _SOURCE,
        ),
        MetricSpec(
            "reference_perplexity",
            "1",
            (1.0, None),
            None,
            "exp of the mean surprisal of the reference's tokens, given the prompt.",
            _SOURCE,
        ),
    ],
    encodes=True,
)
def likelihood(batch: ScoringBatch) -> Columns:
    """Return the surprisal and perplexity of each response, and the reference's perplexity."""
    noted = [_UNKNOWN if value is None else value for value in batch.column("mean_logprob")]
    name = batch.params.likelihood_model
    if name is None:
        off: list[Value] = [_OFF] * len(batch)
        return {"mean_logprob": noted, "response_perplexity": off, "reference_perplexity": off}
    prompts = [job.messages for job in batch.jobs]
    has_text = [reference is not None for reference in batch.references]
    pairs = [(p, r) for p, r in zip(prompts, batch.references, strict=True) if r is not None]
    return {
        "mean_logprob": noted,
        "response_perplexity": perplexities(list(zip(prompts, batch.texts, strict=True)), name),
        "reference_perplexity": spread(perplexities(pairs, name), has_text),
    }


def perplexities(pairs: Sequence[tuple[tuple[Message, ...], str]], name: str) -> list[Value]:
    """Return the perplexity of each text as an answer to its chat messages.

    Each distinct pair is read once, in one pass of its own, so that a figure does not depend
    on what else is scored.

    Args:
        pairs: Chat messages and the text that answers them.
        name: Folder or Hugging Face name of a causal language model.

    Raises:
        UserError: If the model cannot be loaded.
    """
    model, tokenizer = _causal(name)
    done: dict[tuple[tuple[Message, ...], str], Value] = {}
    for messages, text in pairs:
        if (messages, text) not in done:
            prompt = Prompter(tokenizer).encode(messages)
            done[messages, text] = _perplexity(model, tokenizer, prompt, text)
    return [done[pair] for pair in pairs]


def _perplexity(model: Any, tokenizer: Any, prompt: list[int], text: str) -> Value:
    import torch

    answer = encode(tokenizer, text)
    window = int(model.config.max_position_embeddings)
    # The nearest context counts most: a prompt that is too long loses its beginning.
    answer = answer[: window - 1]
    context = prompt[-(window - len(answer)) :]
    if not answer or not context:
        return _EMPTY
    with torch.inference_mode():
        logits = model(torch.tensor([context + answer])).logits[0, len(context) - 1 : -1].float()
    chosen = logits.log_softmax(-1).gather(1, torch.tensor(answer).unsqueeze(1))
    return math.exp(min(-float(chosen.mean()), 700.0))


@lru_cache(maxsize=1)
def _causal(name: str) -> tuple[Any, Any]:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(name)
        model: Any = quietly(AutoModelForCausalLM.from_pretrained, name)
        return model.eval(), tokenizer
    except (OSError, ValueError) as error:
        raise UserError(
            f"score.likelihood_model: {name!r} is not a causal language model ({error})."
        ) from error
