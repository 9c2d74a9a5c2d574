"""Early exit of each token, as soon as the exit head is sure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ttc_bench.engines.base import Capability, Decoding, Requirements
from ttc_bench.engines.decoding.base import ShareOrCount, resolve

if TYPE_CHECKING:
    from torch import Tensor

    from ttc_bench.engines.runtime.context import DecodeContext


class ConfidenceExit(Decoding):
    """Each token leaves the stack as soon as the head is sure (CALM, arXiv 2207.07061).

    From ``min_layers`` on, the model's own final norm and head read the hidden state; if their
    confidence exceeds the threshold, the token is chosen there and the layers above do not run.
    Later tokens still attend to it in those layers: their keys and values are projected from the
    state at which it left (CALM's state propagation), which costs two small products per layer.
    The prompt runs through all layers. Every reading by the head is billed.

    Attributes:
        threshold: Confidence that must be exceeded; at 1 no token leaves early and no exit head
            runs.
        min_layers: Share or number of layers that run before the first check.
        check_every: Layers from one check to the next.
        measure: ``softmax`` is the probability of the most likely token, ``margin`` its lead over
            the second.
    """

    requires: ClassVar[Requirements] = {
        "target": Decoding.requires["target"] | {Capability.PROPAGATE}
    }

    threshold: float = Field(default=0.9, ge=0.0, le=1.0)
    min_layers: ShareOrCount = 0.5
    check_every: int = Field(default=2, ge=1)
    measure: Literal["softmax", "margin"] = "softmax"

    def run(self, context: DecodeContext) -> None:
        """Decode one sample; ``extra["exit_layers"]`` counts tokens by the layers they ran."""
        target = context.white_box
        cache = target.new_cache(context.capacity, [context.meter])
        exits, checks = Counter[int](), self._checks(target.n_layers)
        token = context.step(target.forward(context.tensor(context.prompt), cache)[0])
        context.trace.append((context.out.tokens[-1], "exit", target.n_layers))
        while token is not None:
            logits, depth = target.climb(context.tensor([token]), cache, checks, self._is_sure)
            exits[depth] += 1
            token = context.step(logits)
            context.trace.append((context.out.tokens[-1], "exit", depth))
        context.extra["exit_layers"] = {str(k): exits[k] for k in sorted(exits)}

    def _checks(self, n_layers: int) -> list[int]:
        if self.threshold >= 1:
            return [n_layers]
        first = resolve(self.min_layers, n_layers)
        return [*range(first, n_layers, self.check_every), n_layers]

    def _is_sure(self, logits: Tensor) -> bool:
        best, second = logits.softmax(-1).topk(2).values.tolist()
        return bool((best - second if self.measure == "margin" else best) > self.threshold)
