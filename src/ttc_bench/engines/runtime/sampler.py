"""Drawing tokens: one seeded stream of uniforms per sample, inverse-CDF sampling."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from functools import cached_property

import torch
from torch import Tensor

from ttc_bench.engines.base import Sampling
from ttc_bench.engines.completion import CallError

CHUNK = 64


class Sampler:
    """Draws the tokens of one sample.

    The uniforms come from a generator of its own, seeded by ``(seed, index)``, on the CPU
    whatever the model's device: a sample is the same whether it is drawn alone or with others.

    Args:
        sampling: Temperature, nucleus, top-k and seed.
        index: Seed index of the sample.
    """

    def __init__(self, sampling: Sampling, index: int) -> None:
        self.sampling = sampling
        self.greedy = sampling.temperature == 0
        self._index = index
        self._uniforms: list[float] = []

    @cached_property
    def _generator(self) -> torch.Generator:
        digest = hashlib.sha256(f"{self.sampling.seed}/{self._index}".encode()).digest()
        return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)

    def uniform(self) -> float:
        """Return the next uniform number in [0, 1)."""
        if not self._uniforms:
            drawn = torch.rand(CHUNK, generator=self._generator, dtype=torch.float64)
            self._uniforms = drawn.tolist()[::-1]
        return self._uniforms.pop()

    def probabilities(self, logits: Tensor) -> Tensor:
        """Return the distribution that tokens are drawn from, in float64, shape of ``logits``.

        Temperature comes first, then top-k, then the nucleus (arXiv 1904.09751), as in the
        library's own sampling.
        """
        # From the best one down: no temperature, however small, divides to infinity by infinity.
        scores = logits.double()
        scores = (scores - scores.amax(-1, keepdim=True)) / self.sampling.temperature
        if 0 < self.sampling.top_k < scores.shape[-1]:
            weakest = scores.topk(self.sampling.top_k, dim=-1).values[..., -1:]
            scores = scores.masked_fill(scores < weakest, -torch.inf)
        probabilities = scores.softmax(-1)
        return nucleus(probabilities, self.sampling.top_p)

    def draw(self, probabilities: Tensor) -> int:
        """Return a token drawn from unnormalised ``probabilities``, shape ``(vocabulary,)``."""
        return draw_each([self], probabilities.unsqueeze(0))[0]

    def choose(self, logits: Tensor) -> int:
        """Return the next token: the most likely one, or a drawn one."""
        return choose_each([self], logits.unsqueeze(0))[0]


def nucleus(probabilities: Tensor, top_p: float) -> Tensor:
    """Return ``probabilities`` restricted to the smallest set of mass ``top_p``, renormalised."""
    if top_p >= 1:
        return probabilities
    ranked, order = probabilities.sort(dim=-1, descending=True)
    # A token stays if the mass before it is short of top_p; the first one always stays.
    outside = ranked.cumsum(-1) - ranked >= top_p
    kept = torch.zeros_like(probabilities).scatter(-1, order, ranked.masked_fill(outside, 0.0))
    return kept / kept.sum(-1, keepdim=True)


def draw_each(samplers: Sequence[Sampler], probabilities: Tensor) -> list[int]:
    """Return one token per row, each drawn with its own sampler's next uniform.

    Args:
        samplers: One per row.
        probabilities: Unnormalised, shape ``(rows, vocabulary)``.

    Raises:
        CallError: ``not_a_number`` if the model computed none.
    """
    cumulative = probabilities.double().cumsum(-1)
    if cumulative[:, -1].isnan().any():
        raise not_a_number()
    uniforms = torch.tensor([s.uniform() for s in samplers], dtype=torch.float64)
    points = uniforms.to(cumulative.device).unsqueeze(-1) * cumulative[:, -1:]
    # right=True steps over tokens of probability zero, whose cumulative mass equals the point.
    drawn: list[int] = torch.searchsorted(cumulative, points, right=True).squeeze(-1).tolist()
    return drawn


def not_a_number() -> CallError:
    """Return the error of a call in which the model's arithmetic broke down."""
    return CallError(
        "not_a_number",
        "the model's logits are no numbers (NaN): in float16 what is beyond 65504 is infinite; set"
        " the parameter model.dtype to bfloat16 or float32",
    )


def choose_each(samplers: Sequence[Sampler], logits: Tensor) -> list[int]:
    """Return the next token of every row.

    Args:
        samplers: One per row.
        logits: Shape ``(rows, vocabulary)``.
    """
    if all(sampler.greedy for sampler in samplers):
        best: list[int] = logits.argmax(-1).tolist()
        return best
    if any(sampler.sampling != samplers[0].sampling for sampler in samplers):
        return [sampler.choose(row) for sampler, row in zip(samplers, logits, strict=True)]
    return draw_each(samplers, samplers[0].probabilities(logits))


def token_logprobs(logits: Tensor, tokens: Sequence[int]) -> list[float]:
    """Return the log-probability of one token per row under the model itself.

    Temperature and truncation do not enter: it is the model's own, untempered distribution.

    Args:
        logits: Shape ``(rows, vocabulary)``.
        tokens: One token id per row.

    Raises:
        CallError: ``not_a_number`` if the model computed none.
    """
    own = logits.log_softmax(-1)
    if len(tokens) == 1:
        logprobs = [own[0, tokens[0]].item()]
    else:
        index = torch.tensor(tokens, device=logits.device).unsqueeze(-1)
        logprobs = own.gather(-1, index).squeeze(-1).tolist()
    if any(map(math.isnan, logprobs)):
        raise not_a_number()
    return logprobs
