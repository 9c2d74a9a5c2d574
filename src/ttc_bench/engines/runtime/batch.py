"""The decode loop of elastic batching, on sequences that differ in length."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from torch import Tensor

from ttc_bench.engines.decoding.elastic_batch import Demand, Queue
from ttc_bench.engines.runtime.context import DecodeContext
from ttc_bench.engines.runtime.runner import Batch, WhiteBox
from ttc_bench.engines.runtime.sampler import choose_each, token_logprobs


class Slot(NamedTuple):
    """A request in the batch, and the token that it feeds next."""

    demand: Demand
    context: DecodeContext
    token: int


def decode_elastic(
    runner: WhiteBox, contexts: Mapping[int, DecodeContext], queue: Queue
) -> Iterator[tuple[list[int], list[int]]]:
    """Decode all requests of a queue together.

    Args:
        runner: Runs the model.
        contexts: The sample of each request, by its index.
        queue: Decides who joins when.

    Yields:
        Indexes of the requests admitted, before anything of theirs runs, and of those finished.
    """
    batch, slots = runner.new_batch(), list[Slot]()
    while len(queue) or slots:
        admitted = queue.admit([slot.demand.reserved for slot in slots])
        if admitted:
            yield [demand.index for demand in admitted], []
            joined = [Slot(demand, contexts[demand.index], 0) for demand in admitted]
            finished = _prefill(batch, slots, joined)
        else:
            finished = _advance(batch, slots)
        yield [], finished


def _prefill(batch: Batch, slots: list[Slot], joined: list[Slot]) -> list[int]:
    """Run the prompts of new requests, append their slots and return who is done already."""
    first = len(slots)
    slots += joined
    width = max(slot.demand.reserved for slot in slots)
    new = [slot.context for slot in joined]
    logits = batch.admit([c.prompt for c in new], [c.meter for c in new], width)
    return _emit(batch, slots, logits, first)


def _advance(batch: Batch, slots: list[Slot]) -> list[int]:
    """Run one token of every row; return the indexes of the requests that are done."""
    logits = batch.step([slot.token for slot in slots])
    for slot, length in zip(slots, batch.lengths, strict=True):
        slot.context.meter.add_padding(length, batch.held)
    return _emit(batch, slots, logits, first=0)


def _emit(batch: Batch, slots: list[Slot], logits: Tensor, first: int) -> list[int]:
    """Choose and emit a token for the rows from ``first`` on; remove the rows that are done."""
    rows = range(first, len(slots))
    tokens = choose_each([slots[row].context.sampler for row in rows], logits)
    logprobs = token_logprobs(logits, tokens)
    finished = []
    for row in reversed(rows):
        demand, context, _ = slots[row]
        token = tokens[row - first]
        context.watch(logits[row - first : row - first + 1])
        if context.out.emit([token], [logprobs[row - first]]):
            finished.append(demand.index)
            slots[row] = slots[batch.drop(row)]
            slots.pop()
        else:
            slots[row] = Slot(demand, context, token)
    return finished
