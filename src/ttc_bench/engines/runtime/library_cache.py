"""The library's own cache classes behind the interface of the decoding loops."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, cast

import torch
from torch import Tensor
from transformers.cache_utils import (
    CacheLayerMixin,
    DynamicCache,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    LinearAttentionAndFullAttentionLayer,
    LinearAttentionAndSlidingWindowAttentionLayer,
)

from ttc_bench.engines.runtime.cache import Meter
from ttc_bench.engines.runtime.stack import Stored


class OpenCache(DynamicCache):
    """The library's dynamic cache, which can end a layer once its keys and values are stored."""

    ends_layers = False

    def update(self, *args: Any, **kwargs: Any) -> tuple[Tensor, Tensor]:
        """Store keys and values of a layer; see the library's method of this name.

        Raises:
            Stored: If nothing else of the layer shall run.
        """
        stored = super().update(*args, **kwargs)
        if self.ends_layers:
            raise Stored
        return stored

    def store_only(self, layer: Callable[[], Any]) -> None:
        """Run a layer until it has stored its keys and values."""
        self.ends_layers = True
        try:
            layer()
        except Stored:
            return
        finally:
            self.ends_layers = False


Read = Callable[["LibraryCache", list[list[int]]], None]


class LibraryCache:
    """A cache of the library behind the interface of the decoding loops.

    Args:
        config: Configuration of the model.
        meters: One per row.

    Attributes:
        texts: Tokens of each row, where the model may have to read them anew.
    """

    def __init__(self, config: Any, meters: Sequence[Meter]) -> None:
        self.meters = list(meters)
        self.config = config
        self._records = False
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self.cache = OpenCache(config=self.config)
        self.length = 0
        self.texts: list[list[int]] = [[] for _ in self.meters]
        self._key_layers = key_layers(self.config, self.cache)
        if self._records:
            self.cache.activate_past_recording()  # type: ignore[no-untyped-call]

    def note(self, tokens: Sequence[list[int]]) -> None:
        """Note what is about to be read, a list for each row."""
        self.texts = [[*text, *new] for text, new in zip(self.texts, tokens, strict=True)]

    def read_anew(self, limit: int, queries: int, read: Read) -> None:
        """Read all rows anew, if ``queries`` tokens take them beyond ``limit`` positions.

        Args:
            limit: Positions.
            queries: Tokens that are about to be read.
            read: Reads the texts of an empty cache's rows.
        """
        if 0 < self.length <= limit < self.length + queries:
            texts = self.texts
            self.clear()
            read(self, texts)

    def widen(self) -> None:
        """Let the layers of an empty cache hold what lies before their windows, too."""
        layers = cast(list[Any], self.cache.layers)
        for index, layer in enumerate(layers):
            if isinstance(layer, LinearAttentionAndSlidingWindowAttentionLayer):
                layers[index] = LinearAttentionAndFullAttentionLayer(layer.number_of_states)
            elif isinstance(layer, DynamicSlidingWindowLayer):
                layers[index] = DynamicLayer()  # type: ignore[no-untyped-call]

    def allow_crop(self) -> None:
        """Keep from now on what a sliding window would lose, until the next `crop`."""
        if not self._records:
            self.cache.activate_past_recording()  # type: ignore[no-untyped-call]
            self._records = True

    def crop(self, length: int) -> None:
        """Forget everything from position ``length`` on; `allow_crop` comes before it."""
        if self.length:
            # Negative: how many to remove. None at all still frees what was kept for a crop.
            self.cache.crop(min(0, length - self.length))
            self.length = min(self.length, length)
            self.texts = [text[:length] for text in self.texts]

    def expand(self, meters: Sequence[Meter]) -> None:
        """Turn the single row into one row per meter."""
        self.meters = list(meters)
        self._select([0] * len(meters))

    def drop(self, row: int) -> int:
        """Remove ``row``; return the index of the row that took its place (the last one)."""
        last = len(self.meters) - 1
        rows = list(range(last))
        if row != last:
            rows[row] = last
            self.meters[row] = self.meters[last]
        self.meters.pop()
        self._select(rows)
        return last

    def plan(self, queries: int) -> None:
        """Prepare for ``queries`` new positions, before any layer runs."""

    def keys_for(self, queries: int) -> list[int]:
        """Return how many keys each of ``queries`` new positions is scored against, by layer."""
        layers = cast(list[Any], self.cache.layers)
        counts = {
            index: layers[index].get_mask_sizes(queries)[0]
            for index in set(self._key_layers)
            if index is not None
        }
        return [0 if index is None else counts[index] for index in self._key_layers]

    def advance(self, queries: int) -> None:
        """Count ``queries`` new positions, and enter the present size into the meters."""
        self.length += queries
        nbytes = sum(sizes(layer) for layer in self.cache.layers) // max(1, len(self.meters))
        for meter in self.meters:
            meter.add_cache(nbytes, self.held)

    @property
    def held(self) -> int:
        """Most positions that a layer holds; a state alone covers the whole sequence."""
        layers = [layer for layer in self.cache.layers if isinstance(layer, CacheLayerMixin)]
        stored = [keys.shape[-2] for keys in (layer.keys for layer in layers) if keys is not None]
        return max(stored, default=self.length)

    def _select(self, rows: list[int]) -> None:
        self.texts = [self.texts[row] for row in rows]
        # `reorder_cache` is what every kind of layer knows, recurrent states included.
        self.cache.reorder_cache(torch.tensor(rows, dtype=torch.long))  # type: ignore[arg-type]


def key_layers(config: Any, cache: DynamicCache) -> list[int | None]:
    """Return whose keys each layer attends to: its own, or those of the last one of its type.

    ``None`` for a layer without keys (recurrent states, experts alone).
    """
    names = getattr(config, "layer_types", None) or [""] * len(cache.layers)
    latest: dict[str, int] = {}
    sources: list[int | None] = []
    for index, (name, layer) in enumerate(zip(names, cache.layers, strict=True)):
        if isinstance(layer, CacheLayerMixin):
            latest[name] = index
        sources.append(latest.get(name))
    return sources


def tensors(layer: Any) -> Iterator[Tensor]:
    """Yield what a layer of a cache holds: keys, values, latent vectors, recurrent states."""
    for name, value in vars(layer).items():
        parts = value.values() if isinstance(value, dict) else [value]
        if not name.startswith("_"):
            yield from (part for part in parts if isinstance(part, Tensor))


def sizes(layer: Any) -> int:
    """Return the bytes that a layer of a cache holds, over all rows."""
    return sum(t.numel() * t.element_size() for t in tensors(layer))
