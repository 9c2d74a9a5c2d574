"""Variants of speculative decoding; the loops are in `ttc_bench.engines.decoding`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc_bench.engines import decoding
from ttc_bench.engines.base import Capability
from ttc_bench.policies import (
    DecodingVariant,
    Outcome,
    Requirements,
    Session,
    Variant,
    variant,
)
from ttc_bench.types import Job

ABLE = frozenset({Capability.GENERATE, Capability.CONTINUE})


@variant("speculative", "draft_model")
class DraftModel(decoding.DraftModel, DecodingVariant):
    """A small model drafts, the target verifies (arXiv 2211.17192, 2302.01318)."""


@variant("speculative", "prompt_lookup")
class PromptLookup(decoding.PromptLookup, DecodingVariant):
    """N-grams seen before are the draft, the target verifies."""


@variant("speculative", "step")
class Step(Variant):
    """Speculate by reasoning steps: draft a step, keep it or rewrite it (arXiv 2504.07891).

    The draft model writes a line; the verifier scores the solution so far with it; below the
    threshold the target writes the line instead.

    Attributes:
        threshold: Least score of a drafted step that is kept: above 1 the target writes all.
        max_steps: Most steps; what is missing after them the target writes in one go.
    """

    requires: ClassVar[Requirements] = {
        "target": ABLE,
        "draft": ABLE,
        "verifier": frozenset({Capability.VERIFY}),
    }

    threshold: float = Field(default=0.5, ge=0.0, le=1.01)
    max_steps: int = Field(default=16, ge=0)

    async def answer(self, job: Job, session: Session) -> Outcome:
        """Return the solution, and how many of its steps were drafted."""
        text, drafted, steps = "", 0, 0
        while session.parse(text) is None and steps < self.max_steps:
            steps += 1
            line = await self._line(session, text, "draft")
            (score,) = await session.verify([text + line])
            if score >= self.threshold:
                drafted += 1
            else:
                line = await self._line(session, text, "target")
            if not line:
                break
            text += f"{line}\n"
        info = {"steps": steps, "drafted_steps": drafted}
        if session.parse(text) is not None:
            return Outcome(text.rstrip(), info=info)
        (rest,) = await session.complete(session.continuing(text, purpose="rest"))
        return Outcome(text + rest.text, rest, info=info)

    async def _line(self, session: Session, text: str, role: str) -> str:
        (line,) = await session.complete(
            session.continuing(text, role=role, stop=(*session.job.stop, "\n"), purpose="step")
        )
        return line.text
