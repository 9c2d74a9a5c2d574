"""Variants of best-of-n (arXiv 2110.14168, 2408.03314)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import ClassVar

from ttc_bench.engines.base import Capability
from ttc_bench.engines.completion import Completion
from ttc_bench.policies import Outcome, Requirements, SampledVariant, Session, variant
from ttc_bench.policies.voting import scores_of_answers


class _BestOfN(SampledVariant):
    def pick(
        self, session: Session, samples: Sequence[Completion], scores: Sequence[float]
    ) -> Outcome:
        """Return the sample of the highest score that holds an answer; the earliest of equals."""
        answers = [session.parse(sample.text) for sample in samples]
        scores = scores_of_answers(answers, scores)
        best = max(range(len(samples)), key=lambda i: scores[i])
        choice = {"picked": best, "score": scores[best], "scores": scores}
        return Outcome(
            samples[best].text,
            samples[best],
            samples=tuple(sample.text for sample in samples),
            info={**choice, "scored_by": self.name, "pool": self.pool()},
            streams=False,
        )


@variant("best_of_n", "likelihood")
class Likelihood(_BestOfN):
    """Keep the sample that the model itself finds most likely, per token."""

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE, Capability.LOGPROBS})
    }

    async def answer(self, session: Session) -> Outcome:
        """Return the sample of the highest mean log-probability."""
        samples = await session.sample(self.n, self.temperature, self.top_p)
        means = [sample.mean_logprob for sample in samples]
        return self.pick(session, samples, [-math.inf if m is None else m for m in means])


@variant("best_of_n", "verifier")
class Verifier(_BestOfN):
    """Keep the sample that the verifier scores highest."""

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE}),
        "verifier": frozenset({Capability.VERIFY}),
    }

    async def answer(self, session: Session) -> Outcome:
        """Return the sample of the highest score."""
        samples = await session.sample(self.n, self.temperature, self.top_p)
        scores = await session.verify([sample.text for sample in samples])
        return self.pick(session, samples, scores)
