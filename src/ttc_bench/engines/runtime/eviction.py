"""Key-value caches that hold no more than a budget of positions.

The prompt is computed in one pass with full attention, as a server does it; the cache of a layer
is cut to the budget as soon as that layer has run, so what is kept never exceeds the budget. Each
later token first evicts, then stores its own key and value, so it attends to at most a budget of
positions, itself included. Keys keep the rotary positions of their tokens: what stays in the
cache is the same vector that a full cache would hold.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from ttc_bench.engines.runtime.cache import (
    CacheShape,
    KVCache,
    Meter,
    Part,
    alike,
    attention,
    softmax_few,
)
from ttc_bench.engines.runtime.runner import Budget
from ttc_bench.errors import CapabilityError

QUERIES = 128
"""Prompt queries whose attention weights are held at a time."""


class BudgetedCache(KVCache, ABC):
    """A cache of one sequence whose layers all hold ``held`` positions, in any order.

    Args:
        shape: Layers, heads and types.
        capacity: Most positions of the sequence.
        meters: One.
        budget: Positions to keep, at least 2, by length of the sequence.
    """

    def __init__(
        self, shape: CacheShape, capacity: int, meters: Sequence[Meter], budget: Budget
    ) -> None:
        most = max(min(n, budget(n)) for n in range(1, capacity + 1))
        super().__init__(shape, most, meters)
        self._budget = budget
        self._held = 0
        self._planned = 0
        self._evicted = 0

    @property
    def held(self) -> int:
        """Positions that every layer holds."""
        return self._held

    def keys_for(self, queries: int) -> int:
        """Return how many keys each of ``queries`` new positions is scored against."""
        return queries if self.length == 0 else self._planned

    def plan(self, queries: int) -> None:
        """Decide how many positions to evict and keep, before the layers run."""
        if queries > 1 and self.length > 0:
            raise CapabilityError("after the prompt a budgeted cache takes one token at a time")
        room = self._budget(self.length + queries)
        self._evicted = max(0, self._held + queries - room)
        self._planned = self._held + queries - self._evicted

    def attend(self, layer: int, q: Part, k: Part, v: Part, mask: Part | None) -> Part:
        """Evict, store and return the attention output; see `KVCache.attend`."""
        if isinstance(q, Tensor) and self.length == 0:
            return self.attend_prompt(layer, q, k, v)
        return self.attend_token(layer, q, k, v)

    @abstractmethod
    def attend_prompt(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend within the whole prompt and keep what the budget allows."""

    @abstractmethod
    def attend_token(self, layer: int, q: Part, k: Part, v: Part) -> Part:
        """Evict, store one token and attend to what is kept."""

    def advance(self, queries: int) -> None:
        """Count the new positions, after every layer has stored them."""
        self._held = self._planned
        super().advance(queries)

    def crop(self, length: int) -> None:
        """Raise: what was evicted cannot come back."""
        raise CapabilityError("a budgeted cache cannot be cropped")


class SinkCache(BudgetedCache):
    """Attention sinks and a recent window (StreamingLLM, arXiv 2309.17453).

    The first ``sinks`` positions stay; of the others, the oldest is overwritten.

    Args:
        shape: Layers, heads and types.
        capacity: Most positions of the sequence.
        meters: One.
        budget: Positions to keep, never falling.
        sinks: First positions that always stay, if the budget leaves room for one more.
    """

    def __init__(
        self,
        shape: CacheShape,
        capacity: int,
        meters: Sequence[Meter],
        budget: Budget,
        sinks: int,
    ) -> None:
        super().__init__(shape, capacity, meters, budget)
        self._sinks = sinks
        self._recent: deque[int] = deque()
        self._slot = 0

    def plan(self, queries: int) -> None:
        """Choose the slot of the next token: a free one, or that of the oldest."""
        super().plan(queries)
        if self.length == 0:
            self._sinks = min(self._sinks, self._planned - 1)
            self._recent.extend(range(self._sinks, self._planned))
        else:
            self._slot = self._recent.popleft() if self._evicted else self._held
            self._recent.append(self._slot)

    def attend_prompt(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend within the whole prompt; keep its sinks and its end."""
        window = self._planned - self._sinks
        for store, new in ((self.keys[layer], k), (self.values[layer], v)):
            store[:, :, : self._sinks] = new[:, :, : self._sinks]
            store[:, :, self._sinks : self._planned] = new[:, :, new.shape[2] - window :]
        return attention(q, k, v, None)

    def attend_token(self, layer: int, q: Part, k: Part, v: Part) -> Part:
        """Store one token in its slot and attend to what is kept."""
        keys, values = alike(k, self.keys[layer]), alike(k, self.values[layer])
        keys[:, :, self._slot] = k[:, :, 0]
        values[:, :, self._slot] = v[:, :, 0]
        return attention(q, keys[:, :, : self._planned], values[:, :, : self._planned], None)


class HeavyHitterCache(BudgetedCache):
    """Keeps, per layer and head, what was attended to most (H2O, arXiv 2306.14048).

    A position's score is the attention probability that it received so far, summed over queries
    and over the query heads that share its key-value head. The most recent positions are safe.

    Args:
        shape: Layers, heads and types.
        capacity: Most positions of the sequence.
        meters: One.
        budget: Positions to keep; may fall.
        recent: Share of the budget that is set aside for the most recent positions.
    """

    def __init__(
        self,
        shape: CacheShape,
        capacity: int,
        meters: Sequence[Meter],
        budget: Budget,
        recent: float,
    ) -> None:
        super().__init__(shape, capacity, meters, budget)
        slots = (shape.layers, shape.kv_heads, self.capacity)
        self.scores = torch.zeros(slots, device=shape.device)
        self.origins = torch.zeros(slots, dtype=torch.long, device=shape.device)
        self._share = recent
        self._heads = torch.arange(shape.kv_heads, device=shape.device)

    def attend_prompt(self, layer: int, q: Tensor, k: Tensor, v: Tensor) -> Tensor:
        """Attend within the whole prompt; keep its heavy hitters and its end."""
        count = k.shape[2]
        parts, scores = [], torch.zeros(k.shape[1], count, device=k.device)
        for start in range(0, count, QUERIES):
            stop = min(start + QUERIES, count)
            weights = _weights(q[:, :, start:stop], k[:, :, :stop])
            scores[:, :stop] += weights.sum(dim=(0, 2, 3))
            parts.append(_mix(weights, v[:, :, :stop]))
        guarded = scores.clone()
        guarded[:, count - self._safe(self._planned) :] = torch.inf
        kept = guarded.topk(self._planned, dim=-1).indices.sort(dim=-1).values
        self.origins[layer, :, : self._planned] = kept
        self.scores[layer, :, : self._planned] = scores.gather(-1, kept)
        index = kept[None, :, :, None].expand(1, -1, -1, k.shape[3])
        self.keys[layer][:, :, : self._planned] = k.gather(2, index)
        self.values[layer][:, :, : self._planned] = v.gather(2, index)
        return torch.cat(parts, dim=2)

    def attend_token(self, layer: int, q: Part, k: Part, v: Part) -> Part:
        """Evict the least attended, store one token, attend and update the scores."""
        keys, values = alike(k, self.keys[layer]), alike(k, self.values[layer])
        scores, origins = alike(k, self.scores[layer]), alike(k, self.origins[layer])
        held = self._held
        for _ in range(self._evicted):
            held -= 1
            guarded = scores[:, : held + 1] + 0
            guarded[origins[:, : held + 1] > self.length - self._safe(self._planned)] = torch.inf
            slot = guarded.argmin(-1)
            for store in (keys[0], values[0], scores, origins):
                # With a single head, source and target may be the same memory: hence the sum.
                store[alike(k, self._heads), slot] = store[:, held] + 0
        keys[:, :, held], values[:, :, held] = k[:, :, 0], v[:, :, 0]
        scores[:, held] = 0.0
        origins[:, held] = self.length
        weights = _weights(q, keys[:, :, : held + 1])
        scores[:, : held + 1] += weights.sum((0, 2, 3))
        return _mix(weights, values[:, :, : held + 1])

    def _safe(self, budget: int) -> int:
        """Return how many of the most recent positions cannot be evicted."""
        return max(1, min(budget - 1, round(self._share * budget)))


def _weights(q: Part, k: Part) -> Part:
    """Return causal attention weights, shape ``(rows, kv_heads, group, queries, keys)``.

    The queries are the last positions among the keys, or a single one that sees them all.
    """
    rows, heads, queries, size = q.shape
    grouped = q.reshape(rows, k.shape[1], heads // k.shape[1], queries, size)
    scores: Part = (grouped @ k[:, :, None].swapaxes(-1, -2)) * size**-0.5
    if isinstance(scores, np.ndarray):
        return softmax_few(scores)
    if queries > 1:
        hidden = torch.ones(queries, k.shape[2], dtype=torch.bool, device=scores.device)
        scores.masked_fill_(hidden.triu_(k.shape[2] - queries + 1), -torch.inf)
    return torch.softmax(scores, dim=-1, dtype=torch.float32)


def _mix(weights: Part, v: Part) -> Part:
    """Return the weighted values, shape ``(rows, heads, queries, head_dim)``."""
    if isinstance(weights, Tensor):
        weights = weights.to(v.dtype)
    rows, _, _, queries, _ = weights.shape
    mixed: Part = (weights @ v[:, :, None]).reshape(rows, -1, queries, v.shape[3])
    return mixed
