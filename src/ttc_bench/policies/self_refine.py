"""Variants of self-refinement: critique and revise, or more thinking."""

from __future__ import annotations

from typing import ClassVar

from pydantic import Field

from ttc_bench.benchmarks.sim import formats
from ttc_bench.engines.base import Capability
from ttc_bench.engines.trace import TraceRecord
from ttc_bench.policies import Outcome, Requirements, Session, Variant, variant
from ttc_bench.policies.continuation import PartialAnswer, extend, force_answer
from ttc_bench.thinking import split_thinking


@variant("self_refine", "feedback")
class Feedback(Variant):
    """Answer, critique the answer, revise it, until the critique passes (arXiv 2303.17651).

    An answer that the benchmark cannot read does not pass, whatever the critique says. A draft
    that was there before ends it: all is greedy, so what followed it would only come again.

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

    async def answer(self, session: Session) -> Outcome:
        """Return the last revision."""
        (draft,) = await session.complete(session.request())
        texts, passed = [draft.text], False
        trace = [TraceRecord("round", draft.text, "draft")]
        for _ in range(self.rounds):
            turns = [draft.text, self.critique_prompt]
            (critique,) = await session.complete(session.continuing(*turns, purpose="critique"))
            trace.append(TraceRecord("round", critique.text, "critique"))
            passed = self._passes(critique.text) and session.parse(draft.text) is not None
            if passed:
                break
            turns += [critique.text, self.revise_prompt]
            (draft,) = await session.complete(session.continuing(*turns, purpose="revise"))
            texts.append(draft.text)
            trace.append(TraceRecord("round", draft.text, "revision"))
            if draft.text in texts[:-1]:
                break
        info = {"rounds": len(texts) - 1, "passed": passed}
        # One that may be the last only if it comes again is known to be so when it is whole.
        is_last = len(texts) - 1 == self.rounds
        return Outcome(
            draft.text, draft, samples=tuple(texts), info=info, streams=is_last, trace=trace
        )

    def _passes(self, critique: str) -> bool:
        return (
            split_thinking(critique).answer.strip().casefold().startswith(self.pass_word.casefold())
        )


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

    async def answer(self, session: Session) -> Outcome:
        """Return the thinking and the answer; together they keep the job's token budget."""
        trace: list[TraceRecord] = []
        thinking, waits = await self._think(session, trace)
        text, room = thinking.before_stop(), thinking.room(session)
        if session.parse(text) is None and room >= 1:
            limit = min(self.answer_tokens, room)
            forced = await force_answer(session, text, self.marker, limit, "forced answer")
            trace += _behind(text, forced, self.marker)
            text = forced
        info = {"waits": waits, "thinking_tokens": thinking.tokens}
        return Outcome(text, info=info, first_shown_s=thinking.first_shown_s, trace=trace)

    async def _think(self, session: Session, trace: list[TraceRecord]) -> tuple[PartialAnswer, int]:
        """Return the thinking, and how often its end was replaced; note both in the trace."""
        budget = max(1, session.job.max_tokens - self.answer_tokens)
        longest = min(budget, self.max_thinking_tokens or budget)
        enough = min(self.min_thinking_tokens or longest, longest)
        thinking, waits = PartialAnswer(), 0
        while True:
            limit, before = longest - thinking.tokens, thinking.text
            (thinking,) = await extend(
                session, thinking, stop=self.marker, max_tokens=limit, purpose="thinking"
            )
            text = thinking.before_stop()
            trace.append(TraceRecord("part", text.removeprefix(before), "own"))
            may_end = waits == self.waits or thinking.tokens >= enough
            if may_end or session.parse(text) is not None:
                return thinking, waits
            # The model may have ended its turn: "Wait" opens it again.
            text = f"{text.rstrip()}\n{self.wait}\n"
            trace.append(TraceRecord("part", f"\n{self.wait}\n", "added"))
            thinking = PartialAnswer(text, thinking.tokens, first_shown_s=thinking.first_shown_s)
            waits += 1


def _behind(thinking: str, text: str, marker: str) -> tuple[TraceRecord, TraceRecord]:
    """Return what was put behind the thinking to force an answer, and the answer."""
    more = text.removeprefix(thinking.rstrip())
    end = more.index(marker) + len(marker)
    return TraceRecord("part", more[:end], "added"), TraceRecord("part", more[end:], "own")
