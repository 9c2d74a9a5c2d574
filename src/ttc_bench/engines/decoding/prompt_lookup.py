"""Speculative decoding with n-grams copied from the prompt and the answer so far."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from ttc_bench.engines.base import Decoding, Requirements
from ttc_bench.engines.decoding.speculation import VERIFIES, Proposal, speculate

if TYPE_CHECKING:
    from ttc_bench.engines.runtime.context import DecodeContext


class PromptLookup(Decoding):
    """Speculative decoding whose drafts follow an earlier occurrence of the last n-gram.

    The drafts cost no model pass (prompt lookup decoding, Saxena 2023; verification as in
    arXiv 2211.17192 with a draft distribution that is certain of one token).

    Attributes:
        k: Most tokens drafted per round.
        max_ngram: Longest n-gram looked up; shorter ones are tried when it was not seen before.
    """

    requires: ClassVar[Requirements] = {"target": VERIFIES}
    lossless: ClassVar[bool] = True

    k: int = Field(default=4, ge=1, le=64)
    max_ngram: int = Field(default=3, ge=1, le=16)

    def run(self, context: DecodeContext) -> None:
        """Decode one sample."""
        speculate(context, NgramDrafter(self.max_ngram), self.k)


class NgramDrafter:
    """Proposes what followed the latest earlier occurrence of the longest known n-gram.

    Args:
        max_ngram: Longest n-gram looked up.
    """

    def __init__(self, max_ngram: int) -> None:
        self._max_ngram = max_ngram
        self._latest: dict[tuple[int, ...], int] = {}
        self._indexed = 0

    def propose(self, sequence: list[int], limit: int) -> Proposal:
        """Return at most ``limit`` tokens that followed the end of ``sequence`` before."""
        self._index(sequence)
        for n in range(min(self._max_ngram, len(sequence) - 1), 0, -1):
            follower = self._latest.get(tuple(sequence[-n:]))
            if follower is not None:
                return Proposal(sequence[follower : follower + max(0, limit)])
        return Proposal()

    def _index(self, sequence: list[int]) -> None:
        """Note every n-gram that has a follower by now; ``sequence`` only ever grows."""
        for end in range(max(1, self._indexed), len(sequence)):
            for n in range(1, min(self._max_ngram, end) + 1):
                self._latest[tuple(sequence[end - n : end])] = end
        self._indexed = len(sequence)
