"""The decode loop of elastic batching, on a cache whose rows differ in length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from ttc_bench.engines.decoding.elastic_batch import Demand, Queue
from ttc_bench.engines.runtime.cache import CacheShape, KVCache
from ttc_bench.engines.runtime.context import DecodeContext
from ttc_bench.engines.runtime.llama import LlamaRunner
from ttc_bench.engines.runtime.sampler import choose_each, token_logprobs


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

    def store(self, layer: int, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor]:
        """Store one position per row; return all that ``layer`` holds, padding included."""
        keys, values = self.keys[layer], self.values[layer]
        keys[self._rows, :, self._at], values[self._rows, :, self._at] = k[:, :, 0], v[:, :, 0]
        return keys[: self.rows, :, : self.held + 1], values[: self.rows, :, : self.held + 1]

    def advance(self, queries: int) -> None:
        """Count one more position in every row."""
        self.lengths = [length + 1 for length in self.lengths]
        self.length = self.held
        self.measure()

    def measure(self) -> None:
        """Enter each row's own size into its meter, and the padding that came with it."""
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


class Slot(NamedTuple):
    """A request in the batch, and the token that it feeds next."""

    demand: Demand
    context: DecodeContext
    token: int


def decode_elastic(
    runner: LlamaRunner, contexts: Mapping[int, DecodeContext], queue: Queue
) -> Iterator[tuple[list[int], list[int]]]:
    """Decode all requests of a queue together.

    Args:
        runner: Runs the model.
        contexts: The sample of each request, by its index.
        queue: Decides who joins when.

    Yields:
        Indexes of the requests admitted, before anything of theirs runs, and of those finished.
    """
    cache, slots = RaggedCache(runner.cache_shape), list[Slot]()
    while len(queue) or slots:
        admitted = queue.admit([slot.demand.reserved for slot in slots])
        if admitted:
            yield [demand.index for demand in admitted], []
            ready, finished = _prefill(runner, cache, admitted, contexts, slots)
            slots = ready
        else:
            finished = _advance(runner, cache, slots)
        yield [], finished


def _prefill(
    runner: LlamaRunner,
    cache: RaggedCache,
    admitted: Sequence[Demand],
    contexts: Mapping[int, DecodeContext],
    slots: Sequence[Slot],
) -> tuple[list[Slot], list[int]]:
    """Run the prompts of new requests in one padded pass; return all slots, and who is done."""
    new = [contexts[demand.index] for demand in admitted]
    lengths = [len(context.prompt) for context in new]
    longest = max(lengths)
    packed = runner.new_cache(longest, [context.meter for context in new])
    padded = [c.prompt + [0] * (longest - len(c.prompt)) for c in new]
    step = runner.begin(torch.tensor(padded, device=runner.device), packed)
    runner.run(step)
    logits = runner.logits(step, at=torch.tensor(lengths, device=runner.device) - 1)
    _count_padding(new, lengths, longest)
    width = max(demand.reserved for demand in (*admitted, *(slot.demand for slot in slots)))
    cache.admit(packed, lengths, width)
    joined = [
        *slots,
        *(Slot(d, c, 0) for d, c in zip(admitted, new, strict=True)),
    ]
    return joined, _emit(cache, joined, logits, first=len(slots))


def _advance(runner: LlamaRunner, cache: RaggedCache, slots: list[Slot]) -> list[int]:
    """Run one token of every row; return the indexes of the requests that are done."""
    tokens = torch.tensor([[slot.token] for slot in slots], device=runner.device)
    logits = runner.forward(tokens, cache, prefill=False)
    _count_padding([slot.context for slot in slots], cache.lengths, cache.held)
    return _emit(cache, slots, logits, first=0)


def _emit(cache: RaggedCache, slots: list[Slot], logits: Tensor, first: int) -> list[int]:
    """Choose and emit a token for the rows from ``first`` on; remove the rows that are done."""
    rows = range(first, len(slots))
    tokens = choose_each([slots[row].context.sampler for row in rows], logits)
    logprobs = token_logprobs(logits, tokens)
    finished = []
    for row in reversed(rows):
        demand, context, _ = slots[row]
        token = tokens[row - first]
        if context.out.emit([token], [logprobs[row - first]]):
            finished.append(demand.index)
            slots[row] = slots[cache.drop(row)]
            slots.pop()
        else:
            slots[row] = Slot(demand, context, token)
    return finished


def _count_padding(contexts: Sequence[DecodeContext], lengths: Sequence[int], longest: int) -> None:
    """Enter the padded positions that each row's share of a pass worked on."""
    for context, length in zip(contexts, lengths, strict=True):
        context.meter.positions += longest
        context.meter.padded_positions += longest - length
