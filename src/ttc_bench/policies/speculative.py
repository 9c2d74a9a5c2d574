"""Variants of speculative decoding; the loops are in `ttc_bench.engines.decoding`."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import ClassVar, Literal

from pydantic import Field

from ttc_bench.benchmarks.sim.formats import STEP_SEPARATOR
from ttc_bench.engines import decoding
from ttc_bench.engines.base import Capability
from ttc_bench.engines.trace import TraceRecord
from ttc_bench.policies import (
    DecodingVariant,
    Outcome,
    Requirements,
    Session,
    Variant,
    variant,
)
from ttc_bench.policies.continuation import PartialAnswer, extend

ABLE = frozenset({Capability.GENERATE, Capability.CONTINUE})

SCORE_PROMPT = (
    "Judge only the last step of this unfinished solution: is it correct, and does it follow from"
    " the steps before it? Reply with one digit, from 0 (wrong) to 9 (certainly right)."
)


@variant("speculative", "draft_model")
class DraftModel(decoding.DraftModel, DecodingVariant):
    """A small model drafts, the target verifies (arXiv 2211.17192, 2302.01318)."""


@variant("speculative", "prompt_lookup")
class PromptLookup(decoding.PromptLookup, DecodingVariant):
    """N-grams seen before are the draft, the target verifies."""


@variant("speculative", "step")
class Step(Variant):
    """Speculate by reasoning steps: draft a step, keep it or rewrite it (arXiv 2504.07891).

    The draft model writes a step and the solution so far is scored with it; below the threshold
    the target writes the step instead. With every draft rejected, the answer is the target's own.

    Attributes:
        threshold: Least score of a drafted step that is kept: above 1 the target writes all.
        scorer: Who scores: the ``verifier``, or the ``target`` itself, asked for a digit, as in
            the paper.
        max_steps: Most drafted steps; what is missing after them the target writes in one go.
        separator: What ends a step: a line break, or a blank line for models that write
            paragraphs.
        score_prompt: User turn that asks the target for a digit.
    """

    requires: ClassVar[Requirements] = {"target": ABLE, "draft": ABLE}

    threshold: float = Field(default=0.5, ge=0.0, le=1.01)
    scorer: Literal["verifier", "target"] = "verifier"
    max_steps: int = Field(default=32, ge=0)
    separator: str = Field(default=STEP_SEPARATOR, min_length=1)
    score_prompt: str = SCORE_PROMPT

    def needs(self) -> Requirements:
        """Return what the models must be able to do; see `Variant.needs`."""
        if self.scorer == "target":
            return self.requires
        return {**self.requires, "verifier": frozenset({Capability.VERIFY})}

    async def answer(self, session: Session) -> Outcome:
        """Return the solution, and how many of its steps were drafted."""
        partial, drafted_steps, steps = PartialAnswer(), 0, 0
        trace: list[TraceRecord] = []
        while not partial.is_ended and steps < self.max_steps:
            steps += 1
            step = await self._step(session, partial, "draft")
            score = await self._score(session, step.text)
            is_kept = score >= self.threshold
            trace.append(_part(partial, step, "accepted" if is_kept else "rejected", score))
            if is_kept:
                drafted_steps += 1
                if not partial.text:
                    # A draft that may yet be rewritten is not shown before it is judged.
                    step = replace(step, first_shown_s=session.elapsed_s)
            else:
                step = await self._step(session, partial, "target")
                trace.append(_part(partial, step, "own"))
            partial = step
        if not partial.is_ended:
            (whole,) = await extend(session, partial, purpose="rest")
            trace.append(_part(partial, whole, "own"))
            partial = whole
        info = {"steps": steps, "drafted_steps": drafted_steps}
        return Outcome(partial.text, info=info, first_shown_s=partial.first_shown_s, trace=trace)

    async def _step(self, session: Session, partial: PartialAnswer, role: str) -> PartialAnswer:
        (step,) = await extend(session, partial, stop=self.separator, role=role, purpose="step")
        return step

    async def _score(self, session: Session, text: str) -> float:
        """Return how good the last step of ``text`` is, in [0, 1]."""
        if self.scorer == "verifier":
            return (await session.verify([text]))[0]
        (reply,) = await session.complete(
            session.continuing(text, self.score_prompt, max_tokens=8, purpose="score")
        )
        return read_digit(reply.text)


def _part(
    before: PartialAnswer, after: PartialAnswer, state: str, score: float | None = None
) -> TraceRecord:
    """Return what was written behind a partial answer, and what became of it."""
    text = after.text.removeprefix(before.text)
    return TraceRecord("part", text, state, score=score)


@variant("speculative", "served")
class Served(Variant):
    """The same model at an endpoint that speculates by itself; the baseline is the one without.

    What is drafted and accepted is what the endpoint reports (vLLM per request, or the counters of
    vLLM and SGLang), and unknown where it reports nothing. Greedy answers should be the baseline's.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE}),
        "served": frozenset({Capability.GENERATE}),
    }

    async def answer(self, session: Session) -> Outcome:
        """Return the answer of the endpoint that speculates."""
        (completion,) = await session.complete(session.request(role="served"))
        return Outcome(completion.text, completion)


def read_digit(reply: str) -> float:
    """Return the first digit that stands alone in a reply, over 9; 0 if there is none."""
    digit = re.search(r"(?<![\d.])\d(?!\.?\d)", reply)
    return int(digit.group()) / 9 if digit else 0.0
