"""Key-value caches and the meter of what running a model costs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from ttc_bench.engines.runtime.linear import FEW_ROWS, Array

Part = TypeVar("Part", Tensor, Array)
"""Keys or values: tensors, or those of a few tokens as arrays on the same memory."""


@dataclass
class Meter:
    """What one model spent on one sequence.

    Attributes:
        passes: Forward passes.
        layers: Decoder layers executed, summed over passes.
        prefill_flops: Floating point operations of the prompt.
        decode_flops: Floating point operations after the prompt.
        positions: Cache positions that batched passes worked on for the sequence, padding
            included: a pass over rows of different lengths works on the longest for each.
        padded_positions: Of these, padding.
        peak_kv_bytes: Largest size of the sequence's cache.
        peak_kv_positions: Most positions that a layer of the cache held.
        batch_rows: Sequences in the batch, summed over passes after the prompt.
        decode_passes: Passes after the prompt.
    """

    passes: int = 0
    layers: int = 0
    prefill_flops: float = 0.0
    decode_flops: float = 0.0
    positions: int = 0
    padded_positions: int = 0
    peak_kv_bytes: int = 0
    peak_kv_positions: int = 0
    batch_rows: int = 0
    decode_passes: int = 0

    def add_flops(self, flops: float, prefill: bool) -> None:
        """Enter floating point operations of the prompt or of what follows it."""
        if prefill:
            self.prefill_flops += flops
        else:
            self.decode_flops += flops

    def add_pass(self, rows: int, prefill: bool) -> None:
        """Enter one forward pass in a batch of ``rows``."""
        self.passes += 1
        if not prefill:
            self.decode_passes += 1
            self.batch_rows += rows

    def add_padding(self, length: int, longest: int) -> None:
        """Enter a sequence's share of a pass that works on the longest one's positions for each."""
        self.positions += longest
        self.padded_positions += longest - length

    def add_cache(self, nbytes: int, positions: int) -> None:
        """Enter the size of the cache after a pass."""
        self.peak_kv_bytes = max(self.peak_kv_bytes, nbytes)
        self.peak_kv_positions = max(self.peak_kv_positions, positions)

    def add(self, other: Meter) -> None:
        """Enter all that ``other`` counted."""
        for name in ("passes", "layers", "prefill_flops", "decode_flops", "positions"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        for name in ("padded_positions", "batch_rows", "decode_passes"):
            setattr(self, name, getattr(self, name) + getattr(other, name))
        self.add_cache(other.peak_kv_bytes, other.peak_kv_positions)

    @property
    def batch_size(self) -> float:
        """Mean number of sequences decoded together."""
        return self.batch_rows / self.decode_passes if self.decode_passes else 1.0


@dataclass(frozen=True)
class CacheShape:
    """What a cache must hold: one key and one value per layer, head and position.

    Attributes:
        layers: Layers that keep keys and values.
        kv_heads: Key-value heads per layer.
        head_dim: Size of a head.
        dtype: Element type.
        device: Where the tensors live.
    """

    layers: int
    kv_heads: int
    head_dim: int
    dtype: torch.dtype
    device: torch.device


class KVCache:
    """Preallocated keys and values of a batch whose rows are equally long.

    Rows are kept dense: a finished row is overwritten by the last one (`drop`), so no step ever
    computes a finished sequence.

    Args:
        shape: Layers, heads and types.
        capacity: Most positions that a row can hold.
        meters: One per row.
    """

    def __init__(self, shape: CacheShape, capacity: int, meters: Sequence[Meter]) -> None:
        self.shape = shape
        self.capacity = capacity
        self.meters = list(meters)
        self.length = 0
        size = (2 * shape.layers, len(self.meters), shape.kv_heads, capacity, shape.head_dim)
        empty = list(torch.empty(size, dtype=shape.dtype, device=shape.device).unbind(0))
        self.keys, self.values = empty[: shape.layers], empty[shape.layers :]

    @property
    def rows(self) -> int:
        """Sequences in the batch."""
        return len(self.meters)

    def positions(self, queries: int) -> slice | Tensor:
        """Return the positions of the next ``queries`` tokens in their sequence."""
        return slice(self.length, self.length + queries)

    def keys_for(self, queries: int) -> int:
        """Return how many keys each of ``queries`` new positions is scored against."""
        return self.held + queries

    @property
    def held(self) -> int:
        """Positions that every layer holds per row."""
        return self.length

    def row_nbytes(self) -> int:
        """Return the bytes of the filled part of one row, over all layers."""
        shape = self.shape
        elements = shape.kv_heads * self.held * shape.head_dim
        return 2 * shape.layers * elements * shape.dtype.itemsize

    def attend(self, layer: int, q: Part, k: Part, v: Part, mask: Part | None) -> Part:
        """Store the new keys and values and return the attention output.

        Args:
            layer: Index of the layer.
            q: Rotated queries, shape ``(rows, heads, t, head_dim)``.
            k: Rotated keys of the new positions, shape ``(rows, kv_heads, t, head_dim)``.
            v: Values of the new positions, same shape.
            mask: Added to the scores (0 or minus infinity); broadcastable to
                ``(rows, heads, t, s)``. ``None`` is causal attention, for a single query or an
                empty cache.

        Returns:
            What is of the shape of ``q``.
        """
        keys, values = self.store(layer, k, v)
        return attention(q, keys, values, mask)

    def store(self, layer: int, k: Part, v: Part) -> tuple[Part, Part]:
        """Store keys and values of new positions; return all that ``layer`` holds now."""
        rows, start, stop = self.rows, self.length, self.length + k.shape[2]
        keys, values = alike(k, self.keys[layer]), alike(k, self.values[layer])
        keys[:rows, :, start:stop] = k
        values[:rows, :, start:stop] = v
        return keys[:rows, :, :stop], values[:rows, :, :stop]

    def plan(self, queries: int) -> None:
        """Prepare for ``queries`` new positions, before any layer runs."""

    def mask(self, queries: int) -> Tensor | None:
        """Return the causal mask for ``queries`` new positions, ``None`` where none is needed."""
        if queries == 1 or self.length == 0:
            return None
        size = (queries, self.length + queries)
        hidden = torch.full(size, -torch.inf, dtype=self.shape.dtype, device=self.shape.device)
        return hidden.triu_(self.length + 1)

    def advance(self, queries: int) -> None:
        """Count ``queries`` new positions, after every layer has stored them."""
        self.length += queries
        self.measure()

    def measure(self) -> None:
        """Enter the present size into the meters."""
        nbytes = self.row_nbytes()
        for meter in self.meters:
            meter.add_cache(nbytes, self.held)

    def allow_crop(self) -> None:
        """Do nothing: all that is stored can be forgotten again."""

    def crop(self, length: int) -> None:
        """Forget everything from position ``length`` on (rejected drafts)."""
        self.length = min(self.length, length)

    def expand(self, meters: Sequence[Meter]) -> None:
        """Turn the single row into one row per meter, all with the same content."""
        for tensors in (self.keys, self.values) if len(meters) > 1 else ():
            for i, tensor in enumerate(tensors):
                wide = tensor.new_empty(len(meters), *tensor.shape[1:])
                wide[:, :, : self.length] = tensor[:1, :, : self.length]
                tensors[i] = wide
        self.meters = list(meters)

    def drop(self, row: int) -> int:
        """Remove ``row``; return the index of the row that took its place (the last one)."""
        last = self.rows - 1
        if row != last:
            for tensor in (*self.keys, *self.values):
                tensor[row, :, : self.length] = tensor[last, :, : self.length]
            self.meters[row] = self.meters[last]
        self.meters.pop()
        return last


def alike(new: Part, held: Tensor) -> Part:
    """Return a tensor as what ``new`` is: itself, or an array on its memory."""
    return held.numpy() if isinstance(new, np.ndarray) else held


def attention(q: Part, k: Part, v: Part, mask: Part | None) -> Part:
    """Return scaled dot-product attention; without a mask several queries are causal.

    A few queries on a CPU take plain products: the flash kernel is made for many, and on some
    processors costs ten times as much for one.
    """
    if isinstance(q, np.ndarray):
        return attend_few(q, k, v, mask)
    few = q.is_cpu and q.dtype == torch.float32 and q.shape[0] * q.shape[2] <= FEW_ROWS
    if few and (mask is not None or q.shape[2] == 1):
        hidden = None if mask is None else mask.numpy()
        return torch.from_numpy(attend_few(q.numpy(), k.numpy(), v.numpy(), hidden))
    return F.scaled_dot_product_attention(
        q,
        k,
        v,
        attn_mask=mask,
        is_causal=mask is None and q.shape[2] > 1,
        enable_gqa=q.shape[1] != k.shape[1],
    )


def attend_few(q: Array, k: Array, v: Array, mask: Array | None) -> Array:
    """Return the attention of a few queries; heads that share keys are rows of one product.

    Args:
        q: Queries, shape ``(rows, heads, t, head_dim)``.
        k: Keys, shape ``(rows, kv_heads, s, head_dim)``.
        v: Values, same shape.
        mask: Added to the scores, broadcastable to ``(rows, heads, t, s)``; ``None`` hides nothing.
    """
    rows, heads, queries, size = q.shape
    scores = np.matmul(q.reshape(rows, k.shape[1], -1, size), k.swapaxes(2, 3))
    scores *= size**-0.5
    if mask is not None:
        by_head = scores.reshape(rows, heads, queries, -1)
        by_head += mask
    seen: Array = np.matmul(softmax_few(scores), v)
    return seen.reshape(q.shape)


def softmax_few(scores: Array) -> Array:
    """Return the softmax over the last dimension, in the memory of ``scores``."""
    scores -= np.maximum.reduce(scores, axis=-1, keepdims=True)
    np.exp(scores, out=scores)
    scores /= np.add.reduce(scores, axis=-1, keepdims=True)
    return scores
