"""Attention sinks plus a recent window."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ttc_bench.engines.base import Capability, Decoding, Requirements
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

    requires: ClassVar[Requirements] = {"target": Decoding.requires["target"] | {Capability.EVICT}}

    budget: KVBudget = 0.5
    sinks: int = Field(default=4, ge=0)

    def run(self, context: DecodeContext) -> None:
        """Decode one sample."""
        meters, budget = [context.meter], partial(positions, self.budget)
        target = context.white_box
        decode_on(context, target.sink_cache(context.capacity, meters, budget, self.sinks))
