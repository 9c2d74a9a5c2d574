"""The baseline policy."""

from __future__ import annotations

from typing import ClassVar

from ttc_bench.policies import Outcome, Session, Variant, variant
from ttc_bench.types import BASELINE


@variant(*BASELINE)
class Greedy(Variant):
    """One greedy completion by plain autoregressive decoding."""

    is_control: ClassVar[bool] = True

    async def answer(self, session: Session) -> Outcome:
        """Return the completion as it is."""
        (completion,) = await session.complete(session.request())
        return Outcome(completion.text, completion)
