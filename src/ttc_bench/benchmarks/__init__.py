"""Benchmarks: one file each, registered where it is defined; files of questions need none."""

from ttc_bench.benchmarks.base import BENCHMARKS, Benchmark, Prompting
from ttc_bench.benchmarks.questions import QUESTIONS
from ttc_bench.types import Job

__all__ = ["BENCHMARKS", "Benchmark", "Prompting", "benchmark_of"]


def benchmark_of(job: Job) -> Benchmark:  # type: ignore[type-arg]
    """Return what reads and scores the answers to a job.

    Raises:
        UserError: If its benchmark is not registered.
    """
    return QUESTIONS if job.reading is not None else BENCHMARKS[job.benchmark]
