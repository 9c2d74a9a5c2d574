"""Variants of self-refinement: critique and revise, or more thinking."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc_bench.benchmarks.sim import formats
from ttc_bench.engines.base import Capability
from ttc_bench.policies import Outcome, Requirements, Session, Variant, variant
from ttc_bench.policies.continuation import Partial, forced, grow
from ttc_bench.types import Job, Message


@variant("self_refine", "feedback")
class Feedback(Variant):
    """Answer, critique the answer, revise it, until the critique passes (arXiv 2303.17651).

    An answer that the benchmark cannot read does not pass, whatever the critique says.

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
            passed = self._passes(critique.text) and session.parse(texts[-1]) is not None
            if passed:
                break
            asked = (*asked, _said(critique.text), _asked(self.revise_prompt))
            (draft,) = await session.complete(session.request(messages=asked, purpose="revise"))
            texts.append(draft.text)
        info = {"rounds": len(texts) - 1, "passed": passed}
        return Outcome(texts[-1], draft, samples=tuple(texts), info=info)

    def _passes(self, critique: str) -> bool:
        return critique.strip().casefold().startswith(self.pass_word.casefold())


@variant("self_refine", "budget_forcing")
class BudgetForcing(Variant):
    """Force more thinking with "Wait", or end it with "Answer:" (s1, arXiv 2501.19393).

    An answer that comes without a marker, such as a workflow, has no point at which it could be
    made to wait: on such benchmarks it is not run.

    Attributes:
        waits: How often the end of the thinking is replaced by ``wait``; 0 adds no thinking.
        min_thinking_tokens: Thinking of this length may end, waits left or not; ``None`` uses
            every wait.
        max_thinking_tokens: Thinking is ended here; ``None`` leaves it to the job's budget.
        wait: The text that takes the place of the end.
        marker: The text that begins the answer.
        answer_tokens: Tokens of the job's budget kept back for the answer.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE, Capability.CONTINUE})
    }
    needs_marker: ClassVar[bool] = True

    waits: int = Field(default=1, ge=0)
    min_thinking_tokens: int | None = Field(default=None, ge=1)
    max_thinking_tokens: int | None = Field(default=None, ge=1)
    wait: str = formats.WAIT
    marker: str = formats.ANSWER_PREFIX
    answer_tokens: int = Field(default=32, ge=1)

    async def answer(self, job: Job, session: Session) -> Outcome:
        """Return the thinking and the answer; together they keep the job's token budget."""
        most = self._most_thinking(job)
        thinking, waited = Partial(), 0
        while True:
            (thinking,) = await grow(
                session,
                thinking,
                stop=self.marker,
                max_tokens=most - thinking.tokens,
                purpose="thinking",
            )
            text = thinking.before_stop()
            if session.parse(text) is not None or not self._waits(thinking.tokens, waited, most):
                break
            # The model may have ended its turn: "Wait" opens it again.
            text, waited = f"{text.rstrip()}\n{self.wait}\n", waited + 1
            thinking = Partial(text, thinking.tokens)
        info = {"waits": waited, "thinking_tokens": thinking.tokens}
        if session.parse(text) is not None or thinking.room(session) < 1:
            return Outcome(text, info=info)
        said = forced(text, self.marker)
        room = min(self.answer_tokens, thinking.room(session))
        (end,) = await session.complete(
            session.continuing(said, max_tokens=room, purpose="forced answer")
        )
        return Outcome(said + end.text, info=info)

    def _most_thinking(self, job: Job) -> int:
        budget = max(1, job.max_tokens - self.answer_tokens)
        return min(budget, self.max_thinking_tokens or budget)

    def _waits(self, thought: int, waited: int, most: int) -> bool:
        """Return whether thinking that wants to end goes on."""
        wanted = most if self.min_thinking_tokens is None else self.min_thinking_tokens
        return waited < self.waits and thought < min(wanted, most)


def _said(text: str) -> Message:
    return Message(role="assistant", content=text)


def _asked(text: str) -> Message:
    return Message(role="user", content=text)
