"""Speed of every decoding against another commit, alternating, with the same tokens and logits.

    python tests/performance/bench_against.py                     # against 3e6ecf2
    python tests/performance/bench_against.py --commit HEAD~1 --jobs 4 --rounds 2
    python tests/performance/bench_against.py --identity          # plain, the whole test split

The other commit is checked out into a temporary worktree and loaded by a process of its own; both
processes answer the same request in turn, so whatever else the machine does falls on both. Printed
are tokens per second, and the median over requests and rounds of the ratio of wall and of CPU
time. ``--identity`` answers every test job on both and compares the tokens, and the logits after
them, which a second pass over the whole answer reads.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).parents[2]
REFERENCE = ROOT / "data" / "06_models" / "reference"
ROLES = ("target", "draft", "verifier")
DECODINGS = (
    "Plain",
    "DraftModel",
    "PromptLookup",
    "FixedLayer",
    "ConfidenceExit",
    "StaticKV",
    "CosineKV",
)
"""Those that run one request at a time: batches were asked for otherwise at older commits."""

SAMPLED = "Plain, n = 8"


class Side:
    """A process that answers by one commit's code.

    Args:
        source: Its ``src`` folder.
        jobs: Test jobs per benchmark.
    """

    def __init__(self, source: Path, jobs: int) -> None:
        environment = {**os.environ, "PYTHONPATH": str(source)}
        self._process = subprocess.Popen(
            [sys.executable, __file__, "--worker", "--jobs", str(jobs)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            text=True,
        )
        self.requests: int = self._read()["requests"]

    def ask(self, **question: Any) -> dict[str, Any]:
        """Return the worker's answer."""
        assert self._process.stdin is not None
        print(json.dumps(question), file=self._process.stdin, flush=True)
        return self._read()

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _read(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line: dict[str, Any] = json.loads(self._process.stdout.readline())
        return line


def main() -> None:
    """Compare this working tree with another commit."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--commit", default="3e6ecf2")
    parser.add_argument("--jobs", type=int, default=6, help="test samples per benchmark")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=(*DECODINGS, SAMPLED), action="append")
    parser.add_argument("--identity", action="store_true")
    parser.add_argument("--worker", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.worker:
        work(options.jobs)
        return
    jobs = 10**6 if options.identity else options.jobs
    with checkout(options.commit) as folder:
        sides = [Side(folder / "src", jobs), Side(ROOT / "src", jobs)]
        if options.identity:
            compare_answers(sides)
        else:
            for name in options.only or (*DECODINGS, SAMPLED):
                compare_speed(sides, name, options.rounds)
        for side in sides:
            side.close()


@contextmanager
def checkout(commit: str) -> Iterator[Path]:
    """Yield a temporary worktree of a commit."""
    with tempfile.TemporaryDirectory() as parent:
        folder = Path(parent) / "other"
        git = ["git", "-C", str(ROOT), "worktree"]
        subprocess.run([*git, "add", "--detach", "-q", str(folder), commit], check=True)
        try:
            yield folder
        finally:
            subprocess.run([*git, "remove", "--force", str(folder)], check=True)


def compare_speed(sides: list[Side], name: str, rounds: int) -> None:
    """Print what both sides need for one decoding."""
    wall, cpu = list[float](), list[float]()
    made, spent_s = [0, 0], [0.0, 0.0]
    for turn in range(rounds + 1):
        for index in range(sides[0].requests):
            order = (0, 1) if (turn + index) % 2 else (1, 0)
            answers = {i: sides[i].ask(decoding=name, index=index) for i in order}
            if turn == 0:
                continue
            for i, answer in answers.items():
                made[i] += answer["made"]
                spent_s[i] += answer["wall_s"]
            before, after = (answers[i]["made"] / answers[i]["wall_s"] for i in (0, 1))
            wall.append(after / before)
            before, after = (answers[i]["made"] / answers[i]["cpu_s"] for i in (0, 1))
            cpu.append(after / before)
    rates = [count / seconds for count, seconds in zip(made, spent_s, strict=True)]
    print(
        f"{name:14s} {rates[0]:7.1f} -> {rates[1]:7.1f} tokens/s,"
        f" wall x{statistics.median(wall):.2f}, CPU x{statistics.median(cpu):.2f}",
        flush=True,
    )


def compare_answers(sides: list[Side]) -> None:
    """Print how many answers agree, and how far logits are apart."""
    same, furthest = 0, 0.0
    for index in range(sides[0].requests):
        before, after = (side.ask(identity=True, index=index) for side in sides)
        same += before["tokens"] == after["tokens"]
        gaps = (abs(a - b) for a, b in zip(before["logits"], after["logits"], strict=True))
        furthest = max(furthest, *gaps)
    print(f"{same} of {sides[0].requests} answers identical, logits within {furthest:.1e}")


def work(jobs: int) -> None:
    """Answer questions from standard input by the code on the path."""
    from ttc_bench.engines import local

    engine = local.LocalModels(
        **{role: str(REFERENCE / role) for role in ROLES}, device="cpu", dtype="float32"
    ).build()
    requests = test_requests(jobs)
    print(json.dumps({"requests": len(requests)}), flush=True)
    for line in sys.stdin:
        question = json.loads(line)
        index = question["index"]
        if question.get("identity"):
            answer = tokens_and_logits(engine, requests[index])
        else:
            answer = timed(engine, requests, index, question["decoding"])
        print(json.dumps(answer), flush=True)


def test_requests(count: int) -> list[Any]:
    """Return greedy requests of the first test samples of both simulated benchmarks."""
    from ttc_bench.benchmarks import BENCHMARKS
    from ttc_bench.benchmarks.base import Prompting
    from ttc_bench.engines.base import Request

    requests = []
    for name in ("crm_sim", "worf_sim"):
        benchmark: Any = BENCHMARKS[name]
        source = benchmark.params()
        for sample in benchmark.load(source)[:count]:
            job = benchmark.render(sample, Prompting(), source)
            requests.append(Request(job.messages, job.max_tokens, job.stop))
    return requests


def timed(engine: Any, requests: list[Any], index: int, name: str) -> dict[str, Any]:
    """Answer by a decoding; return the tokens made, and wall and CPU seconds."""
    from dataclasses import replace

    from ttc_bench.engines import decoding
    from ttc_bench.engines.base import PLAIN, Sampling

    request = requests[index]
    if name == SAMPLED:
        request = replace(request, n=8, sampling=Sampling(temperature=0.7))
    loop = PLAIN if name.startswith("Plain") else getattr(decoding, name)()
    wall_s, cpu_s = time.perf_counter(), time.process_time()
    completions = asyncio.run(engine.complete(replace(request, decoding=loop)))
    return {
        "made": sum(len(completion.token_ids) for completion in completions),
        "wall_s": time.perf_counter() - wall_s,
        "cpu_s": time.process_time() - cpu_s,
    }


def tokens_and_logits(engine: Any, request: Any) -> dict[str, Any]:
    """Return the greedy tokens, and the largest logit after each prefix of the answer."""
    import torch

    from ttc_bench.engines.runtime.cache import Meter

    (completion,) = asyncio.run(engine.complete(request))
    model = engine.language_model()
    tokens = model.encode(request.messages) + list(completion.token_ids)
    with torch.inference_mode():
        cache = model.runner.new_cache(len(tokens), [Meter()])
        rows = [model.runner.forward(torch.tensor([tokens[:-1]]), cache, every=True)[0]]
        rows.append(model.runner.forward(torch.tensor([tokens[-1:]]), cache))
        logits = torch.cat(rows)
    return {
        "tokens": completion.token_ids,
        "logits": [*logits.amax(-1).tolist(), *logits.mean(-1).tolist(), *logits[-1].tolist()],
    }


if __name__ == "__main__":
    main()
