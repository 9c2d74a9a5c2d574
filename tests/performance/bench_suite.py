"""How many times the baseline's time all variants take: what README's estimate of a suite rests on.

    python tests/performance/bench_suite.py --limit 24

Every variant at its default settings answers the questions of both simulated benchmarks with the
embedded models, in blocks as a worker of Ray does them: within a block the variants follow each
other, so that what else the machine does falls on all alike. A first block warms everything up and
does not count. The samples that variants share are made once, in the first variant that wants them,
as in a run; the baseline stands at the beginning and at the end of a block, each time computed.

Seconds are of the processor (torch on one thread), those of the clock stand beside them. The last
lines are the estimate: a decoding of so many times the reading of a model's weights, so many tokens
an answer, all of it times the factor.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

# As a script, only its own folder would be searched.
sys.path.insert(0, str(Path(__file__).parents[2]))

import torch
from kedro.config import OmegaConfigLoader
from tests.conftest import REFERENCE, ROOT, ingested

from ttc_bench.engines import engine_params
from ttc_bench.engines.base import Engine
from ttc_bench.pipelines.generate.nodes import respond_all
from ttc_bench.pipelines.generate.params import Points, TimingParams, sweep
from ttc_bench.policies import policies, variants_of
from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job

BASELINE = "baseline.greedy"
AGAIN = "baseline.greedy again"
MODEL = engine_params(
    {"engine": "local", **{r: str(REFERENCE / r) for r in ("target", "draft", "verifier")}}
)


def all_points(engine: Engine) -> dict[str, Points]:
    """Return every variant that the embedded models can execute, as the project configures it."""
    loader = OmegaConfigLoader(str(ROOT / "conf"), base_env="base", default_run_env="base")
    settings = loader["parameters"]
    names = [f"{policy}.{variant}" for policy in policies() for variant in variants_of(policy)]
    points = {}
    for name in names:
        policy, variant = name.split(".")
        points[name] = sweep(name, (settings.get(policy) or {}).get(variant))
    return {n: p for n, p in points.items() if not any(v.lacking(engine) for _, v in p)}


def blocks(limit: int, size: int) -> list[list[Job]]:
    """Return the questions in blocks, of the benchmarks in turn."""
    own = [ingested(name, limit) for name in ("crm_sim", "worf_sim")]
    parts = [[jobs[at : at + size] for at in range(0, len(jobs), size)] for jobs in own]
    return [block for pair in zip(*parts, strict=True) for block in pair]


class Clock:
    """Seconds of processor and clock by variant."""

    def __init__(self, engine: Engine) -> None:
        self.engine = engine
        self.cpu_s: Counter[str] = Counter()
        self.wall_s: Counter[str] = Counter()
        self.calls: Counter[str] = Counter()

    def take(self, name: str, points: Points, jobs: list[Job], journal: Journal) -> None:
        """Let a variant answer the jobs."""
        wall, cpu = time.perf_counter(), time.process_time()
        rows = respond_all(points, jobs, self.engine, journal, 0, TimingParams(jobs=0))
        self.wall_s[name] += time.perf_counter() - wall
        self.cpu_s[name] += time.process_time() - cpu
        self.calls[name] += sum(not c.replayed for row in rows for c in row.ledger.calls)

    def block(self, everything: dict[str, Points], jobs: list[Job]) -> None:
        """Let every variant answer a block, the baseline twice."""
        journal = Journal()
        self.take(BASELINE, everything[BASELINE], jobs, journal)
        for name, points in everything.items():
            if name != BASELINE:
                self.take(name, points, jobs, journal)
        self.take(AGAIN, everything[BASELINE], jobs, Journal())


def told(clock: Clock, questions: int) -> float:
    """Print the times by variant; return how many times the baseline's all of them take."""
    of_one = {s: (t[BASELINE] + t[AGAIN]) / 2 for s, t in seconds_of(clock).items()}
    print(f"{questions} questions; the baseline {of_one['cpu'] / questions:.3f} s of CPU each")
    print(f"{'variant':32}{'CPU':>8}{'clock':>8}{'calls':>8}")
    for name in clock.cpu_s:
        ratios = [t[name] / of_one[s] for s, t in seconds_of(clock).items()]
        print(f"{name:32}{ratios[0]:8.2f}{ratios[1]:8.2f}{clock.calls[name] / questions:8.2f}")
    sums = {
        s: sum(t[name] for name in t if name not in (BASELINE, AGAIN)) / of_one[s] + 1
        for s, t in seconds_of(clock).items()
    }
    print(f"all {len(clock.cpu_s) - 1} variants: {sums['cpu']:.1f} times the baseline by CPU,")
    print(f"    {sums['clock']:.1f} by the clock")
    return sums["cpu"]


def seconds_of(clock: Clock) -> dict[str, Counter[str]]:
    return {"cpu": clock.cpu_s, "clock": clock.wall_s}


def estimate(factor: float, settings: Any) -> None:
    """Print what a suite takes where a model decodes at so many times reading its weights."""
    read_s = settings.weights_gb / settings.gb_per_s
    for over in settings.over:
        rate = 1 / (over * read_s)
        hours = settings.questions * factor * settings.tokens / rate / settings.gpus / 3600
        print(
            f"{settings.questions} questions of {settings.tokens} tokens on {settings.gpus} GPUs,"
            f" {settings.weights_gb:g} GB read at {settings.gb_per_s:g} GB/s, {over:g} times that:"
            f" {rate:.0f} tokens/s each, {hours:.1f} hours"
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--limit", type=int, default=24, help="questions of each benchmark")
    parser.add_argument("--block", type=int, default=8, help="questions in a block")
    parser.add_argument("--questions", type=int, default=1000)
    parser.add_argument("--tokens", type=int, default=200, help="of the baseline's answer")
    parser.add_argument("--gpus", type=int, default=8)
    parser.add_argument("--weights-gb", type=float, default=71.0, help="70B in 8 bits")
    parser.add_argument("--gb-per-s", type=float, default=4150.0, help="as a copy on an H200")
    parser.add_argument("--over", type=float, nargs="+", default=[2.1, 1.4])
    settings = parser.parse_args()
    torch.set_num_threads(1)
    engine = MODEL.build()
    everything, parts = all_points(engine), blocks(settings.limit, settings.block)
    Clock(engine).block(everything, parts[0][:2])
    clock = Clock(engine)
    for number, jobs in enumerate(parts, 1):
        clock.block(everything, jobs)
        print(f"block {number} of {len(parts)}", flush=True)
    estimate(told(clock, sum(map(len, parts))), settings)


if __name__ == "__main__":
    main()
