"""Variants of the cascade: the draft model answers, the target when the draft is unsure."""

from __future__ import annotations

import math
from typing import ClassVar

from pydantic import Field

from ttc_bench.engines.base import Capability
from ttc_bench.policies import Outcome, Requirements, Session, Variant, variant
from ttc_bench.types import Job
from ttc_bench.voting import vote

ABLE = frozenset({Capability.GENERATE})


class _Cascade(Variant):
    """What both cascades share.

    Attributes:
        threshold: Least confidence with which the small model's answer is kept: 0 always keeps
            it, 1 never does.
    """

    threshold: float = Field(default=0.9, ge=0.0, le=1.0)

    async def _decide(self, session: Session, confidence: float, small: Outcome) -> Outcome:
        """Return the small model's answer, or the target's if the small one is unsure."""
        info = {"confidence": confidence, "escalated": self._escalates(confidence)}
        if not self._escalates(confidence):
            return Outcome(small.text, small.source, samples=small.samples, info=info)
        (large,) = await session.complete(session.request(purpose="escalation"))
        return Outcome(large.text, large, samples=small.samples, info=info)

    def _escalates(self, confidence: float) -> bool:
        return confidence < self.threshold or self.threshold == 1.0


@variant("cascade", "confidence")
class Confidence(_Cascade):
    """Escalate when the small model's tokens are improbable (FrugalGPT, arXiv 2305.05176).

    The confidence is the geometric mean of the token probabilities.
    """

    requires: ClassVar[Requirements] = {"target": ABLE, "draft": ABLE | {Capability.LOGPROBS}}

    async def answer(self, job: Job, session: Session) -> Outcome:
        """Return the small or the large model's greedy answer."""
        (small,) = await session.complete(session.request(role="draft"))
        logprobs = small.logprobs or ()
        confidence = math.exp(sum(logprobs) / len(logprobs)) if logprobs else 0.0
        return await self._decide(session, confidence, Outcome(small.text, small))


@variant("cascade", "agreement")
class Agreement(_Cascade):
    """Escalate when samples of the small model disagree (arXiv 2310.03094).

    Attributes:
        k: Samples of the small model.
        temperature: Their temperature.
    """

    requires: ClassVar[Requirements] = {"target": ABLE, "draft": ABLE}

    threshold: float = Field(default=0.75, ge=0.0, le=1.0)
    k: int = Field(default=4, ge=1)
    temperature: float = Field(default=0.7, gt=0.0, le=5.0)

    async def answer(self, job: Job, session: Session) -> Outcome:
        """Return the small model's winning answer, or the large model's greedy one."""
        samples = await session.sample(self.k, self.temperature, role="draft")
        texts = tuple(sample.text for sample in samples)
        result = vote([session.parse(text) for text in texts])
        small = Outcome(texts[result.index], samples=texts)
        return await self._decide(session, result.share, small)
