"""What a call costs outside the model: requests, journal, tokenizer, bill.

    python tests/performance/bench_calls.py [--jobs 8] [--profile]

Runs ``speculative.step``, which spends 11 to 15 calls on a response, with a journal on disk. What
the models take is taken off the time of each call: the loop of passes and tokens, and a verifier's
score. The loop is timed as a whole: a clock around each pass would itself cost a tenth of a
millisecond per call, and would be counted as outside. The time of choosing each token and of
looking for its end is printed apart. What is left is printed as the median over all calls, apart
for those that write and those that read (the verifier), and once more for the same calls replayed:
by the clock, and as time of the processor, which others that work on the machine change less.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.benchmarks.base import Prompting
from ttc_bench.engines.decoding import plain
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.engines.runtime.context import DecodeContext
from ttc_bench.engines.runtime.verifier import ImplicitVerifier
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.session import Session
from ttc_bench.policies.speculative import Step
from ttc_bench.types import Job

REFERENCE = Path(__file__).parents[2] / "data" / "06_models" / "reference"
MODEL = {plain: "decode_on", ImplicitVerifier: "_score"}


class Clock:
    """Adds up the time that functions of this process spend.

    Args:
        functions: What they are called, by their module or class; none calls another.

    Attributes:
        spent_s: Seconds of the clock.
        cpu_s: Seconds of the processor, of the thread that calls them.
    """

    def __init__(self, functions: Mapping[Any, str]) -> None:
        self.spent_s = self.cpu_s = 0.0
        for owner, name in functions.items():
            setattr(owner, name, self._timed(getattr(owner, name)))

    def _timed(self, function: Callable[..., Any]) -> Callable[..., Any]:
        def timed(*arguments: Any, **named: Any) -> Any:
            # The processor's clock is read by the system, which takes its time: it is read within.
            start_s, start_cpu_s = time.perf_counter(), time.thread_time()
            try:
                return function(*arguments, **named)
            finally:
                self.cpu_s += time.thread_time() - start_cpu_s
                self.spent_s += time.perf_counter() - start_s

        return timed


class TimedSession(Session):
    """A session that notes what each of its calls costs outside the model.

    Attributes:
        clocks: Those of the model and, within it, of its tokens.
        outside_s: Seconds of every call outside the model, of the clock and of the processor, by
            ``complete`` and ``verify``.
        token_s: Seconds that each ``complete`` took for its tokens.
        tokens: Tokens written by each ``complete``.
    """

    clocks: tuple[Clock, Clock]
    outside_s: dict[str, list[tuple[float, float]]]
    token_s: list[float]
    tokens: list[int]

    async def complete(self, request: Any) -> Any:
        """Time a completion."""
        before_s = self.clocks[1].spent_s
        completions = await self._timed("complete", super().complete(request))
        self.token_s.append(self.clocks[1].spent_s - before_s)
        self.tokens.append(sum(len(c.token_ids) for c in completions))
        return completions

    async def verify(self, *arguments: Any) -> Any:
        """Time a reading."""
        return await self._timed("verify", super().verify(*arguments))

    async def _timed(self, name: str, call: Awaitable[Any]) -> Any:
        model = self.clocks[0]
        start_cpu_s = time.thread_time() - model.cpu_s
        start_s = time.perf_counter() - model.spent_s
        result = await call
        outside_s = time.perf_counter() - model.spent_s - start_s
        cpu_s = time.thread_time() - model.cpu_s - start_cpu_s
        self.outside_s[name].append((outside_s, cpu_s))
        return result


def main() -> None:
    """Print the cost of calls, computed and replayed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--jobs", type=int, default=8, help="test jobs per benchmark")
    parser.add_argument("--profile", action="store_true")
    options = parser.parse_args()
    paths = {role: str(REFERENCE / role) for role in ("target", "draft", "verifier")}
    engine, jobs = LocalModels(**paths).build(), test_jobs(options.jobs)
    clocks = Clock(MODEL), Clock({DecodeContext: "step"})
    asyncio.run(answer(engine, Journal(), jobs[0], clocks))
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.jsonl")
        if options.profile:
            profile(lambda: measure("computed", engine, journal, jobs, clocks))
        else:
            measure("computed", engine, journal, jobs, clocks)
        measure("replayed", engine, journal, jobs, clocks)


def profile(work: Callable[[], None]) -> None:
    """Print where the time goes."""
    import cProfile
    import pstats

    with cProfile.Profile() as profiler:
        work()
    pstats.Stats(profiler).sort_stats("tottime").print_stats(30)


def measure(
    name: str,
    engine: LocalEngine,
    journal: Journal,
    jobs: list[Job],
    clocks: tuple[Clock, Clock],
) -> None:
    """Answer all jobs and print what a call costs outside the model."""
    sessions = [asyncio.run(answer(engine, journal, job, clocks)) for job in jobs]
    for kind in ("complete", "verify"):
        clock, processor = zip(*(s for one in sessions for s in one.outside_s[kind]), strict=True)
        print(
            f"{name:9s} {kind:9s} {len(clock):4d} calls, outside the model"
            f" {1e3 * statistics.median(clock):.3f} ms (median),"
            f" {1e3 * statistics.quantiles(clock, n=10)[0]:.3f} ms (10th percentile),"
            f" {1e3 * statistics.median(processor):.3f} ms of the processor (median)"
        )
    tokens = sum(n for session in sessions for n in session.tokens)
    spent_s = sum(s for session in sessions for s in session.token_s)
    print(f"{name:9s} {tokens} tokens, {1e6 * spent_s / tokens:.0f} microseconds each to choose")


async def answer(
    engine: LocalEngine, journal: Journal, job: Job, clocks: tuple[Clock, Clock]
) -> Any:
    """Answer one job; return its session."""
    session = TimedSession(engine, journal, job)
    session.clocks, session.outside_s = clocks, {"complete": [], "verify": []}
    session.token_s, session.tokens = [], []
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
