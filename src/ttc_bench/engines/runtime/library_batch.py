"""Sequences of different lengths in one of the library's caches, padded on the left.

On the left, because the library's windows and chunks count back from the end, where all rows are
aligned. A prompt runs alone, before its row joins: recurrent states never see padding, and none is
computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin, DynamicSlidingWindowLayer

from ttc_bench.engines.runtime.cache import Meter
from ttc_bench.engines.runtime.library_cache import LibraryCache, Read, tensors

if TYPE_CHECKING:
    from ttc_bench.engines.runtime.library_runner import LibraryRunner


class RaggedLibraryCache(LibraryCache):
    """A cache whose rows hold different numbers of positions, padded on the left."""

    def __init__(self, config: Any, meters: Sequence[Meter]) -> None:
        super().__init__(config, meters)
        self.lengths: list[int] = [0] * len(meters)

    def read_anew(self, limit: int, queries: int, read: Read) -> None:
        """Read the rows anew that ``queries`` tokens take beyond ``limit`` positions."""
        for row, length in enumerate(self.lengths):
            if 0 < length <= limit < length + queries:
                fresh = RaggedLibraryCache(self.config, [self.meters[row]])
                read(fresh, [self.texts[row]])
                self.join(fresh)
                # The last row takes the place of the one that is dropped.
                self.drop(row)

    def join(self, other: LibraryCache) -> None:
        """Append the row of another cache."""
        length = max(self.length, other.length)
        for mine, new in zip(self.cache.layers, other.cache.layers, strict=True):
            _resize(mine, length)
            _resize(new, length)
            _append(mine, new)
        self.lengths.append(other.length)
        self.texts += other.texts
        self.meters += other.meters
        self.length = length

    def advance(self, queries: int) -> None:
        """Count one more position in every row; enter each row's own size into its meter."""
        self.length += queries
        self.lengths = [length + queries for length in self.lengths]
        for length, meter in zip(self.lengths, self.meters, strict=True):
            nbytes = sum(_row_bytes(layer, length) for layer in self.cache.layers)
            meter.add_cache(nbytes, length)

    def drop(self, row: int) -> int:
        """Remove ``row``; padding that no row needs any more goes with it."""
        last = super().drop(row)
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        if self.lengths:
            self.length = max(self.lengths)
            for layer in self.cache.layers:
                _resize(layer, self.length)
        return last


class LibraryBatch:
    """Sequences that a `LibraryRunner` decodes together; see `runner.Batch`.

    Args:
        runner: Runs the model.
    """

    def __init__(self, runner: LibraryRunner) -> None:
        self._runner = runner
        self._cache: RaggedLibraryCache | None = None

    @property
    def lengths(self) -> list[int]:
        """Positions of each row."""
        return self._cache.lengths if self._cache else []

    @property
    def held(self) -> int:
        """Positions of the longest row."""
        return max(self.lengths, default=0)

    def admit(self, prompts: Sequence[list[int]], meters: Sequence[Meter], width: int) -> Tensor:
        """Run prompts, one by one, and append their rows."""
        logits = []
        for prompt, meter in zip(prompts, meters, strict=True):
            cache = RaggedLibraryCache(self._runner.config, [meter])
            tokens = torch.tensor([prompt], device=self._runner.device)
            logits.append(self._runner.forward(tokens, cache)[0])
            if self._cache is None:
                self._cache = cache
            else:
                self._cache.join(cache)
        return torch.stack(logits)

    def step(self, tokens: list[int]) -> Tensor:
        """Run one token of every row."""
        cache = self._cache
        assert cache is not None
        device = self._runner.device
        lengths = torch.tensor(cache.lengths, device=device)[:, None]
        columns = torch.arange(cache.length + 1, device=device)
        return self._runner.forward(
            torch.tensor(tokens, device=device)[:, None],
            cache,
            prefill=False,
            mask=(columns >= cache.length - lengths).long(),
            positions=lengths,
        )

    def drop(self, row: int) -> int:
        """Remove ``row``; return the index of the row that took its place (the last one)."""
        cache = self._cache
        assert cache is not None
        last = cache.drop(row)
        if not cache.meters:
            self._cache = None
        return last


def _resize(layer: Any, length: int) -> None:
    """Let a layer of keys and values hold a sequence of ``length`` positions, padded or cut."""
    if not isinstance(layer, CacheLayerMixin) or layer.keys is None or layer.values is None:
        return
    size = length
    if isinstance(layer, DynamicSlidingWindowLayer):
        size, layer.cumulative_length = min(length, layer.sliding_window - 1), length
    missing = size - layer.keys.shape[2]
    # A negative padding cuts: what is far back goes first.
    layer.keys = F.pad(layer.keys, (0, 0, missing, 0))
    layer.values = F.pad(layer.values, (0, 0, missing, 0))


def _append(mine: Any, new: Any) -> None:
    """Append the rows of one layer to another's, in every tensor that they hold."""
    for name, value in vars(mine).items():
        other = getattr(new, name)
        if name.startswith("_"):
            continue
        if isinstance(value, Tensor):
            setattr(mine, name, torch.cat([value, other]))
        elif isinstance(value, dict):
            for key, part in value.items():
                if isinstance(part, Tensor):
                    value[key] = torch.cat([part, other[key]])


def _row_bytes(layer: Any, length: int) -> int:
    """Return the bytes of one row that are no padding."""
    padded = {id(getattr(layer, name, None)) for name in ("keys", "values")}
    total = 0
    for tensor in tensors(layer):
        share = tensor[0]
        if id(tensor) in padded:
            share = share[:, :length]
        total += share.numel() * share.element_size()
    return total
