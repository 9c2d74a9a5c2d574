"""The baseline policy."""

from __future__ import annotations

from ttc_bench.policies import Outcome, Session, Variant, variant
from ttc_bench.types import Job


@variant("baseline", "greedy")
class Greedy(Variant):
    """One greedy completion by plain autoregressive decoding."""

    async def answer(self, job: Job, session: Session) -> Outcome:
        """Return the completion as it is."""
        (completion,) = await session.complete(session.request())
        return Outcome(completion.text, completion)
