"""Variants of early exit; the loops are in `ttc_bench.engines.decoding`."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from pydantic import Field

from ttc_bench.benchmarks.sim import formats
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
from ttc_bench.policies.continuation import PartialAnswer, extend, force_answer


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
    ``k`` forced answers agree, the last one is the answer. (The answer as the sign that enough has
    been thought: Dynasor, arXiv 2412.20993.) A model that begins its answer by itself writes it to
    the end; then, and if no probes agree, the answer is the plain one. A benchmark whose answers
    have no marker, such as workflows, has nothing to probe: there it is not run.

    Attributes:
        interval: Tokens of reasoning between probes.
        k: Agreeing probes that end the reasoning.
        probe_tokens: Most tokens of a probe.
        marker: The text that forces an answer.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE, Capability.CONTINUE})
    }
    needs_marker: ClassVar[bool] = True

    interval: int = Field(default=24, ge=1)
    k: int = Field(default=2, ge=1)
    probe_tokens: int = Field(default=16, ge=1)
    marker: str = formats.ANSWER_PREFIX

    async def answer(self, session: Session) -> Outcome:
        """Return the reasoning up to where its answers agree."""
        chain, probes, exited = PartialAnswer(), list[Hashable](), False
        text, trace = "", list[TraceRecord]()
        while not chain.is_ended:
            is_answering = session.parse(chain.text) is not None
            size = None if is_answering else self.interval
            (longer,) = await extend(session, chain, max_tokens=size)
            trace.append(TraceRecord("part", longer.text.removeprefix(chain.text), "own"))
            chain = longer
            if chain.is_ended or session.parse(chain.text) is not None:
                continue
            text = await force_answer(session, chain.text, self.marker, self.probe_tokens, "probe")
            probes.append(session.parse(text))
            exited = self._agree(probes)
            state = "added" if exited else "probe"
            trace.append(TraceRecord("part", text.removeprefix(chain.text.rstrip()), state))
            if exited:
                break
        info = {"probes": len(probes), "exited": exited}
        answer = text if exited else chain.text
        return Outcome(answer, info=info, first_shown_s=chain.first_shown_s, trace=trace)

    def _agree(self, probes: Sequence[Hashable]) -> bool:
        last = probes[-self.k :]
        return len(last) == self.k and last[0] is not None and len(set(last)) == 1
