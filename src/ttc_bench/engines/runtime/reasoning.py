"""Hidden reasoning of local models: told from the answer, counted, and ended at a budget.

The end is put into the text as Qwen's and s1's budgets do it (arXiv 2501.19393): where the budget
is used up within a block, the block's end follows, and the model goes on behind it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from ttc_bench.thinking import answer_start, split_thinking, thinking_blocks

if TYPE_CHECKING:
    from ttc_bench.engines.base import Decoding
    from ttc_bench.engines.runtime.context import DecodeContext
    from ttc_bench.engines.runtime.stream import TokenStream


@dataclass(frozen=True)
class Reasoning:
    """What of a sample is reasoning.

    Attributes:
        tokens: Its tokens, those of its markers and of the blanks behind it included.
        first: Place of the answer's first token; ``None`` if all is reasoning.
    """

    tokens: int = 0
    first: int | None = 0


NONE = Reasoning()
"""That of a sample which marks none."""


def reasoning_of(out: TokenStream, prior: str) -> Reasoning:
    """Return what of a sample is reasoning.

    Args:
        out: The sample.
        prior: What of its turn stands in the prompt.
    """
    text = prior + out.text()
    blocks = thinking_blocks(text)
    if not blocks:
        return NONE
    # The blank lines behind a block are no part of an answer.
    ends = (len(text) - len(text[block.end :].lstrip()) for block in blocks)
    places = [
        (block.start - len(prior), end - len(prior))
        for block, end in zip(blocks, ends, strict=True)
    ]
    tokens = sum(
        out.token_at(end - 1) + 1 - out.token_at(max(start, 0)) for start, end in places if end > 0
    )
    start = answer_start(text, blocks, len(prior))
    return Reasoning(tokens, None if start is None else out.token_at(start - len(prior)))


@dataclass(frozen=True)
class ThinkingBudget:
    """Ends a thinking block when it has become too long.

    Attributes:
        tokens: Most tokens of reasoning.
    """

    tokens: int

    def run(self, decoding: Decoding, context: DecodeContext) -> DecodeContext:
        """Decode one sample; return what it was decoded with, its whole stream in place.

        Args:
            decoding: The decoding.
            context: The sample.
        """
        whole, room = context.out, context.out.max_tokens
        first = min(room, self._left(context))
        begun = replace(context, out=whole.limited(first))
        if first:
            decoding.run(begun)
            if begun.out.finish_reason == "stop" or first == room:
                return begun
        closing = split_thinking(context.prior + begun.out.text()).closing
        forced = whole.encoded(f"\n{closing}\n\n") if closing else []
        rest = room - len(begun.out.tokens) - len(forced)
        if rest < 1:
            begun.out.finish_reason = "length"
            return begun
        prompt = [*context.prompt, *begun.out.tokens, *forced]
        more = replace(begun, prompt=prompt, out=whole.limited(rest, is_new=True))
        decoding.run(more)
        if forced:
            more.extra["thinking"] = f"ended by model.thinking_budget ({self.tokens} tokens)"
        return replace(more, prompt=context.prompt, out=begun.out.joined(more.out, forced))

    def _left(self, context: DecodeContext) -> int:
        """Return the tokens until a block must end; one must come to see whether there is any."""
        if not context.prior:
            return max(self.tokens, 1)
        thought = split_thinking(context.prior)
        if thought.closing is None:
            return context.out.max_tokens
        used = len(context.out.encoded(thought.reasoning or ""))
        return max(self.tokens - used, 0)
