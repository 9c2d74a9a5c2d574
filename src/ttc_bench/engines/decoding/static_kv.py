"""Attention sinks plus a recent window."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

from pydantic import Field

from ttc_bench.engines.base import Decoding
from ttc_bench.engines.decoding.base import KVBudget, positions
from ttc_bench.engines.decoding.plain import decode_on

if TYPE_CHECKING:
    from ttc_bench.engines.runtime.context import DecodeContext


class StaticKV(Decoding):
    """A cache of the first few positions and the most recent ones (arXiv 2309.17453).

    The prompt runs in one pass with full attention and is cut to the budget layer by layer. Keys
    keep their original rotary positions: within the context window that the model was trained
    for, nothing calls for StreamingLLM's renumbering.

    Attributes:
        budget: Positions kept: a whole number, or a share of the positions that a full cache
            would hold at that moment.
        sinks: First positions that always stay.
    """

    budget: KVBudget = 0.5
    sinks: int = Field(default=4, ge=0)

    def run(self, context: DecodeContext) -> None:
        """Decode one sample."""
        from ttc_bench.engines.runtime.eviction import SinkCache

        shape, budget = context.white_box.cache_shape, partial(positions, self.budget)
        cache = SinkCache(shape, context.capacity, [context.meter], budget, self.sinks)
        decode_on(context, cache)
