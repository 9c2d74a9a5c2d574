"""Whether twins are told apart: one decoder under many names, each timed as a run times it.

    python tests/performance/bench_twins.py [--twins 200] [--jobs 12] [--busy] [--times twins.json]

Every twin is greedy decoding under a name of its own, timed by the generate stage beside a control
on the same jobs, which of the two first by a coin. It prints how many twins get a verdict and how
many intervals cover 1, alone and against the twin before (the ratio of their ratios), for whole
answers and for their first tokens. The bar for
an exact 95% interval over 200 pairs: at most 18 verdicts, at least 182 that cover. ``--busy`` keeps
a second process at work, in bursts of random length, while they are timed.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import ClassVar

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.benchmarks.base import Prompting
from ttc_bench.engines.local import LocalModels
from ttc_bench.pipelines.generate.nodes import generate
from ttc_bench.pipelines.generate.params import TimingParams
from ttc_bench.pipelines.ingest_benchmarks.nodes import ingest
from ttc_bench.policies.baseline import Greedy
from ttc_bench.policies.journal import Journal
from ttc_bench.statistics import relative_speed, speed
from ttc_bench.statistics.speed import Ratio

REFERENCE = Path(__file__).parents[2] / "data" / "06_models" / "reference"

BUSY = """
import random, time
while True:
    end = time.monotonic() + random.expovariate(0.5)
    while time.monotonic() < end:
        sum(range(10_000))
    time.sleep(random.expovariate(0.5))
"""
"""Bursts of two seconds on average, and pauses as long."""


class Twin(Greedy):
    """The baseline's decoding under another name."""

    policy: ClassVar[str] = "twins"
    name: ClassVar[str] = "greedy"
    is_control: ClassVar[bool] = False


Times = tuple[np.ndarray, np.ndarray]


CLOCKS = {"latency_s": "the answer", "ttft_s": "the first token"}


def timed(twins: int, jobs: int, role: str) -> Iterator[dict[str, Times]]:
    """Yield the seconds of each twin and of its control, by job, on each of `CLOCKS`."""
    engine = LocalModels(target=str(REFERENCE / role)).build()
    params = BENCHMARKS["crm_sim"].params()
    asked = ingest("crm_sim", ["crm_sim"], jobs, Prompting(), params, seed=0)
    for number in range(twins):
        points = ((f"greedy_{number}", Twin()),)
        rows = generate(points, asked, engine, Journal(), 0, TimingParams(jobs=jobs))
        yield {
            clock: (rows[clock].to_numpy(float), rows[f"control_{clock}"].to_numpy(float))
            for clock in CLOCKS
        }


def told(name: str, ratios: list[Ratio]) -> str:
    """Return how many of the intervals exclude 1, and how wide the typical one is."""
    verdicts = sum(ratio.low > 1 or ratio.high < 1 for ratio in ratios)
    width = float(np.median([ratio.high / ratio.low for ratio in ratios])) ** 0.5 - 1
    return (
        f"{name}: {verdicts} of {len(ratios)} get a verdict, {len(ratios) - verdicts} intervals"
        f" cover 1; half-width {width:.1%}"
    )


def main() -> None:
    """Time the twins and print what their intervals say."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--twins", type=int, default=200)
    parser.add_argument("--jobs", type=int, default=12)
    parser.add_argument("--role", default="target", help="the embedded model: target or draft")
    parser.add_argument("--busy", action="store_true", help="keep a second process at work")
    parser.add_argument("--times", type=Path, help="file that gets all seconds")
    options = parser.parse_args()
    busy = subprocess.Popen([sys.executable, "-c", BUSY]) if options.busy else None
    times: dict[str, list[Times]] = {clock: [] for clock in CLOCKS}
    try:
        for number, pairs in enumerate(timed(options.twins, options.jobs, options.role), 1):
            for clock, pair in pairs.items():
                times[clock].append(pair)
                if number % 20 == 0:
                    ratios = [speed(*t) for t in times[clock]]
                    print(told(f"{CLOCKS[clock]}, after {number}", ratios), flush=True)
            if options.times:
                seconds = {c: [[s.tolist() for s in t] for t in own] for c, own in times.items()}
                options.times.write_text(json.dumps(seconds))
    finally:
        if busy:
            busy.kill()
            busy.wait()
    for clock, own in times.items():
        name, pairwise = CLOCKS[clock], itertools.pairwise(own)
        print(told(f"{name}, beside its control", [speed(*pair) for pair in own]))
        print(told(f"{name}, beside another twin", [relative_speed(a, b) for a, b in pairwise]))
    print(f"load average {os.getloadavg()[0]:.1f}")


if __name__ == "__main__":
    main()
