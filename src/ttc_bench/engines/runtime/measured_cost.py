"""The floating point operations of any model, counted once by PyTorch and told for every shape.

A few short passes run under PyTorch's counter (``torch.utils.flop_counter``). Counts are whole
numbers, so they give each layer's operations per position, its operations per query and key, and
those of the head exactly: experts that a token is not routed to do not run and are not counted,
and neither are lookup tables. What is not linear in the positions is counted at several lengths: a
recurrence that works in chunks, the last of them padded, has costs per chunk and per pair of
chunks, and what is none either is interpolated in between.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

LENGTHS = (2, 16, 17, 33, 64, 65, 129, 256, 257, 513)
"""Prompt lengths at which layers are counted that are not linear in the positions."""

CHUNKS = (16, 32, 64, 128, 256)
"""Positions that recurrences work on at a time."""


@dataclass(frozen=True)
class LayerCost:
    """What a layer costs.

    Attributes:
        position: Operations per position.
        score: Operations per query and key.
        key: Operations per key, however many queries there are (latent keys that are expanded).
        stored: Operations of what fills the cache alone, per position.
        last_only: In a prompt it runs only where logits are computed (layers that share keys).
        prompts: Operations of whole prompts by `LENGTHS`, attention scores aside, where they are
            not linear.
    """

    position: int
    score: int
    key: int = 0
    stored: int = 0
    last_only: bool = False
    prompts: tuple[int, ...] = ()

    @classmethod
    def fitted(cls, pair: int, step: int, longer: int, triple: int) -> LayerCost | None:
        """Return the cost that explains four counts exactly, ``None`` if none does.

        Args:
            pair: Operations of a prompt of two tokens.
            step: Of a single token over three keys.
            longer: Of a single token over four keys.
            triple: Of a prompt of three tokens.
        """
        last = cls(step - 3 * (longer - step), longer - step, last_only=True)
        if last.position and pair == last.at(2, 2, 1) and triple == last.at(3, 3, 1):
            return last
        score = (pair - 2 * last.position) // 2 - last.score
        cost = cls(last.position, score, last.score - score)
        exact = pair == cost.at(2, 2, 2) and triple == cost.at(3, 3, 3)
        return cost if exact and min(cost.score, cost.key) >= 0 else None

    def at(self, queries: int, keys: int, outputs: int) -> float:
        """Return the operations of ``queries`` positions over ``keys``, ``outputs`` of them read.

        A single position is one step of a recurrence.
        """
        if self.prompts and queries > 1:
            return _of_prompt(self.prompts, queries) + queries * keys * self.score
        count = min(queries, outputs) if self.last_only else queries
        return float(count * (self.position + keys * self.score) + keys * self.key)


@dataclass(frozen=True)
class MeasuredCost:
    """Prices the passes of a model; a `CostModel` whose layers need not be alike.

    Attributes:
        stack: One per layer.
        outside: Operations per position outside layers and head (projections of embeddings).
        output: Operations of the head per position.
    """

    stack: tuple[LayerCost, ...]
    outside: int
    output: int

    def layers(self, count: int, queries: int, keys: int) -> float:
        """Return the cost of the first ``count`` layers, all of which score ``keys``."""
        return self.layers_over(count, queries, [keys] * count, 1)

    def layers_over(self, count: int, queries: int, keys: Sequence[int], outputs: int) -> float:
        """Return the same for keys told layer by layer, with ``outputs`` positions read at last."""
        costs = zip(self.stack[:count], keys, strict=False)
        return self.outside * queries + sum(c.at(queries, k, outputs) for c, k in costs)

    def head(self, positions: int) -> float:
        """Return the cost of the output head at ``positions`` positions."""
        return float(self.output * positions)

    def propagation(self, count: int, positions: int) -> float:
        """Return the cost of filling the cache of the last ``count`` layers, and nothing else."""
        above = self.stack[len(self.stack) - count :] if count else ()
        return float(positions * sum(cost.stored for cost in above))


Counts = tuple[list[int], int]
"""Operations of each layer, and of everything else."""


def measure(counted: Callable[..., list[Counts]], reads_last: bool) -> MeasuredCost:
    """Return the costs of a model whose passes can be counted.

    Args:
        counted: Counts the passes of a new sequence, given the tokens of each.
        reads_last: A prompt's logits are computed at its last position alone.
    """
    (two, rest_two), (third, rest), (fourth, _) = counted(2, 1, 1)
    ((three, _),) = counted(3)
    outside = rest_two - rest if reads_last else 0
    fits = [LayerCost.fitted(*counts) for counts in zip(two, third, fourth, three, strict=True)]
    lengths = [] if all(fits) else [counted(length)[0][0] for length in LENGTHS]
    costs = []
    for i, fit in enumerate(fits):
        score = fourth[i] - third[i]
        prompts = [layers[i] - n * n * score for n, layers in zip(LENGTHS, lengths, strict=False)]
        irregular = LayerCost(third[i] - 3 * score, score, prompts=tuple(prompts))
        costs.append(irregular if fit is None else fit)
    return MeasuredCost(tuple(costs), outside, rest - outside)


def measure_reading(count: Callable[[int], int]) -> Callable[[int], float]:
    """Return the cost of a text read in one pass without a cache, by its length.

    Every layer is linear in the positions but for its scores, which are quadratic.

    Args:
        count: Counts the reading of a text of so many tokens.
    """
    one, two = count(1), count(2)
    score = (two - 2 * one) / 2
    return lambda tokens: tokens * (one - score) + tokens**2 * score


class Counter:
    """Counts what a model runs, layer by layer.

    Args:
        model: The model.
        path: Where its layers stand, as module names tell it; ``None`` if they are not known.
        n_layers: Number of layers.
    """

    def __init__(self, model: torch.nn.Module, path: str | None, n_layers: int) -> None:
        prefix = f"{type(model).__name__}.{path}"
        self._names = [f"{prefix}.{i}" for i in range(n_layers)] if path is not None else []

    def __call__(self, run: Callable[[], object]) -> tuple[list[int], int]:
        """Run something; return the operations of each layer, and of everything else."""
        with FlopCounterMode(display=False, custom_mapping=grouped_products()) as counter:
            run()
        counts = counter.get_flop_counts()
        layers = [int(sum(counts.get(name, {}).values())) for name in self._names]
        return layers, int(counter.get_total_flops()) - sum(layers)


def grouped_products() -> dict[Any, Any]:
    """Return how to count products of experts in one kernel, which PyTorch's counter leaves out.

    Each row is multiplied by the matrix of its own expert: two operations per element of it.
    """

    def count(rows: Sequence[int], weights: Sequence[int], *_: Any, **__: Any) -> int:
        return 2 * int(rows[-2]) * int(rows[-1]) * int(weights[-1])

    operators: dict[Any, Any] = {}
    for namespace, name in (("aten", "_grouped_mm"), ("transformers", "grouped_mm_fallback")):
        with suppress(AttributeError):
            operators[getattr(getattr(torch.ops, namespace), name)] = count
    return operators


def _of_prompt(counts: tuple[int, ...], length: int) -> float:
    """Return the operations of a prompt by its counts at `LENGTHS`."""
    if (fit := _chunked(counts)) is None:
        return _interpolated(LENGTHS, counts, length)
    chunk, factors = fit
    return sum(f * t for f, t in zip(factors, _terms(length, chunk), strict=True))


@lru_cache(maxsize=256)
def _chunked(counts: tuple[int, ...]) -> tuple[int, tuple[float, ...]] | None:
    """Return the size of a recurrence's chunks and the factors of `_terms`, if they explain counts.

    Where they do, they do so exactly. A prompt shorter than a convolution is not looked at.
    """
    import numpy as np

    counted = np.array(counts[1:], dtype=float)
    for chunk in CHUNKS:
        terms = np.array([_terms(length, chunk) for length in LENGTHS[1:]], dtype=float)
        factors = np.linalg.lstsq(terms, counted, rcond=None)[0]
        if np.allclose(terms @ factors, counted, rtol=1e-6, atol=0):
            return chunk, tuple(factors.tolist())
    return None


def _terms(length: int, chunk: int) -> tuple[int, int, int, int]:
    chunks = -(-length // chunk)
    return 1, length, chunks, chunks * chunks


def _interpolated(xs: Sequence[int], ys: Sequence[int], x: int) -> float:
    """Return a value on the straight lines through some points, the last one going on."""
    at = min(max(1, bisect_left(xs, x)), len(xs) - 1)
    slope = (ys[at] - ys[at - 1]) / (xs[at] - xs[at - 1])
    return ys[at] + slope * (x - xs[at])
