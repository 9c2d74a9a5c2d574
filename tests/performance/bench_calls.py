"""What a call costs outside the model: requests, journal, tokenizer, sampling, bill.

    python tests/performance/bench_calls.py [--jobs 8] [--profile]

Runs ``speculative.step``, which spends 11 to 15 calls on a response, with a journal on disk. The
time of every forward pass is taken off the time of its call; what is left is printed as the median
over all calls, apart for those that write and those that read (the verifier), and once more for
the same calls replayed.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.benchmarks.base import Prompting
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.engines.runtime.llama import LlamaRunner
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.session import Session
from ttc_bench.policies.speculative import Step
from ttc_bench.types import Job

REFERENCE = Path(__file__).parents[2] / "data" / "06_models" / "reference"
PASSES = ("begin", "run", "logits", "finish")


class ModelClock:
    """Adds up the time that the runners of this process spend in forward passes."""

    def __init__(self) -> None:
        self.spent_s = 0.0
        for name in PASSES:
            setattr(LlamaRunner, name, self._timed(getattr(LlamaRunner, name)))

    def _timed(self, method: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            start_s = time.perf_counter()
            result = method(*arguments, **named)
            self.spent_s += time.perf_counter() - start_s
            return result

        return timed


class TimedSession(Session):
    """A session that notes what each of its calls costs outside the model.

    Attributes:
        clock: The clock of the model.
        outside_s: Seconds of every call, by ``complete`` and ``verify``.
        tokens: Tokens written by each ``complete``.
    """

    clock: ModelClock
    outside_s: dict[str, list[float]]
    tokens: list[int]

    async def complete(self, request: Any) -> Any:
        """Time a completion."""
        completions = await self._timed("complete", super().complete(request))
        self.tokens.append(sum(len(c.token_ids) for c in completions))
        return completions

    async def verify(self, *arguments: Any) -> Any:
        """Time a reading."""
        return await self._timed("verify", super().verify(*arguments))

    async def _timed(self, name: str, call: Awaitable[Any]) -> Any:
        start_s, model_s = time.perf_counter(), self.clock.spent_s
        result = await call
        model_s = self.clock.spent_s - model_s
        self.outside_s[name].append(time.perf_counter() - start_s - model_s)
        return result


def main() -> None:
    """Print the cost of calls, computed and replayed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=8, help="test jobs per benchmark")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    paths = {role: str(REFERENCE / role) for role in ("target", "draft", "verifier")}
    engine, clock, jobs = LocalModels(**paths).build(), ModelClock(), test_jobs(options.jobs)
    asyncio.run(answer(engine, Journal(), jobs[0], clock))
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.jsonl")
        if options.profile:
            profile(lambda: measure("computed", engine, journal, jobs, clock))
        else:
            measure("computed", engine, journal, jobs, clock)
        measure("replayed", engine, journal, jobs, clock)


def profile(work: Callable[[], None]) -> None:
    """Print where the time goes."""
    import cProfile
    import pstats

    with cProfile.Profile() as profiler:
        work()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def measure(
    name: str, engine: LocalEngine, journal: Journal, jobs: list[Job], clock: ModelClock
) -> None:
    """Answer all jobs and print what a call costs outside the model."""
    sessions = [asyncio.run(answer(engine, journal, job, clock)) for job in jobs]
    for kind in ("complete", "verify"):
        outside = [s for session in sessions for s in session.outside_s[kind]]
        tokens = [n for session in sessions for n in session.tokens] if kind == "complete" else [0]
        print(
            f"{name:9s} {kind:9s} {len(outside):4d} calls, outside the model"
            f" {1e3 * statistics.median(outside):.2f} ms (median),"
            f" {1e3 * statistics.quantiles(outside, n=10)[0]:.2f} ms (10th percentile),"
            f" {statistics.mean(tokens):.1f} tokens a call"
        )


async def answer(engine: LocalEngine, journal: Journal, job: Job, clock: ModelClock) -> Any:
    """Answer one job; return its session."""
    session = TimedSession(engine, journal, job)
    session.clock, session.outside_s, session.tokens = clock, {"complete": [], "verify": []}, []
    await Step().answer(session)
    return session


def test_jobs(count: int) -> list[Job]:
    """Return the first test jobs of both simulated benchmarks."""
    jobs = []
    for name in ("crm_sim", "worf_sim"):
        benchmark: Any = BENCHMARKS[name]
        source = benchmark.params()
        samples = benchmark.load(source)[:count]
        jobs += [benchmark.render(sample, Prompting(), source) for sample in samples]
    return jobs


if __name__ == "__main__":
    main()
