"""Variants of prompt pruning by surprisal: a small model tells which tokens say little."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Sequence
from typing import ClassVar

from pydantic import Field

from ttc_bench.engines.base import Capability
from ttc_bench.engines.completion import TokenLogprob
from ttc_bench.policies import Outcome, Requirements, Session, Variant, variant
from ttc_bench.types import Message

CONTEXT_SECTIONS = ("# Salesforce instance Metadata", "# Domain Details", "# Persona of the user")
"""Headings of `crmarena`'s system message under which there are facts, not instructions."""


class _Pruning(Variant):
    """What both prunings share.

    Facts are pruned, instructions are not: in the last user message the lines after the question
    or task, in the system message the sections listed, nothing anywhere else. Line breaks stay,
    and so does a token about which the scorer cannot tell (the first one it reads).

    Attributes:
        keep_lines: First lines of the last user message, kept whole: the question or task.
        sections: Heading lines of the system message whose sections are pruned; a section ends at
            the next heading of its kind.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE}),
        "draft": frozenset({Capability.PROMPT_LOGPROBS}),
    }

    keep_lines: int = Field(default=1, ge=0)
    sections: tuple[str, ...] = CONTEXT_SECTIONS

    @abstractmethod
    def keeps(self, surprisals: Sequence[float]) -> list[bool]:
        """Return which tokens stay, given the surprisal of each in nats."""

    async def answer(self, session: Session) -> Outcome:
        """Return the answer to the pruned prompt."""
        messages, read, dropped = list(session.job.messages), 0, 0
        for i, message in enumerate(messages):
            spans = self.prunable(message, is_last=i == len(messages) - 1)
            if spans:
                tokens = await session.prompt_logprobs(message.content)
                content, count = self.prune(message.content, tokens, spans)
                messages[i] = message.model_copy(update={"content": content})
                read, dropped = read + len(tokens), dropped + count
        share = 1 - dropped / read if read else 1.0
        (completion,) = await session.complete(
            session.request(messages=tuple(messages), prompt_share_kept=share)
        )
        return Outcome(completion.text, completion, info={"prompt_share_kept": share})

    def prunable(self, message: Message, is_last: bool) -> list[range]:
        """Return where in a message there is text that may be pruned."""
        if message.role == "system":
            return list(_sections(message.content, self.sections))
        start = sum(map(len, message.content.splitlines(keepends=True)[: self.keep_lines]))
        is_open = is_last and message.role == "user" and start < len(message.content)
        return [range(start, len(message.content))] if is_open else []

    def prune(
        self, text: str, tokens: Sequence[TokenLogprob], spans: Sequence[range]
    ) -> tuple[str, int]:
        """Return the text without its dropped tokens, and how many were dropped."""
        judged = [
            token
            for token in tokens
            if token.logprob is not None
            and any(span.start <= token.start and token.end <= span.stop for span in spans)
            and not set("\r\n") & set(text[token.start : token.end])
        ]
        kept = self.keeps([-(token.logprob or 0.0) for token in judged])
        dropped = [token for token, stays in zip(judged, kept, strict=True) if not stays]
        parts, position = [], 0
        for token in dropped:
            parts.append(text[position : token.start])
            position = max(position, token.end)
        return "".join([*parts, text[position:]]), len(dropped)


def _sections(text: str, headings: Sequence[str]) -> Iterator[range]:
    """Yield where the bodies of the sections under ``headings`` are."""
    start, position, marks = None, 0, tuple(h.split(" ", 1)[0] + " " for h in headings)
    for line in text.splitlines(keepends=True):
        if start is not None and line.startswith(marks):
            yield range(start, position)
            start = None
        position += len(line)
        if line.rstrip() in headings:
            start = position
    if start is not None:
        yield range(start, position)


@variant("token_pruning", "top_p")
class TopP(_Pruning):
    """Keep the most surprising tokens that together carry a share of all surprisal.

    Source: LLMLingua's token-level compression (arXiv 2310.05736), by mass instead of by ratio.

    Attributes:
        p: Least share of the surprisal that is kept, in each message; 1 keeps every token.
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
