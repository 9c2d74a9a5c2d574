"""Budgets of positions on the library's own caches, for layers of any attention.

The same policies as `runtime.eviction`, which the fast runner uses, for models that run through
their own forward. A cache tells the model how long the sequence is and how many keys a layer
holds, as the library's sliding windows do; since what it holds is what the query may attend to,
every key it reports is visible, whatever positions it is from. Keys keep the positions that they
were computed with.

A layer with a window (or chunks) may attend to nothing before its reach: such positions go first,
and count for nothing. All layers of a kind hold equally many positions, because the model makes
one mask for each kind.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import (
    DynamicLayer,
    DynamicSlidingWindowLayer,
    get_layer_types_and_kwargs,
)

from ttc_bench.engines.runtime.cache import Meter
from ttc_bench.engines.runtime.library_cache import LibraryCache
from ttc_bench.engines.runtime.runner import Budget
from ttc_bench.errors import CapabilityError


@dataclass
class Kind:
    """Layers that attend alike, and what they hold.

    Attributes:
        reach: First position that the query at a position may attend to.
        planned: Positions that each layer holds once the pass is done.
        origins: Positions held, in order, where all layers and heads hold the same.
        keep: Of what is held, the places that stay; ``None`` if all do.
        spent: Positions at the front that the next token does not reach any more.
        layers: The layers.
    """

    reach: Callable[[int], int]
    planned: int = 0
    origins: list[int] = field(default_factory=list)
    keep: list[int] | None = None
    spent: int = 0
    layers: list[KeptLayer] = field(default_factory=list)


class KeptLayer(DynamicLayer):  # type: ignore[no-untyped-call]
    """Keys and values of one layer, as many as are planned for its kind.

    Args:
        kind: The layers that it belongs to.
        cache: The cache that plans.
    """

    keys: Tensor
    values: Tensor

    def __init__(self, kind: Kind, cache: BudgetedLibraryCache) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.kind = kind
        self._plans = cache

    def get_seq_length(self) -> int:
        """Return how long the sequence is, which says where its next token stands."""
        return self._plans.length

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        """Return how many keys there are, and a first position that lets all of them be seen."""
        if self._plans.length == 0:
            return query_length, 0
        return self.kind.planned, self._plans.length + 1 - self.kind.planned

    def update(
        self, key_states: Tensor, value_states: Tensor, *args: Any, **kwargs: Any
    ) -> tuple[Tensor, Tensor]:
        """Evict, store, and return what is attended to."""
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
            self._plans.take_prompt(self, key_states, value_states)
            return key_states, value_states
        self._plans.make_room(self)
        keys, values = super().update(key_states, value_states)
        self.keys, self.values = keys[:, :, self.kind.spent :], values[:, :, self.kind.spent :]
        return keys, values

    def pick(self, keys: Tensor, values: Tensor, places: Tensor) -> None:
        """Hold the keys and values at some places, shape ``(n,)`` or ``(kv_heads, n)``."""
        if places.dim() == 1:
            self.keys, self.values = keys.index_select(2, places), values.index_select(2, places)
            return
        for name, states in (("keys", keys), ("values", values)):
            index = places[None, :, :, None].expand(1, -1, -1, states.shape[3])
            setattr(self, name, states.gather(2, index))


class SlidingKeptLayer(KeptLayer):  # type: ignore[no-untyped-call]
    """The same for a layer whose reach is limited, which the model makes another mask for."""

    is_sliding = True


class BudgetedLibraryCache(LibraryCache, ABC):
    """A cache of one sequence that holds no more than a budget of positions in any layer.

    Args:
        config: Configuration of the model.
        meters: One.
        budget: Positions to keep, at least 2, by length of the sequence.
    """

    def __init__(self, config: Any, meters: Sequence[Meter], budget: Budget) -> None:
        self._budget = budget
        super().__init__(config, meters)

    def clear(self) -> None:
        """Forget everything; all positions of the next text are in reach of the budget again."""
        super().clear()
        kinds: dict[tuple[str, int], Kind] = {}
        names, options = get_layer_types_and_kwargs(self.config)
        for i, (name, option) in enumerate(zip(names, options, strict=True)):
            layer = self.cache.layers[i]
            if isinstance(layer, DynamicLayer):
                window = int(option.get("sliding_window", 0))
                kind = kinds.setdefault((name, window), Kind(reach_of(name, window)))
                is_sliding = isinstance(layer, DynamicSlidingWindowLayer)
                held = (SlidingKeptLayer if is_sliding else KeptLayer)(kind, self)
                kind.layers.append(held)
                self.cache.layers[i] = held
        self.kinds = list(kinds.values())

    def plan(self, queries: int) -> None:
        """Decide how many positions each kind of layer holds, before the layers run."""
        if queries > 1 and self.length > 0:
            raise CapabilityError("after the prompt a budgeted cache takes one token at a time")
        budget = self._budget(self.length + queries)
        for kind in self.kinds:
            if self.length == 0:
                kind.planned = min(budget, queries - kind.reach(queries))
            else:
                self.plan_token(kind, budget, kind.reach(self.length))

    @abstractmethod
    def plan_token(self, kind: Kind, budget: int, reach: int) -> None:
        """Decide what a kind of layer keeps of what it holds, and enter the next token."""

    @abstractmethod
    def take_prompt(self, layer: KeptLayer, keys: Tensor, values: Tensor) -> None:
        """Hold of a prompt's keys and values what is planned."""

    @abstractmethod
    def make_room(self, layer: KeptLayer) -> None:
        """Evict what is planned to go, before one token is stored."""

    def crop(self, length: int) -> None:
        """Raise: what was evicted cannot come back."""
        raise CapabilityError("a budgeted cache cannot be cropped")


def reach_of(layer_type: str, window: int) -> Callable[[int], int]:
    """Return what gives the first position that a layer's query may attend to."""
    if not window:
        return lambda position: 0 * position
    if layer_type == "chunked_attention":
        return lambda position: position // window * window
    return lambda position: max(0, position - window + 1)


class SinkLibraryCache(BudgetedLibraryCache):
    """Keeps the first few positions and the most recent ones (arXiv 2309.17453).

    Args:
        config: Configuration of the model.
        meters: One.
        budget: Positions to keep, never falling.
        sinks: First positions that stay while a layer reaches them, if there is room for one more.
    """

    def __init__(self, config: Any, meters: Sequence[Meter], budget: Budget, sinks: int) -> None:
        super().__init__(config, meters, budget)
        self._sinks = sinks

    def plan(self, queries: int) -> None:
        """Decide which positions of a prompt, and of what is held, are kept."""
        super().plan(queries)
        if self.length == 0:
            most = max(kind.planned for kind in self.kinds)
            self._sinks = min(self._sinks, max(0, most - 1))
            for kind in self.kinds:
                first = kind.reach(queries)
                kind.origins = self._chosen(list(range(first, queries)), kind.planned)

    def plan_token(self, kind: Kind, budget: int, reach: int) -> None:
        """Keep sinks and the most recent positions within reach."""
        origins = kind.origins
        near = [position for position in origins if position >= reach]
        stay = self._chosen(near, min(len(near), budget - 1))
        kind.keep = None if stay == origins else [origins.index(position) for position in stay]
        seen = [*stay, self.length]
        kind.planned = len(seen)
        kind.origins = [position for position in seen if position >= kind.reach(self.length + 1)]
        kind.spent = len(seen) - len(kind.origins)

    def take_prompt(self, layer: KeptLayer, keys: Tensor, values: Tensor) -> None:
        """Hold the prompt's sinks and its end."""
        layer.pick(keys, values, torch.tensor(layer.kind.origins, device=keys.device))

    def make_room(self, layer: KeptLayer) -> None:
        """Evict the oldest."""
        keep = layer.kind.keep
        if keep is not None:
            places = torch.tensor(keep, dtype=torch.long, device=layer.keys.device)
            layer.pick(layer.keys, layer.values, places)

    def _chosen(self, positions: list[int], count: int) -> list[int]:
        """Return ``count`` of some positions in order: sinks, then the most recent."""
        sinks = [position for position in positions if position < self._sinks][:count]
        rest = positions[len(sinks) :]
        return sinks + rest[len(rest) - (count - len(sinks)) :]


class HeavyHitterLibraryCache(BudgetedLibraryCache):
    """Keeps, per layer and head, what was attended to most (H2O, arXiv 2306.14048).

    Args:
        config: Configuration of the model.
        meters: One.
        budget: Positions to keep; may fall.
        recent: Share of the budget that is set aside for the most recent positions.
    """

    def __init__(self, config: Any, meters: Sequence[Meter], budget: Budget, recent: float) -> None:
        super().__init__(config, meters, budget)
        self._share = recent

    def clear(self) -> None:
        """Forget everything, the attention that was paid included."""
        super().clear()
        self._facts: dict[int, _Attended] = {}

    def plan_token(self, kind: Kind, budget: int, reach: int) -> None:
        """Keep as many as the budget allows once what is out of reach is gone."""
        held = kind.planned
        beyond = max(int(self._attended(layer).beyond(reach)) for layer in kind.layers)
        kind.planned = min(budget, held + 1 - beyond)

    def take_prompt(self, layer: KeptLayer, keys: Tensor, values: Tensor) -> None:
        """Hold the whole prompt until its attention is known."""
        layer.keys, layer.values = keys, values

    def attended(self, index: int, weights: Tensor) -> None:
        """Take the attention that a layer paid: after the prompt this cuts it to the budget.

        Args:
            index: The layer.
            weights: Shape ``(1, heads, queries, keys)``.
        """
        layer = self.cache.layers[index]
        if not isinstance(layer, KeptLayer):
            return
        heads, keys = layer.keys.shape[1], layer.keys.shape[2]
        paid = weights[0, :, :, :keys].float().sum(1).view(heads, -1, keys).sum(1)
        if self.length:
            self._attended(layer).scores += paid
            return
        origins = torch.arange(keys, device=paid.device).expand(heads, keys)
        facts = _Attended(paid, origins)
        self._facts[id(layer)] = facts
        kept = facts.choose(layer.kind.planned, layer.kind.reach(keys), self._first_safe(layer))
        layer.pick(layer.keys, layer.values, kept)

    def make_room(self, layer: KeptLayer) -> None:
        """Evict each head's least attended positions, and enter the token that comes."""
        facts, room = self._attended(layer), layer.kind.planned - 1
        if room < layer.keys.shape[2]:
            reach = layer.kind.reach(self.length)
            kept = facts.choose(room, reach, self._first_safe(layer))
            layer.pick(layer.keys, layer.values, kept)
        facts.enter(self.length)

    def advance(self, queries: int) -> None:
        """Count the new positions.

        Raises:
            CapabilityError: If the attention of some layer was not told.
        """
        if any(id(layer) not in self._facts for kind in self.kinds for layer in kind.layers):
            raise CapabilityError(
                "the attention weights of this model cannot be seen, and heavy hitters are found"
                " by them: set kv_cache.cosine.budget_start and budget_end to 1.0, or take"
                " kv_cache.static"
            )
        super().advance(queries)

    def _attended(self, layer: KeptLayer) -> _Attended:
        return self._facts[id(layer)]

    def _first_safe(self, layer: KeptLayer) -> int:
        """Return the first of the most recent positions, which cannot be evicted."""
        budget = layer.kind.planned
        safe = max(1, min(budget - 1, round(self._share * budget)))
        # After the prompt its own end is safe; a token to come is one of the recent itself.
        return layer.keys.shape[2] - safe if self.length == 0 else self.length - safe + 1


@dataclass
class _Attended:
    """What each head of a layer holds, and how much attention it received.

    Attributes:
        scores: Attention probabilities received so far, shape ``(kv_heads, held)``.
        origins: Positions in the sequence, same shape.
    """

    scores: Tensor
    origins: Tensor

    def beyond(self, reach: int) -> Tensor:
        """Return the most positions that any head holds before ``reach``."""
        return (self.origins < reach).sum(-1).max()

    def choose(self, count: int, reach: int, first_safe: int) -> Tensor:
        """Keep ``count`` positions per head, the rest is forgotten; return their places."""
        guarded = self.scores.masked_fill(self.origins >= first_safe, torch.inf)
        guarded = guarded.masked_fill(self.origins < reach, -torch.inf)
        kept = guarded.topk(count, dim=-1).indices.sort(dim=-1).values
        self.scores, self.origins = self.scores.gather(-1, kept), self.origins.gather(-1, kept)
        return kept

    def enter(self, position: int) -> None:
        """Hold one more position, which received nothing yet."""
        new = self.origins.new_full((len(self.origins), 1), position)
        self.origins = torch.cat([self.origins, new], -1)
        self.scores = torch.cat([self.scores, torch.zeros_like(new, dtype=torch.float32)], -1)
