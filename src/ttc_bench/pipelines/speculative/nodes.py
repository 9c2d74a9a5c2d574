"""Variants of speculative decoding; the loops are in `ttc_bench.engines.decoding`."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc_bench.engines import decoding
from ttc_bench.engines.base import Capability, Completion
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
        max_steps: Most steps; what is missing after them the target writes in one go. The job's
            token budget holds for the whole solution.
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
        text, drafted, steps, left = "", 0, 0, job.max_tokens
        while session.parse(text) is None and steps < self.max_steps and left > 0:
            steps += 1
            line = await self._line(session, text, "draft", left)
            (score,) = await session.verify([text + line.text])
            if score >= self.threshold:
                drafted += 1
            else:
                line = await self._line(session, text, "target", left)
            if not line.text:
                break
            text, left = f"{text}{line.text}\n", left - line.usage.completion_tokens
        info = {"steps": steps, "drafted_steps": drafted}
        if session.parse(text) is not None or left < 1:
            return Outcome(text.rstrip(), info=info)
        (rest,) = await session.complete(session.continuing(text, max_tokens=left, purpose="rest"))
        return Outcome(text + rest.text, rest, info=info)

    async def _line(self, session: Session, text: str, role: str, left: int) -> Completion:
        stop = (*session.job.stop, "\n")
        (line,) = await session.complete(
            session.continuing(text, role=role, stop=stop, max_tokens=left, purpose="step")
        )
        return line
