"""Variants of self-consistency (arXiv 2203.11171)."""

from __future__ import annotations

from pydantic import Field

from ttc_bench.policies import Outcome, SampledVariant, Session, variant
from ttc_bench.policies.voting import Vote, vote


@variant("self_consistency", "majority")
class Majority(SampledVariant):
    """Sample ``n`` chains and return the answer that most of them reach."""

    async def answer(self, session: Session) -> Outcome:
        """Return a sample that gave the winning answer."""
        samples = await session.sample(self.n, self.temperature, self.top_p)
        texts = tuple(sample.text for sample in samples)
        result = vote([session.parse(text) for text in texts])
        return _outcome(texts, result, pool=self.pool())


@variant("self_consistency", "adaptive")
class Adaptive(SampledVariant):
    """Draw the same samples as `Majority`, but stop once the vote is decided (arXiv 2305.11860).

    Attributes:
        n: Most samples.
        chunk: Samples drawn at a time.
        threshold: Stop when the winner leads with at least this probability, under the Beta
            distribution of the paper; 1 stops only when no further vote could change the winner.
    """

    chunk: int = Field(default=2, ge=1)
    threshold: float = Field(default=0.95, ge=0.5, le=1.0)

    async def answer(self, session: Session) -> Outcome:
        """Return a sample that gave the winning answer."""
        texts: list[str] = []
        result = Vote(0, 0, 0, 0.0)
        while len(texts) < self.n and not self.is_decided(result, len(texts)):
            size = min(self.chunk, self.n - len(texts))
            drawn = await session.sample(size, self.temperature, self.top_p, len(texts))
            texts += [sample.text for sample in drawn]
            result = vote([session.parse(text) for text in texts])
        return _outcome(tuple(texts), result)

    def is_decided(self, result: Vote, drawn: int) -> bool:
        """Return whether the vote can stop after ``drawn`` samples."""
        from scipy.special import betainc

        remaining = self.n - drawn
        if drawn and result.votes > result.runner_up + remaining:
            return True
        if not result.votes or self.threshold == 1.0:
            return False
        # P(p > 1/2) for p ~ Beta(votes + 1, runner_up + 1).
        leads = 1.0 - float(betainc(result.votes + 1, result.runner_up + 1, 0.5))
        return leads >= self.threshold


def _outcome(texts: tuple[str, ...], result: Vote, **noted: object) -> Outcome:
    info = {"confidence": result.share, "votes": result.votes, "samples": len(texts), **noted}
    return Outcome(texts[result.index], samples=texts, info=info)
