"""Answers that are written over several calls: reasoning steps, slices of a chain of thought."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from ttc_bench.engines.completion import Completion
from ttc_bench.policies import Session
from ttc_bench.thinking import split_thinking


@dataclass(frozen=True)
class PartialAnswer:
    """An answer as far as it is written.

    Attributes:
        text: What stands so far: continuing it goes on exactly where the model stopped.
        tokens: Tokens generated for it; they keep the job's budget, however many calls they take.
        is_ended: Whether the model ended its turn, or the budget is used up.
        stopped_at: The stop string that closed the last part; it stands at the end of the text.
        first_shown_s: When its first token could be shown, in seconds of the session's clock; what
            follows is only added to it.
    """

    text: str = ""
    tokens: int = 0
    is_ended: bool = False
    stopped_at: str | None = None
    first_shown_s: float | None = None

    def before_stop(self) -> str:
        """Return the text without the stop string that closed its last part."""
        return self.text.removesuffix(self.stopped_at or "")

    def room(self, session: Session) -> int:
        """Return the tokens that the job's budget leaves."""
        return session.job.max_tokens - self.tokens


async def extend(
    session: Session,
    partial: PartialAnswer,
    *,
    stop: str | None = None,
    max_tokens: int | None = None,
    **changes: Any,
) -> list[PartialAnswer]:
    """Return ``partial`` with its next part, once for every sample asked for.

    Args:
        session: Makes and bills the call.
        partial: What to continue; it must not be ended.
        stop: String that closes the part; without it the part is all that is missing.
        max_tokens: Most tokens of the part; the job's budget bounds it in any case.
        changes: Further fields of the request (``n``, ``role``, ``sampling``, ``purpose``).

    Raises:
        CallError: If the call failed for good.
    """
    room = partial.room(session)
    limit = room if max_tokens is None else min(max_tokens, room)
    request = session.continuing(
        *([partial.text] if partial.text else []),
        max_tokens=limit,
        stop=(*session.job.stop, stop) if stop else session.job.stop,
        **changes,
    )
    before_s = session.elapsed_s
    parts = await session.complete(request)
    whole = [_joined(partial, part, stop, limit, room) for part in parts]
    if partial.first_shown_s is not None:
        return whole
    clocks = [part.timing.ttft_s for part in parts]
    return [
        replace(one, first_shown_s=before_s + first_s) if one.text and first_s is not None else one
        for one, first_s in zip(whole, clocks, strict=True)
    ]


def _joined(
    partial: PartialAnswer, part: Completion, stop: str | None, limit: int, room: int
) -> PartialAnswer:
    """Return an answer with its next part, of which ``limit`` tokens were asked for."""
    written = part.usage.completion_tokens
    closing = stop if stop and _stopped_by(part, stop) else None
    # Cut short of what was asked for: the context window is full.
    is_cut = part.finish_reason == "length" and written < limit
    is_turn_over = part.finish_reason == "stop" and closing is None
    return PartialAnswer(
        text=partial.text + part.text + (closing or ""),
        tokens=partial.tokens + written,
        is_ended=is_turn_over or is_cut or written >= room,
        stopped_at=closing,
        first_shown_s=partial.first_shown_s,
    )


def _stopped_by(part: Completion, stop: str) -> bool:
    """Return whether ``stop`` closed the part, and not the end of the model's turn."""
    if part.finish_reason != "stop":
        return False
    if "stop_reason" in part.extra:
        return bool(part.extra["stop_reason"] == stop)
    # An engine that cannot tell: a part without text is the end of the turn.
    return bool(part.text)


async def force_answer(
    session: Session, reasoning: str, marker: str, max_tokens: int, purpose: str
) -> str:
    """Return ``reasoning`` and the answer that the model gives behind the answer's marker.

    Args:
        session: Makes and bills the call.
        reasoning: The reasoning so far; the marker goes on a line of its own behind it, and
            behind the end of a thinking block that is still open.
        marker: The text that begins an answer (``Answer:``).
        max_tokens: Most tokens of the answer.
        purpose: What the call is for, as it stands in the bill.

    Raises:
        CallError: If the call failed for good.
    """
    if closing := split_thinking(reasoning).closing:
        reasoning = f"{reasoning.rstrip()}\n{closing}"
    prefix = f"{reasoning.rstrip()}\n{marker}" if reasoning.strip() else marker
    request = session.continuing(prefix, max_tokens=max_tokens, purpose=purpose)
    (end,) = await session.complete(request)
    return prefix + end.text
