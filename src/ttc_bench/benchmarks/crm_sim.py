"""Simulated CRM questions in CRMArena's task types; generated, seeded, no network needed.

The model is asked over a handful of records in the prompt, reasons in short lines and ends
with ``Answer:``. Gold answers come from code. Scores are this benchmark's own: they say
nothing about CRMArena, whose answer conventions and scoring rules it shares.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from ttc_bench.benchmarks.answers import answer_span, parse_answer
from ttc_bench.benchmarks.base import BENCHMARKS, Benchmark, Prompting
from ttc_bench.benchmarks.scoring.refusal import refuses_for_privacy
from ttc_bench.benchmarks.sim import samples
from ttc_bench.benchmarks.sim.crm_tasks import CRM_TASKS
from ttc_bench.benchmarks.sim.formats import CRM_SYSTEM, CRM_SYSTEM_ANSWER_ONLY
from ttc_bench.benchmarks.sim.samples import SimParams
from ttc_bench.params import Params
from ttc_bench.types import Job, Message, Sample

REFUSED = ("refused",)
"""The canonical form of an answer that declines for privacy."""


class CrmSim(Benchmark[SimParams]):
    """Ten CRM task types at three difficulty levels."""

    name: ClassVar[str] = "crm_sim"
    params: ClassVar[type[Params]] = SimParams
    max_tokens: ClassVar[int] = 256

    def load(self, params: SimParams) -> list[Sample]:
        """Return the generated test split; see `Benchmark.load`."""
        return samples.load(CRM_TASKS, params)

    def examples(self, sample: Sample, count: int, params: SimParams) -> list[Sample]:
        """Return generated examples of the train side, of the same task type first."""
        return samples.examples(CRM_TASKS, sample, count, params.seed)

    def instruction(self, sample: Sample, prompting: Prompting) -> tuple[Message, ...]:
        """Return the sample's messages, asking for steps or for the answer line alone."""
        chain = prompting.chain_of_thought
        text = CRM_SYSTEM if chain else CRM_SYSTEM_ANSWER_ONLY
        return Message(role="system", content=text), *sample.messages[1:]

    def parse(self, text: str, job: Job) -> Hashable:
        """Return the sorted answers, or `REFUSED` for an answer that declines."""
        if refuses_for_privacy(answer_span(text) or ""):
            return REFUSED
        return parse_answer(text)

    def chance(self, samples_: Sequence[Sample]) -> float | None:
        """Return the mean rate at which informed blind guesses hit; see `guess_rate`."""
        rates = [samples.guess_rate(s) for s in samples_]
        return sum(rates) / len(rates) if rates else None


BENCHMARKS.register(CrmSim.name)(CrmSim())
