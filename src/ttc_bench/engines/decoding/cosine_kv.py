"""A cache budget that decays, evicting what was attended to least."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ttc_bench.engines.base import Capability, Decoding, Requirements
from ttc_bench.engines.decoding.base import KVBudget, positions
from ttc_bench.engines.decoding.plain import decode_on

if TYPE_CHECKING:
    from ttc_bench.engines.runtime.context import DecodeContext


class CosineKV(Decoding):
    """A cache that keeps the heavy hitters (arXiv 2306.14048) of a budget that decays.

    Over the first ``decay_steps`` tokens of the answer, the budget falls along half a cosine from
    ``budget_start`` to ``budget_end``, and stays there. Eviction is per layer and head: the
    position with the least attention received goes, except the most recent ones. The prompt runs
    in one pass with full attention; keys keep their original rotary positions.

    Attributes:
        budget_start: Positions kept right after the prompt: a whole number, or a share of the
            positions that a full cache would hold at that moment.
        budget_end: The same once the budget has decayed.
        decay_steps: Answer tokens over which it decays.
        recent: Share of the budget that is set aside for the most recent positions (half in H2O).
    """

    requires: ClassVar[Requirements] = {"target": Decoding.requires["target"] | {Capability.EVICT}}

    budget_start: KVBudget = 1.0
    budget_end: KVBudget = 0.5
    decay_steps: int = Field(default=64, ge=1)
    recent: float = Field(default=0.5, ge=0.0, le=1.0)

    def run(self, context: DecodeContext) -> None:
        """Decode one sample."""
        target, prompt = context.white_box, len(context.prompt)

        def budget(length: int) -> int:
            return self.positions(length, length - prompt)

        if all(budget(n) >= n for n in range(prompt, context.capacity + 1)):
            # Nothing will ever be evicted: no need to keep scores.
            decode_on(context, target.new_cache(context.capacity, [context.meter]))
            return
        meters = [context.meter]
        decode_on(context, target.heavy_hitter_cache(context.capacity, meters, budget, self.recent))

    def positions(self, length: int, step: int) -> int:
        """Return how many of ``length`` positions are kept after ``step`` answer tokens."""
        start, end = positions(self.budget_start, length), positions(self.budget_end, length)
        progress = min(1.0, max(0, step) / self.decay_steps)
        return math.ceil(end + (start - end) * (1 + math.cos(math.pi * progress)) / 2)
