"""The loops of plain autoregressive decoding (`engines.base.Plain`).

Of one sample, on any cache, or of several that share their prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ttc_bench.engines.runtime.context import DecodeContext


def decode_on(context: DecodeContext, cache: Any) -> None:
    """Decode one sample on a given empty cache of the target."""
    token = context.step(context.target.forward(context.tensor(context.prompt), cache)[0])
    while token is not None:
        token = context.step(context.target.forward(context.tensor([token]), cache)[0])


def decode_together(contexts: Sequence[DecodeContext]) -> None:
    """Decode several samples of one prompt: the prompt runs once, finished samples leave.

    Every sample's meter is charged with the whole prompt, as if it ran alone; the session that
    bills the request counts it once.
    """
    import torch

    from ttc_bench.engines.runtime.cache import Meter
    from ttc_bench.engines.runtime.sampler import choose_each, token_logprobs

    runner, shared = contexts[0].target, Meter()
    cache = runner.new_cache(contexts[0].capacity, [shared])
    logits = runner.forward(contexts[0].tensor(contexts[0].prompt), cache)
    for context in contexts:
        context.meter.add(shared)
    cache.expand([context.meter for context in contexts])
    logits, active = logits.expand(len(contexts), -1), list(contexts)
    while True:
        tokens = choose_each([context.sampler for context in active], logits)
        logprobs = token_logprobs(logits, tokens)
        for row in reversed(range(len(active))):
            if active[row].out.emit([tokens[row]], [logprobs[row]]):
                last = cache.drop(row)
                active[row], tokens[row] = active[last], tokens[last]
                active.pop(), tokens.pop()
        if not active:
            return
        logits = runner.forward(torch.tensor(tokens, device=runner.device).unsqueeze(1), cache)
