"""Speculative decoding: cheap drafts, verified by the target in one pass.

Algorithm 1 of Leviathan et al. (arXiv 2211.17192), equally Chen et al. (arXiv 2302.01318): the
target scores the last token and all drafts in one pass; drafts are accepted from the left with
probability ``min(1, p / q)``; the first rejected one is replaced by a draw from the normalised
``max(p - q, 0)``, and if all are accepted one more token comes for free. Output has exactly the
target's distribution; under greedy decoding it is the target's greedy output.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from ttc_bench.engines.base import Capability

if TYPE_CHECKING:
    from torch import Tensor

    from ttc_bench.engines.runtime.context import DecodeContext
    from ttc_bench.engines.runtime.sampler import Sampler


VERIFIES = frozenset({Capability.GENERATE, Capability.ROLL_BACK})
"""What a model must be able to do whose drafts, or whose reading of drafts, may be rejected."""


@dataclass
class Proposal:
    """Drafted tokens.

    Attributes:
        tokens: Token ids, in order.
        probabilities: The distribution that each was drawn from, shape ``(vocabulary,)``; empty
            if each was certain (a copied n-gram, or any greedy draft).
    """

    tokens: list[int] = field(default_factory=list)
    probabilities: list[Tensor] = field(default_factory=list)


class Drafter(Protocol):
    """Where drafts come from."""

    def propose(self, sequence: list[int], limit: int) -> Proposal:
        """Return at most ``limit`` tokens that may follow ``sequence`` (prompt and answer)."""
        ...


def speculate(context: DecodeContext, drafter: Drafter, k: int) -> None:
    """Decode one sample with drafts of up to ``k`` tokens."""
    cache = context.target.new_cache(context.capacity + k, [context.meter])
    first = context.step(context.target.forward(context.tensor(context.prompt), cache)[0])
    context.trace += [(token, "own", None) for token in context.out.tokens]
    if first is None:
        return
    cache.allow_crop()
    done = False
    while not done:
        sequence = context.prompt + context.out.tokens
        # The pass yields one token beyond the accepted drafts: never draft into the void.
        limit = min(k, context.out.room - 1)
        border = context.target.reads_anew_at
        if border is not None and len(sequence) <= border:
            limit = min(limit, border - len(sequence))
        proposal = drafter.propose(sequence, limit)
        pending = [sequence[-1], *proposal.tokens]
        logits = context.target.forward(context.tensor(pending), cache, every=True)[0]
        done = accept(context, proposal, logits)
        cache.crop(len(context.prompt) + len(context.out.tokens) - 1)


def accept(context: DecodeContext, proposal: Proposal, logits: Tensor) -> bool:
    """Emit the accepted drafts and the target's own next token.

    Args:
        context: The sample.
        proposal: The drafts.
        logits: The target's, after the last token and after each draft; shape
            ``(drafts + 1, vocabulary)``.

    Returns:
        Whether the sample is finished.
    """
    from ttc_bench.engines.runtime.sampler import token_logprobs

    if context.sampler.greedy:
        tokens = verify_greedy(proposal, logits)
    else:
        tokens = verify_drawn(context.sampler, proposal, logits)
    context.watch(logits[: len(tokens)])
    before = len(context.out.tokens)
    done = context.out.emit(tokens, token_logprobs(logits[: len(tokens)], tokens))
    emitted = len(context.out.tokens) - before
    context.draft_tokens += len(proposal.tokens)
    accepted = min(emitted, len(tokens) - 1)
    context.accepted_tokens += accepted
    context.trace += [(token, "accepted", None) for token in proposal.tokens[:accepted]]
    context.trace += [(token, "rejected", None) for token in proposal.tokens[accepted:]]
    context.trace += [(token, "own", None) for token in tokens[accepted:emitted]]
    return done


def verify_greedy(proposal: Proposal, logits: Tensor) -> list[int]:
    """Return the drafts that the target would have chosen, and its own next token."""
    best: list[int] = logits.argmax(-1).tolist()
    agreed = 0
    while agreed < len(proposal.tokens) and proposal.tokens[agreed] == best[agreed]:
        agreed += 1
    return best[: agreed + 1]


def verify_drawn(sampler: Sampler, proposal: Proposal, logits: Tensor) -> list[int]:
    """Return accepted drafts and one more token, jointly distributed as the target's samples.

    Args:
        sampler: The sample's sampler.
        proposal: The drafts, with the distributions that they were drawn from.
        logits: The target's, shape ``(drafts + 1, vocabulary)``.
    """
    target = sampler.probabilities(logits)
    for i, token in enumerate(proposal.tokens):
        p = target[i]
        q = proposal.probabilities[i] if proposal.probabilities else None
        if sampler.uniform() * (1.0 if q is None else float(q[token])) < float(p[token]):
            continue
        residual = p.clone()
        if q is None:
            residual[token] = 0.0
        else:
            residual = (p - q).clamp_(min=0.0)
        return [*proposal.tokens[:i], sampler.draw(residual)]
    return [*proposal.tokens, sampler.draw(target[-1])]
