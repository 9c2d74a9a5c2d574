"""How much the hosted engine bends what it measures, beside a bare client and its peers.

``python tests/performance/bench_hosted.py`` prints a table: the same streamed completions
(TTFT 50 ms, ITL 5 ms, 64 tokens) at the same concurrency from the same server, each client in a
process of its own, in turns. CPU is the client's own, without imports. Without further arguments
the server is this project's ``timed_server.py``; with ``--guidellm`` it is GuideLLM's mock server.

    --guidellm PATH        the guidellm executable
    --peers PYTHON         a Python with inspect-ai; without it that peer is left out
    --only NAME ...        these clients only, beside the bare one

A client's call is one completion. A whole run goes from jobs to results on the disk: journal and
rows here, the log file of an evaluation there. Inspect AI's calls do not stream: its TTFT is the
time of the whole answer.

300 completions at concurrency 50 on the two cores that the server ran on, too, median of three
alternating rounds (``--peers``):

===================================  ==========  =====  ==============  ===========
client                               requests/s  wall   CPU ms/request  TTFT p50 ms
===================================  ==========  =====  ==============  ===========
bare aiohttp                         129         1.00x  6.5             58.5
ttc-bench                            125         1.03x  5.8             59.0
ttc-bench, a whole run               112         1.15x  7.1             61.4
Inspect AI, its model call alone     93          1.38x  8.8             416
openai SDK                           53          2.42x  18.7            153
Inspect AI, a whole evaluation       32          4.07x  30.8            525
ttc-bench, by litellm                13          10.3x  80              793
litellm                              12          10.7x  84              927
===================================  ==========  =====  ==============  ===========
"""

from __future__ import annotations

import argparse
import asyncio
import functools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.request import urlopen

TTFT_MS, ITL_MS, TOKENS, MODEL = 50, 5, 64, "mock"
PROMPT = "Name the agent with the shortest handling time. " * 20

Timed = tuple[float, int]
"""Time to first token in seconds, and tokens seen."""

Ask = Callable[[int], Awaitable[Timed]]


async def bare(api_base: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """A bare aiohttp client: reads what comes, parses every event, notes every token's time."""
    import aiohttp

    session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))

    async def ask(i: int) -> Timed:
        marks, rest, start = [], b"", time.perf_counter()
        async with session.post(f"{api_base}/chat/completions", json=body(i)) as response:
            async for chunk in response.content.iter_any():
                now = time.perf_counter()
                *events, rest = (rest + chunk).split(b"\n\n")
                for event in events:
                    data = event.removeprefix(b"data: ")
                    if data == b"[DONE]":
                        continue
                    choices = json.loads(data)["choices"]
                    if choices and choices[0]["delta"].get("content"):
                        marks.append(now)
        return marks[0] - start, len(marks)

    return ask, session.close


async def ours(api_base: str, **settings: Any) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """The hosted engine, with its limiter, retries and bill."""
    from ttc_bench.engines.base import Request
    from ttc_bench.engines.hosted import HostedEngine, HostedModels
    from ttc_bench.types import Message

    models = HostedModels(
        target=f"openai/{MODEL}", api_base=api_base, requests_per_s=10_000, **settings
    )
    engine = HostedEngine(models)

    async def ask(i: int) -> Timed:
        message = Message(role="user", content=f"{i} {PROMPT}")
        (completion,) = await engine.complete(Request(messages=(message,), max_tokens=TOKENS))
        return completion.timing.ttft_s or 0.0, len(completion.timing.itl_s) + 1

    return ask, engine.close


async def ours_by_litellm(api_base: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """The hosted engine on the way of providers with a protocol of their own."""
    return await ours(api_base, transport="litellm")


async def openai_sdk(api_base: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """The openai SDK."""
    from openai import AsyncOpenAI

    client = AsyncOpenAI(base_url=api_base, api_key="none", max_retries=0)

    async def ask(i: int) -> Timed:
        marks, start = [], time.perf_counter()
        async for chunk in await client.chat.completions.create(**body(i)):
            if chunk.choices and chunk.choices[0].delta.content:
                marks.append(time.perf_counter())
        return marks[0] - start, len(marks)

    return ask, client.close


async def litellm_alone(api_base: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """LiteLLM's own client."""
    import litellm

    async def ask(i: int) -> Timed:
        marks, start = [], time.perf_counter()
        given = {**body(i), "model": f"openai/{MODEL}", "api_base": api_base, "api_key": "none"}
        async for chunk in await litellm.acompletion(**given):
            if chunk.choices and chunk.choices[0].delta.content:
                marks.append(time.perf_counter())
        return marks[0] - start, len(marks)

    async def close() -> None:
        return None

    return ask, close


async def inspect_ai(api_base: str) -> tuple[Ask, Callable[[], Awaitable[None]]]:
    """Inspect AI's model API, which does not stream: it sees no token before the last."""
    from inspect_ai.model import GenerateConfig, get_model

    model = get_model(
        f"openai-api/mock/{MODEL}",
        base_url=api_base,
        api_key="none",
        config=GenerateConfig(max_connections=1000, max_tokens=TOKENS, temperature=0.0),
    )

    async def ask(i: int) -> Timed:
        start = time.perf_counter()
        output = await model.generate(f"{i} {PROMPT}")
        assert output.completion
        return time.perf_counter() - start, 0

    async def close() -> None:
        return None

    return ask, close


async def ours_whole(api_base: str, calls: int, concurrency: int) -> list[Timed]:
    """A whole run of ours: jobs to rows, every completion in a journal on the disk."""
    from ttc_bench.engines.hosted import HostedModels
    from ttc_bench.pipelines.generate.nodes import generate
    from ttc_bench.pipelines.generate.params import TimingParams, sweep
    from ttc_bench.policies.journal import Journal
    from ttc_bench.types import Job, Message

    jobs = [
        Job(
            id=f"crm_sim/{i}",
            benchmark="crm_sim",
            task="any",
            messages=(Message(role="user", content=f"{i} {PROMPT}"),),
            references=("word",),
            reward_metric="exact_match",
            max_tokens=TOKENS,
        )
        for i in range(calls)
    ]
    engine = HostedModels(
        target=f"openai/{MODEL}",
        api_base=api_base,
        requests_per_s=10_000,
        concurrency=concurrency,
    ).build()
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journal.jsonl")
        points, timing = sweep("baseline.greedy", {}), TimingParams(jobs=0)
        node = functools.partial(generate, points, jobs, engine, journal, 0, timing)
        rows = await asyncio.to_thread(node)
    assert (rows["status"] == "ok").all()
    gaps = [len(row) for row in rows["itl_s"]]
    return [(ttft_s, gap + 1) for ttft_s, gap in zip(rows["ttft_s"], gaps, strict=True)]


async def inspect_whole(api_base: str, calls: int, concurrency: int) -> list[Timed]:
    """A whole evaluation of Inspect AI: samples to its log file."""
    from inspect_ai import Task, eval_async
    from inspect_ai.dataset import Sample
    from inspect_ai.model import GenerateConfig, get_model

    model = get_model(f"openai-api/mock/{MODEL}", base_url=api_base, api_key="none")
    task = Task(
        dataset=[Sample(input=f"{i} {PROMPT}") for i in range(calls)],
        config=GenerateConfig(max_connections=concurrency, max_tokens=TOKENS, temperature=0.0),
    )
    with tempfile.TemporaryDirectory() as folder:
        (log,) = await eval_async(task, model=model, log_dir=folder, max_samples=concurrency)
        assert log.status == "success", log.error
        assert log.samples
        return [(sample.total_time or 0.0, 0) for sample in log.samples]


WHOLE = {"ours, whole run": ours_whole, "inspect-ai, whole run": inspect_whole}
"""From jobs to results on the disk: these take their own turns."""

CLIENTS = {
    "bare": bare,
    "ours": ours,
    "ours by litellm": ours_by_litellm,
    "openai SDK": openai_sdk,
    "litellm": litellm_alone,
    "inspect-ai": inspect_ai,
}
PEERS = ("inspect-ai", "inspect-ai, whole run")
"""Clients that run under the Python of ``--peers``."""


def body(i: int) -> dict[str, Any]:
    """Return the body of request ``i``."""
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": f"{i} {PROMPT}"}],
        "max_tokens": TOKENS,
        "temperature": 0.0,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


async def measure(name: str, api_base: str, calls: int, concurrency: int) -> dict[str, Any]:
    """Run one client: a few calls to warm up, then all of them."""
    if name in WHOLE:
        await WHOLE[name](api_base, 4, concurrency)
        return await figures(WHOLE[name](api_base, calls, concurrency), calls)
    ask, close = await CLIENTS[name](api_base)
    places = asyncio.Semaphore(concurrency)

    async def call(i: int) -> Timed:
        async with places:
            return await ask(i)

    async def all_calls() -> list[Timed]:
        return await asyncio.gather(*(call(i) for i in range(calls)))

    for i in range(4):
        await call(-i)
    row = await figures(all_calls(), calls)
    await close()
    return row


async def figures(work: Awaitable[list[Timed]], calls: int) -> dict[str, Any]:
    """Await the work and return what it took."""
    cpu, start = time.process_time(), time.perf_counter()
    timed = await work
    wall_s, cpu_s = time.perf_counter() - start, time.process_time() - cpu
    first = sorted(ttft_s for ttft_s, _ in timed)
    return {
        "wall_s": wall_s,
        "rate": calls / wall_s,
        "cpu_ms": cpu_s / calls * 1000,
        "ttft_p50_ms": statistics.median(first) * 1000,
        "ttft_p95_ms": first[int(0.95 * (calls - 1))] * 1000,
        "tokens": sum(tokens for _, tokens in timed) / calls,
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


@contextmanager
def served(guidellm: str | None) -> Iterator[str]:
    """Start the server; gives its address."""
    if guidellm is None:
        script = Path(__file__).parents[1] / "engines" / "hosted" / "timed_server.py"
        times = [str(TTFT_MS / 1000), str(ITL_MS / 1000), str(TOKENS)]
        process = subprocess.Popen(
            [sys.executable, str(script), *times],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert process.stdout
        port = int(process.stdout.readline())
    else:
        port = 18399
        command = [guidellm, "mock-server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--model", MODEL, "--ttft-ms", str(TTFT_MS), "--itl-ms", str(ITL_MS)]
        command += ["--output-tokens", str(TOKENS), "--output-tokens-std", "0"]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
    try:
        wait_for(f"http://127.0.0.1:{port}")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=20)


def wait_for(address: str) -> None:
    """Wait until something answers at ``address``, whatever it says."""
    from urllib.error import HTTPError

    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        try:
            with urlopen(address, timeout=5):
                return
        except HTTPError:
            return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"no server at {address}")


def run(name: str, address: str, options: argparse.Namespace) -> dict[str, Any]:
    """Run one client in a process of its own."""
    python = options.peers if name in PEERS else sys.executable
    command = [python, __file__, "--client", name, "--address", address]
    command += ["--calls", str(options.calls), "--concurrency", str(options.concurrency)]
    environment = {**os.environ, "LITELLM_LOCAL_MODEL_COST_MAP": "True"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise SystemExit(f"{name} failed:\n{done.stderr[-2000:]}")
    row = json.loads(done.stdout.splitlines()[-1])
    assert isinstance(row, dict)
    return row


def main() -> None:
    """Print the table, or run one client of it."""
    options = parsed()
    if options.client:
        coroutine = measure(options.client, options.address, options.calls, options.concurrency)
        print(json.dumps(asyncio.run(coroutine)))
        return
    names = [name for name in (*CLIENTS, *WHOLE) if name not in PEERS or options.peers]
    names = [name for name in names if not options.only or name in ("bare", *options.only)]
    seen: dict[str, list[dict[str, Any]]] = {name: [] for name in names}
    with served(options.guidellm) as address:
        for _ in range(options.rounds):
            for name in names:
                seen[name].append(run(name, address, options))
    server = "guidellm mock-server" if options.guidellm else "timed_server.py"
    print(
        f"{options.calls} streamed completions at concurrency {options.concurrency} from {server}"
        f" (TTFT {TTFT_MS} ms, ITL {ITL_MS} ms, {TOKENS} tokens), median of {options.rounds};"
        f" load average {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    print(f"{'client':21} {'wall s':>7} {'req/s':>6} {'CPU ms':>7} {'TTFT p50':>9} {'p95':>7}"
          f" {'timed':>6} {'wall':>6} {'CPU':>6} {'MB':>5}")  # fmt: skip
    table = {name: medians(rounds) for name, rounds in seen.items()}
    for name, row in table.items():
        print(
            f"{name:21} {row['wall_s']:7.2f} {row['rate']:6.1f} {row['cpu_ms']:7.2f}"
            f" {row['ttft_p50_ms']:9.1f} {row['ttft_p95_ms']:7.1f} {row['tokens']:6.0f}"
            f" {row['wall_s'] / table['bare']['wall_s']:5.2f}x"
            f" {row['cpu_ms'] / table['bare']['cpu_ms']:5.2f}x {row['peak_mb']:5.0f}"
        )
    print("timed: tokens with a time of their own; wall, CPU: over the bare client's.")


def medians(rounds: list[dict[str, Any]]) -> dict[str, float]:
    """Return the median of every figure."""
    return {key: statistics.median(row[key] for row in rounds) for key in rounds[0]}


def parsed() -> argparse.Namespace:
    """Return the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--guidellm")
    parser.add_argument("--peers")
    parser.add_argument("--only", nargs="*", help="clients beside the bare one")
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--concurrency", type=int, default=50)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--client", help=argparse.SUPPRESS)
    parser.add_argument("--address", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
