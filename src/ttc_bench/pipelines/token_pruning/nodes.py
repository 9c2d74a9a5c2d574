"""Variants of prompt pruning by surprisal: a small model tells which tokens say little."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import ClassVar

from pydantic import Field

from ttc_bench.engines.base import Capability, TokenSurprisal
from ttc_bench.policies import Outcome, Requirements, Session, Variant, variant
from ttc_bench.types import Job


class _Pruning(Variant):
    """What both prunings share.

    Only the last user message is pruned: system message and examples carry the instructions.

    Attributes:
        keep_lines: Lines at its start that are kept whole: the question or task itself.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE}),
        "draft": frozenset({Capability.SURPRISAL}),
    }

    keep_lines: int = Field(default=1, ge=0)

    @abstractmethod
    def keeps(self, surprisals: Sequence[float]) -> list[bool]:
        """Return which tokens stay, given the surprisal of each in nats."""

    async def answer(self, job: Job, session: Session) -> Outcome:
        """Return the answer to the pruned prompt."""
        *before, last = job.messages
        tokens = await session.surprisal(last.content)
        pruned, share = self.prune(last.content, tokens)
        messages = (*before, last.model_copy(update={"content": pruned}))
        (completion,) = await session.complete(
            session.request(messages=messages, prompt_share_kept=share)
        )
        return Outcome(completion.text, completion, info={"prompt_share_kept": share})

    def prune(self, text: str, tokens: Sequence[TokenSurprisal]) -> tuple[str, float]:
        """Return the text without its dropped tokens, and the share of tokens kept."""
        protected = sum(len(line) for line in text.splitlines(keepends=True)[: self.keep_lines])
        open_tokens = [token for token in tokens if token.start >= protected]
        kept = self.keeps([-(token.logprob or 0.0) for token in open_tokens])
        dropped = [token for token, stays in zip(open_tokens, kept, strict=True) if not stays]
        parts, position = [], 0
        for token in dropped:
            parts.append(text[position : token.start])
            position = max(position, token.end)
        parts.append(text[position:])
        return "".join(parts), 1 - len(dropped) / len(tokens) if tokens else 1.0


@variant("token_pruning", "top_p")
class TopP(_Pruning):
    """Keep the most surprising tokens that together carry a share of all surprisal.

    Source: LLMLingua's token-level compression (arXiv 2310.05736), by mass instead of by ratio.

    Attributes:
        p: Least share of the surprisal that is kept; 1 keeps every token.
    """

    p: float = Field(default=0.9, gt=0.0, le=1.0)

    def keeps(self, surprisals: Sequence[float]) -> list[bool]:
        """Return the fewest tokens whose surprisal adds up to ``p`` of the whole."""
        if self.p == 1.0:
            return [True] * len(surprisals)
        kept, mass, goal = [False] * len(surprisals), 0.0, self.p * sum(surprisals)
        for i in sorted(range(len(surprisals)), key=lambda i: -surprisals[i]):
            if mass >= goal:
                break
            kept[i], mass = True, mass + surprisals[i]
        return kept


@variant("token_pruning", "entropy")
class Entropy(_Pruning):
    """Drop every token whose self-information is below a threshold (arXiv 2304.12102).

    Attributes:
        threshold_nats: Least surprisal of a kept token; 0 keeps every token.
    """

    threshold_nats: float = Field(default=0.05, ge=0.0)

    def keeps(self, surprisals: Sequence[float]) -> list[bool]:
        """Return the tokens at or above the threshold."""
        return [surprisal >= self.threshold_nats for surprisal in surprisals]
