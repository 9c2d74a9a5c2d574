"""Speed of the local engine, each comparison measured alternately in one process.

    python tests/performance/bench_decoding.py
    python tests/performance/bench_decoding.py --only identity --jobs 400

Figures are medians over rounds; a round runs every contender once on the same prompts. Run it on
an otherwise idle machine: the model is so small that any neighbour on a core shows.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

# Before torch loads its thread pool, as the engine does it.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import torch

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.benchmarks.base import Prompting
from ttc_bench.engines.base import PLAIN, Decoding, Request, Sampling
from ttc_bench.engines.completion import Completion
from ttc_bench.engines.decoding import (
    ConfidenceExit,
    CosineKV,
    DraftModel,
    ElasticBatch,
    FixedLayer,
    PromptLookup,
    StaticKV,
)
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.engines.runtime.cache import Meter
from ttc_bench.engines.runtime.llama import LlamaRunner
from ttc_bench.engines.runtime.runner import Threads

REFERENCE = Path(__file__).parents[2] / "data" / "06_models" / "reference"
Contender = Callable[[], int]
"""Does its work once and returns the tokens (or samples) that it made."""


def main() -> None:
    """Run the comparisons that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=REFERENCE, help="folder of the three models")
    parser.add_argument("--jobs", type=int, default=12, help="test samples per benchmark")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--threads", type=int, default=None)
    parser.add_argument("--only", choices=COMPARISONS, action="append")
    options = parser.parse_args()
    paths = {role: str(options.models / role) for role in ("target", "draft", "verifier")}
    engine = LocalModels(**paths, threads=options.threads).build()
    requests = test_requests(options.jobs)
    for name in options.only or [name for name in COMPARISONS if name != "identity"]:
        print(f"\n{name}: {COMPARISONS[name].__doc__}")
        COMPARISONS[name](engine, requests, options.rounds)


def test_requests(count: int) -> list[Request]:
    """Return greedy requests of the first test samples of both simulated benchmarks."""
    requests = []
    for name in ("crm_sim", "worf_sim"):
        benchmark: Any = BENCHMARKS[name]
        source = benchmark.params()
        for sample in benchmark.load(source)[:count]:
            job = benchmark.render(sample, Prompting(), source)
            requests.append(Request(job.messages, job.max_tokens, job.stop))
    return requests


def run(engine: LocalEngine, request: Request) -> tuple[Completion, ...]:
    """Return the completions of one request."""
    return asyncio.run(engine.complete(request))


def run_together(
    engine: LocalEngine, requests: Sequence[Request], batch: ElasticBatch
) -> list[Any]:
    """Return the completions of requests that decode together, in the order of the requests."""
    together = [replace(request, decoding=batch) for request in requests]

    async def collect() -> dict[int, Any]:
        return {i: c async for i, c in engine.complete_many(together)}

    completions = asyncio.run(collect())
    return [completions[i] for i in range(len(together))]


def tokens(completions: Sequence[Completion]) -> int:
    """Return how many tokens were made."""
    return sum(c.usage.completion_tokens for c in completions)


def compare(contenders: dict[str, Contender], rounds: int, unit: str = "tokens") -> None:
    """Time every contender once per round; print medians and the ratio to the first one."""
    rates: dict[str, list[float]] = {name: [] for name in contenders}
    for contender in contenders.values():
        contender()
    for _ in range(rounds):
        for name, contender in contenders.items():
            start = time.perf_counter()
            made = contender()
            rates[name].append(made / (time.perf_counter() - start))
    first = next(iter(rates.values()))
    for name, found in rates.items():
        ratio = statistics.median(a / b for a, b in zip(found, first, strict=True))
        spread = f"{min(found):.0f} to {max(found):.0f}"
        print(f"  {name:28s} {statistics.median(found):8.1f} {unit}/s ({spread})  x{ratio:.2f}")


def single_stream(engine: LocalEngine, requests: list[Request], rounds: int) -> None:
    """One answer at a time, the library's generate against the engine."""
    from transformers import AutoModelForCausalLM

    model = AutoModelForCausalLM.from_pretrained(engine.models.target, dtype=torch.float32).eval()
    prompts = [torch.tensor([engine.language_model().encode(r.messages)]) for r in requests]
    all_threads = os.cpu_count() or 1

    def generate(threads: int) -> Contender:
        def work() -> int:
            torch.set_num_threads(threads)
            made = 0
            for prompt, request in zip(prompts, requests, strict=True):
                mask = torch.ones_like(prompt)
                output = model.generate(
                    prompt,
                    attention_mask=mask,
                    max_new_tokens=request.max_tokens,
                    do_sample=False,
                )
                made += output.shape[1] - prompt.shape[1]
            return made

        return work

    contenders = {"generate, 1 thread": generate(1)}
    if all_threads > 1:
        contenders[f"generate, {all_threads} threads"] = generate(all_threads)
    contenders["engine"] = lambda: sum(tokens(run(engine, r)) for r in requests)
    compare(contenders, rounds)
    timings = [run(engine, r)[0].timing for r in requests]
    ttft = statistics.median(t.ttft_s or 0 for t in timings)
    gap = statistics.median(g for t in timings for g in t.itl_s)
    print(f"  engine: median time to first token {ttft * 1e3:.1f} ms, token gap {gap * 1e3:.2f} ms")


def decodings(engine: LocalEngine, requests: list[Request], rounds: int) -> None:
    """Every decoding against plain, in wall time per token made."""
    variants: list[Decoding] = [
        PLAIN,
        DraftModel(),
        DraftModel(k=3),
        DraftModel(k=6),
        PromptLookup(),
        FixedLayer(),
        ConfidenceExit(),
        StaticKV(),
        CosineKV(),
    ]

    compare({d.label[:28]: contender(engine, requests, d) for d in variants}, rounds)
    for decoding in variants[1:5]:
        usages = [run(engine, replace(r, decoding=decoding))[0].usage for r in requests]
        drafted = sum(u.draft_tokens for u in usages)
        accepted = sum(u.accepted_tokens for u in usages)
        passes = sum(u.forward_passes or 0 for u in usages) / sum(
            u.completion_tokens for u in usages
        )
        print(f"  {decoding.label}: accepted {accepted / drafted:.2f}, {passes:.2f} passes a token")


def speculation(engine: LocalEngine, requests: list[Request], rounds: int) -> None:
    """Drafts of the draft model against plain decoding, on each benchmark."""
    half = len(requests) // 2
    for name, chosen in (("crm_sim", requests[:half]), ("worf_sim", requests[half:])):
        print(f"  {name}")
        compare({d.label[:28]: contender(engine, chosen, d) for d in (PLAIN, DraftModel())}, rounds)


def contender(engine: LocalEngine, requests: Sequence[Request], decoding: Decoding) -> Contender:
    """Return work that answers all requests by a decoding."""
    return lambda: sum(tokens(run(engine, replace(r, decoding=decoding))) for r in requests)


def batched_sampling(engine: LocalEngine, requests: list[Request], rounds: int) -> None:
    """Sixteen samples of one prompt: one after another against together."""
    sampling = Sampling(temperature=0.7, seed=1)
    few = [replace(r, sampling=sampling) for r in requests[:: max(1, len(requests) // 6)]]

    def alone() -> int:
        return sum(len(run(engine, replace(r, first_index=i))) for r in few for i in range(16))

    def together() -> int:
        return sum(len(run(engine, replace(r, n=16))) for r in few)

    compare({"16 runs": alone, "n = 16": together}, rounds, unit="samples")


def elastic_batch(engine: LocalEngine, requests: list[Request], rounds: int) -> None:
    """All jobs: one after another against elastic batches."""

    def batched(batch: ElasticBatch) -> Contender:
        return lambda: tokens(run_together(engine, requests, batch))

    contenders: dict[str, Contender] = {
        "one by one": lambda: sum(tokens(run(engine, r)) for r in requests),
        "greedy": batched(ElasticBatch()),
        "sorted": batched(ElasticBatch(order="sorted")),
    }
    compare(contenders, rounds)


def large_model(engine: LocalEngine, requests: list[Request], rounds: int) -> None:
    """A token of a Llama of 135 million random weights against reading the weights once."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        hidden_size=576, intermediate_size=1536, num_hidden_layers=30, num_attention_heads=9,
        num_key_value_heads=3, vocab_size=49152, tie_word_embeddings=True, dtype="float32",
    )  # fmt: skip
    model = LlamaForCausalLM(config).eval().requires_grad_(False)
    runner = LlamaRunner(model, model.lm_head, Threads(None, False))
    weights, count = list(model.parameters()), 32

    def reading() -> int:
        for _ in range(count):
            for weight in weights:
                weight.sum()
        return count

    @torch.inference_mode()
    def decoding() -> int:
        cache = runner.new_cache(count + 1, [Meter()])
        token = torch.zeros(1, 1, dtype=torch.long)
        for _ in range(count):
            token = runner.forward(token, cache).argmax(-1, keepdim=True)
        return count

    compare({"reading the weights": reading, "decoding": decoding}, rounds)


def identity(engine: LocalEngine, requests: list[Request], rounds: int) -> None:
    """Greedy speculation and batching, token by token against plain decoding."""
    plain = [run(engine, r)[0].token_ids for r in requests]
    for decoding in (DraftModel(), PromptLookup()):
        drafted = [run(engine, replace(r, decoding=decoding))[0].token_ids for r in requests]
        same = sum(a == b for a, b in zip(plain, drafted, strict=True))
        print(f"  {decoding.label}: {same} of {len(requests)} identical")
    for order in ("greedy", "sorted"):
        batched = run_together(engine, requests, ElasticBatch(order=order))
        same = sum(c.token_ids == tokens for c, tokens in zip(batched, plain, strict=True))
        padding = statistics.mean(c.usage.padding_share for c in batched)
        rows = statistics.mean(c.usage.batch_size for c in batched)
        print(
            f"  elastic_batch {order}: {same} of {len(requests)} identical,"
            f" padding {padding:.2f}, {rows:.1f} rows"
        )


COMPARISONS: dict[str, Any] = {
    "single_stream": single_stream,
    "decodings": decodings,
    "speculation": speculation,
    "batched_sampling": batched_sampling,
    "elastic_batch": elastic_batch,
    "large_model": large_model,
    "identity": identity,
}

if __name__ == "__main__":
    main()
