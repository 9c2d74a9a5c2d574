"""Variants of early exit; the loops are in `ttc_bench.engines.decoding`."""

from __future__ import annotations

from collections.abc import Hashable
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
from ttc_bench.reference import formats
from ttc_bench.types import Job


@variant("early_exit", "fixed_layer")
class FixedLayer(decoding.FixedLayer, DecodingVariant):
    """Every token leaves the stack at the same layer (arXiv 2404.16710)."""


@variant("early_exit", "confidence")
class Confidence(decoding.ConfidenceExit, DecodingVariant):
    """Each token leaves the stack as soon as the exit head is sure (arXiv 2207.07061)."""


@variant("early_exit", "consistency")
class Consistency(Variant):
    """End the chain of thought when ``k`` probes in a row give the same answer.

    After every ``interval`` tokens of reasoning the answer is forced by the marker; when the last
    ``k`` forced answers agree, the last one is the answer.

    Attributes:
        interval: Tokens of reasoning between probes.
        k: Agreeing probes that end the reasoning.
        probe_tokens: Most tokens of a probe.
        marker: The text that forces an answer.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE, Capability.CONTINUE})
    }

    interval: int = Field(default=24, ge=1)
    k: int = Field(default=2, ge=1)
    probe_tokens: int = Field(default=16, ge=1)
    marker: str = formats.ANSWER_PREFIX

    async def answer(self, job: Job, session: Session) -> Outcome:
        """Return the reasoning up to where its answers agree."""
        text, left = "", job.max_tokens
        probes: list[Hashable] = []
        while left > 0:
            size = min(self.interval, left)
            (part,) = await session.complete(session.continuing(text, max_tokens=size))
            text, left = text + part.text, left - part.usage.completion_tokens
            info: dict[str, object] = {"probes": len(probes), "exited": False}
            if part.finish_reason == "stop" or session.parse(text) is not None:
                return await self._finish(session, text, part.finish_reason == "stop", left, info)
            probe = f"{text.rstrip()}\n{self.marker}"
            (end,) = await session.complete(
                session.continuing(probe, max_tokens=self.probe_tokens, purpose="probe")
            )
            probes.append(session.parse(probe + end.text))
            if self._agree(probes):
                return Outcome(probe + end.text, end, info={"probes": len(probes), "exited": True})
        return Outcome(text, info={"probes": len(probes), "exited": False})

    async def _finish(
        self, session: Session, text: str, ended: bool, left: int, info: dict[str, object]
    ) -> Outcome:
        """Return an answer that the model began by itself, written to its end."""
        if ended or left < 1:
            return Outcome(text, info=info)
        (rest,) = await session.complete(session.continuing(text, max_tokens=left))
        return Outcome(text + rest.text, info=info)

    def _agree(self, probes: list[Hashable]) -> bool:
        last = probes[-self.k :]
        return len(last) == self.k and last[0] is not None and len(set(last)) == 1
