"""Variants of the cascade: the draft model answers, the target when the draft is unsure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from ttc_bench.engines.base import Capability
from ttc_bench.engines.completion import Completion
from ttc_bench.engines.trace import TraceRecord
from ttc_bench.policies import Outcome, Requirements, Session, Variant, variant
from ttc_bench.policies.voting import vote

ABLE = frozenset({Capability.GENERATE})


class _Cascade(Variant):
    """What both cascades share.

    Attributes:
        threshold: Least confidence with which the small model's answer is kept: 0 always keeps
            it, 1 never does.
    """

    requires: ClassVar[Requirements] = {"target": ABLE, "draft": ABLE}

    threshold: float = Field(default=0.9, ge=0.0, le=1.0)

    async def _decide(self, session: Session, confidence: float, small: Outcome) -> Outcome:
        """Return the small model's answer, or the target's if the small one is unsure.

        A text without a readable answer earns no confidence, however sure its tokens are.
        """
        confidence = 0.0 if session.parse(small.text) is None else confidence
        escalates = confidence < self.threshold or self.threshold == 1.0
        info = {"confidence": confidence, "escalated": escalates}
        state = "rejected" if escalates else "accepted"
        drafted = TraceRecord("part", small.text, state, score=confidence)
        if not escalates:
            return replace(small, info=info, streams=False, trace=(drafted,))
        (large,) = await session.complete(session.request(purpose="escalation"))
        trace = (drafted, TraceRecord("part", large.text, "own"))
        return Outcome(large.text, large, samples=small.samples, info=info, trace=trace)


@variant("cascade", "confidence")
class Confidence(_Cascade):
    """Escalate when the small model's answer looks unsure (FrugalGPT, arXiv 2305.05176).

    Attributes:
        signal: What tells how sure: the ``mean`` (geometric) or the ``min`` of the small model's
            token probabilities, or the ``verifier``'s score of its answer, which stands in for
            the paper's learnt scorer.
    """

    signal: Literal["mean", "min", "verifier"] = "mean"

    def needs(self) -> Requirements:
        """Return what the models must be able to do; see `Variant.needs`."""
        if self.signal == "verifier":
            return {**self.requires, "verifier": frozenset({Capability.VERIFY})}
        return {**self.requires, "draft": ABLE | {Capability.LOGPROBS}}

    async def answer(self, session: Session) -> Outcome:
        """Return the small or the large model's greedy answer."""
        (small,) = await session.complete(session.request(role="draft"))
        confidence = await self._confidence(session, small)
        return await self._decide(session, confidence, Outcome(small.text, small))

    async def _confidence(self, session: Session, small: Completion) -> float:
        if self.signal == "verifier":
            return (await session.verify([small.text]))[0]
        return token_confidence(small.logprobs or (), self.signal)


def token_confidence(logprobs: Sequence[float], signal: Literal["mean", "min"]) -> float:
    """Return the geometric mean, or the least, of token probabilities; 0 for no token."""
    if not logprobs:
        return 0.0
    return math.exp(min(logprobs) if signal == "min" else sum(logprobs) / len(logprobs))


@variant("cascade", "agreement")
class Agreement(_Cascade):
    """Escalate when samples of the small model disagree (arXiv 2310.03094).

    Attributes:
        k: Samples of the small model.
        temperature: Their temperature.
        top_p: Their nucleus mass.
    """

    threshold: float = Field(default=0.75, ge=0.0, le=1.0)
    k: int = Field(default=4, ge=1)
    temperature: float = Field(default=0.7, gt=0.0, le=5.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)

    async def answer(self, session: Session) -> Outcome:
        """Return the small model's winning answer, or the large model's greedy one."""
        samples = await session.sample(self.k, self.temperature, self.top_p, role="draft")
        texts = tuple(sample.text for sample in samples)
        result = vote([session.parse(text) for text in texts])
        small = Outcome(texts[result.index], samples=texts)
        return await self._decide(session, result.share, small)
