"""The floating point operations of any model, counted once by PyTorch and told for every shape.

A few short passes run under PyTorch's counter (``torch.utils.flop_counter``). Counts are whole
numbers, so they give each layer's operations per position, its operations per query and key, and
those of the head exactly: experts that a token is not routed to do not run and are not counted,
and neither are lookup tables. Experts that some tokens are routed to and others are not are counted
pass by pass (`runtime.routing`); a model whose passes over other tokens cost anything else has no
bill. What is not linear in the positions is counted at several lengths: a
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

from ttc_bench.engines.runtime.routing import VaryingExperts

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

    position: float
    score: float
    key: float = 0
    stored: int = 0
    last_only: bool = False
    prompts: tuple[float, ...] = ()

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

    def share(self, count: int) -> LayerCost:
        """Return the cost of each of ``count`` layers that cost as much as this one together."""
        parts = (self.position / count, self.score / count, self.key / count)
        prompts = tuple(operations / count for operations in self.prompts)
        return LayerCost(*parts, last_only=self.last_only, prompts=prompts)


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


def check_told(cost: MeasuredCost, counts: Counts, tokens: int, outputs: int) -> None:
    """Raise unless a pass over some tokens costs what the passes over others have told.

    Args:
        cost: What they have told.
        counts: Operations of the pass, on an empty cache.
        tokens: Its tokens.
        outputs: Of them, those whose logits were computed.

    Raises:
        ValueError: If it does not, within a fiftieth.
    """
    layers, rest = counts
    counted, depth = sum(layers) + rest, len(cost.stack)
    told = cost.layers_over(depth, tokens, [tokens] * depth, outputs) + cost.head(outputs)
    if abs(told - counted) > counted / 50:
        raise ValueError(
            "what a pass computes goes with its tokens, and not by experts that can be counted, so"
            " that no bill of it would be true"
        )


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
        path: Where its layers stand, as module names tell it; ``None`` takes all but its head for
            one layer.
        n_layers: Number of layers.
        experts: Experts that are not counted here, as they are pass by pass.
    """

    def __init__(
        self,
        model: torch.nn.Module,
        path: str | None,
        n_layers: int,
        experts: VaryingExperts | None = None,
    ) -> None:
        prefix = type(model).__name__
        self._experts = experts
        self._names = [f"{prefix}.{path}.{i}" for i in range(n_layers)] if path is not None else []
        head = getattr(model, "get_output_embeddings", lambda: None)()
        names = {id(part): f"{prefix}.{name}" for name, part in model.named_modules()}
        self._head = names.get(id(head), "")

    def __call__(self, run: Callable[[], object]) -> tuple[list[int], int]:
        """Run something; return the operations of each layer, and of everything else."""
        with FlopCounterMode(display=False, custom_mapping=grouped_products()) as counter:
            run()
        counts, total = counter.get_flop_counts(), int(counter.get_total_flops())
        if not self._names:
            head = int(sum(counts.get(self._head, {}).values()))
            return [total - head - self._varying("")], head
        layers = [
            int(sum(counts.get(name, {}).values())) - self._varying(name) for name in self._names
        ]
        return layers, total - sum(layers) - self._varying("")

    def total(self, run: Callable[[], object]) -> int:
        """Run something; return all of its operations."""
        layers, rest = self(run)
        return sum(layers) + rest

    def _varying(self, layer: str) -> int:
        """Return the operations of varying experts in a layer; in all of them for no name."""
        return 0 if self._experts is None else self._experts.spent_in(layer.partition(".")[2])


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


def _of_prompt(counts: tuple[float, ...], length: int) -> float:
    """Return the operations of a prompt by its counts at `LENGTHS`."""
    if (fit := _chunked(counts)) is None:
        return _interpolated(LENGTHS, counts, length)
    chunk, factors = fit
    return sum(f * t for f, t in zip(factors, _terms(length, chunk), strict=True))


@lru_cache(maxsize=256)
def _chunked(counts: tuple[float, ...]) -> tuple[int, tuple[float, ...]] | None:
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


def _interpolated(xs: Sequence[int], ys: Sequence[float], x: int) -> float:
    """Return a value on the straight lines through some points, the last one going on."""
    at = min(max(1, bisect_left(xs, x)), len(xs) - 1)
    slope = (ys[at] - ys[at - 1]) / (xs[at] - xs[at - 1])
    return ys[at] + slope * (x - xs[at])
