"""A batch of the fast runner: a cache whose rows differ in length, padded on the right."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ttc_bench.engines.runtime.cache import CacheShape, KVCache, Meter, Part, alike

if TYPE_CHECKING:
    from ttc_bench.engines.runtime.llama import LlamaRunner


class RaggedCache(KVCache):
    """A cache whose rows hold different numbers of positions, padded on the right.

    Args:
        shape: Layers, heads and types.
    """

    def __init__(self, shape: CacheShape) -> None:
        super().__init__(shape, 0, [])
        self.lengths: list[int] = []
        self._at = torch.zeros(0, dtype=torch.long, device=shape.device)
        self._rows = self._at

    @property
    def held(self) -> int:
        """Positions of the longest row."""
        return max(self.lengths, default=0)

    def admit(self, packed: KVCache, lengths: Sequence[int], width: int) -> None:
        """Take over the rows of a packed prompt pass.

        Args:
            packed: Cache of the pass; row ``i`` holds ``lengths[i]`` real positions.
            lengths: Positions per row.
            width: Positions that every row must be able to grow to.
        """
        first, rows = self.rows, self.rows + packed.rows
        self._grow(rows, width)
        for mine, new in zip(self.keys + self.values, packed.keys + packed.values, strict=True):
            for i, length in enumerate(lengths):
                mine[first + i, :, :length] = new[i, :, :length]
        self.lengths += lengths
        self.meters += packed.meters
        self.length = self.held
        self.measure()

    def plan(self, queries: int) -> None:
        """Note where each row's next position is."""
        self._at = torch.tensor(self.lengths, device=self.shape.device)
        self._rows = torch.arange(self.rows, device=self.shape.device)

    def positions(self, queries: int) -> slice | Tensor:
        """Return the position of each row's next token, shape ``(rows, 1)``."""
        return self._at.unsqueeze(1)

    def mask(self, queries: int) -> Tensor | None:
        """Return the mask of what is no key of a row, shape ``(rows, 1, 1, keys)``."""
        keys = torch.arange(self.held + 1, device=self.shape.device)
        hidden = torch.zeros(self.rows, len(keys), dtype=self.shape.dtype, device=keys.device)
        return hidden.masked_fill_(keys > self._at.unsqueeze(1), -torch.inf)[:, None, None]

    def store(self, layer: int, k: Part, v: Part) -> tuple[Part, Part]:
        """Store one position per row; return all that ``layer`` holds, padding included."""
        keys, values = alike(k, self.keys[layer]), alike(k, self.values[layer])
        keys[self._rows, :, self._at], values[self._rows, :, self._at] = k[:, :, 0], v[:, :, 0]
        return keys[: self.rows, :, : self.held + 1], values[: self.rows, :, : self.held + 1]

    def advance(self, queries: int) -> None:
        """Count one more position in every row."""
        self.lengths = [length + 1 for length in self.lengths]
        self.length = self.held
        self.measure()

    def measure(self) -> None:
        """Enter each row's own size into its meter; passes enter their padding themselves."""
        filled = self.keys[0][0, :, :1]
        nbytes = 2 * self.shape.layers * filled.numel() * filled.element_size()
        for length, meter in zip(self.lengths, self.meters, strict=True):
            meter.add_cache(nbytes * length, length)

    def drop(self, row: int) -> int:
        """Remove ``row``; return the index of the row that took its place (the last one)."""
        last = super().drop(row)
        self.lengths[row] = self.lengths[last]
        self.lengths.pop()
        self.length = self.held
        return last

    def _grow(self, rows: int, width: int) -> None:
        """Make room for ``rows`` rows of ``width`` positions; what is there is kept."""
        if self.capacity >= width and self.keys[0].shape[0] >= rows:
            return
        kept = min(self.capacity, width)
        for tensors in (self.keys, self.values):
            for i, tensor in enumerate(tensors):
                # Zeros, because padding takes part in products before it is masked.
                wide = tensor.new_zeros(rows, tensor.shape[1], width, tensor.shape[3])
                wide[: self.rows, :, :kept] = tensor[: self.rows, :, :kept]
                tensors[i] = wide
        self.capacity = width


class LlamaBatch:
    """Sequences that a `LlamaRunner` decodes together; see `runner.Batch`.

    Args:
        runner: Runs the model.
    """

    def __init__(self, runner: LlamaRunner) -> None:
        self._runner = runner
        self._cache = RaggedCache(runner.cache_shape)

    @property
    def lengths(self) -> list[int]:
        """Positions of each row."""
        return self._cache.lengths

    @property
    def held(self) -> int:
        """Positions of the longest row."""
        return self._cache.held

    def admit(self, prompts: Sequence[list[int]], meters: Sequence[Meter], width: int) -> Tensor:
        """Run prompts in one padded pass, and append their rows."""
        lengths = [len(prompt) for prompt in prompts]
        longest = max(lengths)
        packed = self._runner.new_cache(longest, meters)
        padded = [prompt + [0] * (longest - len(prompt)) for prompt in prompts]
        step = self._runner.begin(torch.tensor(padded, device=self._runner.device), packed)
        self._runner.run(step)
        last = torch.tensor(lengths, device=self._runner.device) - 1
        logits = self._runner.logits(step, at=last)
        for length, meter in zip(lengths, meters, strict=True):
            meter.add_padding(length, longest)
        self._cache.admit(packed, lengths, width)
        return logits

    def step(self, tokens: list[int]) -> Tensor:
        """Run one token of every row."""
        fed = torch.tensor(tokens, device=self._runner.device)[:, None]
        return self._runner.forward(fed, self._cache, prefill=False)

    def drop(self, row: int) -> int:
        """Remove ``row``; return the index of the row that took its place (the last one)."""
        return self._cache.drop(row)
