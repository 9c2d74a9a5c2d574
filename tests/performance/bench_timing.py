"""How close the hosted engine's clock is to the server's own log, at concurrency 50.

``python tests/performance/bench_timing.py [--trials 5]`` prints, for every trial, how far the
percentiles of TTFT and of the gaps between tokens are off. The server (``timed_server.py``, TTFT
200 ms +-40%, ITL 20 ms, 24 tokens) runs in a process of its own on the same machine, and all
processes share one monotonic clock. The bar: TTFT p50 within 2 ms, p95 within 10 ms. A busy
machine delays both sides: see the load average that is printed.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.request import urlopen

from ttc_bench.engines.base import Request
from ttc_bench.engines.completion import Completion
from ttc_bench.engines.hosted import HostedModels
from ttc_bench.types import Message

TTFT_S, ITL_S, TOKENS, CALLS, CONCURRENCY = 0.2, 0.02, 24, 300, 50


def percentile(values: list[float], share: float) -> float:
    """Return the value below which ``share`` of the values lie."""
    return sorted(values)[int(share * (len(values) - 1))]


async def run(root: str) -> dict[str, Completion]:
    """Return the completions of all calls by their prompts."""
    engine = HostedModels(
        target="openai/timed", api_base=f"{root}/v1", requests_per_s=None, concurrency=CONCURRENCY
    ).build()
    places = asyncio.Semaphore(CONCURRENCY)

    async def call(text: str) -> tuple[str, Completion]:
        request = Request((Message(role="user", content=text),), max_tokens=64)
        async with places:
            return text, (await engine.complete(request))[0]

    try:
        return dict(await asyncio.gather(*(call(f"job {i}") for i in range(CALLS))))
    finally:
        await engine.close()


def trial(root: str) -> dict[str, float]:
    """Return how far we are off, in milliseconds."""
    completions = asyncio.run(run(root))
    with urlopen(root) as answer:
        log: dict[str, Any] = {entry["prompt"]: entry for entry in json.load(answer)}
    ours = [completion.timing.ttft_s or 0.0 for completion in completions.values()]
    theirs = [log[text]["marks"][0] - log[text]["arrived"] for text in completions]
    gaps = [gap for completion in completions.values() for gap in completion.timing.itl_s]
    sent = [b - a for entry in log.values() for a, b in itertools.pairwise(entry["marks"])]
    off = {}
    for name, mine, server in (("TTFT", ours, theirs), ("gap", gaps, sent)):
        for share in (0.5, 0.95):
            difference = percentile(mine, share) - percentile(server, share)
            off[f"{name} p{share * 100:.0f}"] = difference * 1000
    return off


def main() -> None:
    """Print one line per trial."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, default=5)
    options = parser.parse_args()
    script = Path(__file__).parents[1] / "engines" / "hosted" / "timed_server.py"
    process = subprocess.Popen(
        [sys.executable, str(script), str(TTFT_S), str(ITL_S), str(TOKENS)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    root = f"http://127.0.0.1:{int(process.stdout.readline())}"
    try:
        trial(root)
        for _ in range(options.trials):
            off = "  ".join(f"{name} {value:+6.2f} ms" for name, value in trial(root).items())
            print(f"{off}  (load average {os.getloadavg()[0]:.1f})")
    finally:
        process.terminate()
        process.wait(timeout=10)


if __name__ == "__main__":
    main()
