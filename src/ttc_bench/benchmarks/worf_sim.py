"""Simulated workflow planning in WorFBench's output format, with parallel branches.

Requests are generated and paraphrased; the gold plan comes from code. Scored by WorFEval.
"""

from __future__ import annotations

from typing import ClassVar

from ttc_bench.benchmarks.base import BENCHMARKS, Planning
from ttc_bench.benchmarks.sim import samples
from ttc_bench.benchmarks.sim.samples import SimParams
from ttc_bench.benchmarks.sim.worf_tasks import WORF_TASKS
from ttc_bench.params import Params
from ttc_bench.types import Sample


class WorfSim(Planning[SimParams]):
    """Three domains of tasks at three difficulty levels."""

    name: ClassVar[str] = "worf_sim"
    params: ClassVar[type[Params]] = SimParams
    max_tokens: ClassVar[int] = 320

    def load(self, params: SimParams) -> list[Sample]:
        """Return the generated test split; see `Benchmark.load`."""
        return samples.load(WORF_TASKS, params)

    def examples(self, sample: Sample, count: int, params: SimParams) -> list[Sample]:
        """Return generated examples of the train side, of the same domain first."""
        return samples.examples(WORF_TASKS, sample, count, params.seed)


BENCHMARKS.register(WorfSim.name)(WorfSim())
