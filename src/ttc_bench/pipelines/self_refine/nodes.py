"""Variants of self-refinement: critique and revise, or more thinking."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc_bench.engines.base import Capability
from ttc_bench.policies import Outcome, Requirements, Session, Variant, variant
from ttc_bench.reference import formats
from ttc_bench.types import Job, Message


@variant("self_refine", "feedback")
class Feedback(Variant):
    """Answer, critique the answer, revise it, until the critique passes (arXiv 2303.17651).

    Attributes:
        rounds: Most rounds of critique and revision; 0 is the plain answer.
        critique_prompt: User turn that asks for a critique.
        revise_prompt: User turn that asks for a revision.
        pass_word: How a critique that finds no error starts.
    """

    rounds: int = Field(default=2, ge=0)
    critique_prompt: str = formats.CRITIQUE_PROMPT
    revise_prompt: str = formats.REVISE_PROMPT
    pass_word: str = Field(default=formats.CRITIQUE_PASS.rstrip("."), min_length=1)

    async def answer(self, job: Job, session: Session) -> Outcome:
        """Return the last revision."""
        (draft,) = await session.complete(session.request())
        texts, passed = [draft.text], False
        for _ in range(self.rounds):
            asked = (*job.messages, _said(texts[-1]), _asked(self.critique_prompt))
            (critique,) = await session.complete(
                session.request(messages=asked, purpose="critique")
            )
            passed = critique.text.strip().casefold().startswith(self.pass_word.casefold())
            if passed:
                break
            asked = (*asked, _said(critique.text), _asked(self.revise_prompt))
            (draft,) = await session.complete(session.request(messages=asked, purpose="revise"))
            texts.append(draft.text)
        info = {"rounds": len(texts) - 1, "passed": passed}
        return Outcome(texts[-1], draft, samples=tuple(texts), info=info)


@variant("self_refine", "budget_forcing")
class BudgetForcing(Variant):
    """Force more thinking with "Wait", or end it with "Answer:" (s1, arXiv 2501.19393).

    Answers that end without a marker, such as workflows, are left as they are: there is no point
    at which they could be made to wait.

    Attributes:
        waits: How often the end of the thinking is replaced by ``wait``; 0 adds no thinking.
        max_thinking_tokens: Thinking is ended here; ``None`` leaves it to the job's budget.
        wait: The text that takes the place of the end.
        marker: The text that begins the answer.
        answer_tokens: Tokens kept back for the answer.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE, Capability.CONTINUE})
    }

    waits: int = Field(default=1, ge=0)
    max_thinking_tokens: int | None = Field(default=None, ge=1)
    wait: str = formats.WAIT
    marker: str = formats.ANSWER_PREFIX
    answer_tokens: int = Field(default=32, ge=1)

    async def answer(self, job: Job, session: Session) -> Outcome:
        """Return the thinking and the answer; together they keep the job's token budget."""
        budget = max(1, job.max_tokens - self.answer_tokens)
        left = min(budget, self.max_thinking_tokens or budget)
        text, used, forced = "", 0, 0
        while left > 0:
            (part,) = await session.complete(
                session.continuing(text, max_tokens=left, stop=(*job.stop, self.marker))
            )
            text, left = text + part.text, left - part.usage.completion_tokens
            used += part.usage.completion_tokens
            if session.parse(text) is not None or forced == self.waits or left <= 0:
                break
            text, forced = f"{text.rstrip()}\n{self.wait}\n", forced + 1
        info = {"waits": forced, "thinking_tokens": used}
        if session.parse(text) is not None:
            return Outcome(text, info=info)
        text = f"{text.rstrip()}\n{self.marker}"
        room = min(self.answer_tokens, max(1, job.max_tokens - used))
        (end,) = await session.complete(
            session.continuing(text, max_tokens=room, purpose="forced answer")
        )
        return Outcome(text + end.text, info=info)


def _said(text: str) -> Message:
    return Message(role="assistant", content=text)


def _asked(text: str) -> Message:
    return Message(role="user", content=text)
