"""Early exit at a fixed depth."""

from __future__ import annotations

from typing import TYPE_CHECKING

from ttc_bench.engines.base import Decoding
from ttc_bench.engines.decoding.base import ShareOrCount, resolve

if TYPE_CHECKING:
    from ttc_bench.engines.runtime.context import DecodeContext


class FixedLayer(Decoding):
    """Every token leaves the stack after the same layer (LayerSkip, arXiv 2404.16710).

    The hidden state after that layer goes through the model's own final norm and output head;
    the layers above run for no token, prompt included, and keep no cache.

    Attributes:
        layers: Share of the layers (a float in (0, 1], rounded to whole layers) or their number.
    """

    layers: ShareOrCount = 0.75

    def run(self, context: DecodeContext) -> None:
        """Decode one sample with the first layers only."""
        target = context.white_box
        depth = resolve(self.layers, target.n_layers)
        cache = target.new_cache(context.capacity, [context.meter], layers=depth)
        tokens: list[int] = context.prompt
        while True:
            logits = target.forward(context.tensor(tokens), cache, layers=depth)
            token = context.step(logits[0])
            if token is None:
                return
            tokens = [token]
