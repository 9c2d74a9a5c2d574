"""Simulated workflow planning in WorFBench's output format, with parallel branches.

Requests are generated and paraphrased; the gold plan comes from code. Scored by WorFEval.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import ClassVar

from ttc_bench.benchmarks.answers import parse_workflow
from ttc_bench.benchmarks.base import BENCHMARKS, Benchmark, Prompting
from ttc_bench.benchmarks.sim import samples
from ttc_bench.benchmarks.sim.samples import SimParams
from ttc_bench.benchmarks.sim.worf_tasks import WORF_TASKS
from ttc_bench.params import Params
from ttc_bench.types import Job, Message, Sample


class WorfSim(Benchmark[SimParams]):
    """Three domains of tasks at three difficulty levels."""

    name: ClassVar[str] = "worf_sim"
    params: ClassVar[type[Params]] = SimParams
    max_tokens: ClassVar[int] = 320
    marked: ClassVar[bool] = False

    def load(self, params: SimParams) -> list[Sample]:
        """Return the generated test split; see `Benchmark.load`."""
        return samples.load(WORF_TASKS, params)

    def examples(self, sample: Sample, count: int, params: SimParams) -> list[Sample]:
        """Return generated examples of the train side, of the same domain first."""
        return samples.examples(WORF_TASKS, sample, count, params.seed)

    def instruction(self, sample: Sample, prompting: Prompting) -> tuple[Message, ...]:
        """Return the sample's messages unchanged: the plan is the whole answer."""
        return sample.messages

    def worked(self, example: Sample, prompting: Prompting) -> str:
        """Return the gold plan, which has no ``Answer:`` line."""
        return str(example.references[0])

    def parse(self, text: str, job: Job) -> Hashable:
        """Return the canonical workflow; see `ttc_bench.benchmarks.answers.parse_workflow`."""
        return parse_workflow(text)

    def chance(self, samples_: Sequence[Sample]) -> float | None:
        """Return 0: no blind guess names the subtasks of a request."""
        return 0.0


BENCHMARKS.register(WorfSim.name)(WorfSim())
