"""The local engine on a CUDA machine: is it still exact, what is seen, and how fast is it.

    python tests/performance/bench_gpu.py
    python tests/performance/bench_gpu.py --only rates --sizes 1B

Four parts: the lossless decodings against plain ones in float32 (where they must be equal) and
in bfloat16 (where the share of equal answers is a finding), how near the two best tokens were
wherever an answer in bfloat16 became another one, what the monitor reads, and decode rates of
random models of common sizes against the time that reading their weights takes.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from bench_decoding import REFERENCE, run, run_together, test_requests, tokens

from ttc_bench.engines.base import PLAIN, Decoding, Request, Sampling
from ttc_bench.engines.decoding import (
    CosineKV,
    DraftModel,
    ElasticBatch,
    FixedLayer,
    PromptLookup,
    StaticKV,
)
from ttc_bench.engines.local import LocalEngine, LocalModels
from ttc_bench.metrics.resources import Monitor
from ttc_bench.types import Message

SHAPES: dict[str, dict[str, int]] = {
    # Llama 3.2 1B and Llama 3.1 8B: the shapes of their published configurations.
    "1B": {"hidden_size": 2048, "intermediate_size": 8192, "num_hidden_layers": 16},
    "8B": {"hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32},
}
ROLES = ("target", "draft", "verifier")
LOSSLESS: list[Decoding] = [
    DraftModel(),
    PromptLookup(),
    ElasticBatch(),
    ElasticBatch(order="sorted"),
    FixedLayer(layers=1.0),
    StaticKV(budget=1.0),
    CosineKV(budget_end=1.0),
]


def main() -> None:
    """Run the parts that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARTS, action="append")
    parser.add_argument("--jobs", type=int, default=12, help="test samples per benchmark")
    parser.add_argument("--sizes", choices=SHAPES, nargs="+", default=list(SHAPES))
    parser.add_argument("--new-tokens", type=int, default=128)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if not torch.cuda.is_available():
        sys.exit("bench_gpu: PyTorch sees no CUDA device here; run it where there is one.")
    print(f"{torch.cuda.get_device_name()}, PyTorch {torch.__version__}")
    for name in options.only or PARTS:
        print(f"\n{name}: {PARTS[name].__doc__}")
        PARTS[name](options)


def reference(dtype: str, device: str = "cuda") -> LocalEngine:
    """Return the engine on the models that the project ships."""
    paths = {role: str(REFERENCE / role) for role in ROLES}
    return LocalModels(**paths, device=device, dtype=dtype).build()


def answers(engine: LocalEngine, requests: list[Request], decoding: Decoding) -> list[Any]:
    """Return the token ids of every answer, batched where the decoding is a batch."""
    if isinstance(decoding, ElasticBatch):
        return [each.token_ids for each in run_together(engine, requests, decoding)]
    return [run(engine, replace(r, decoding=decoding))[0].token_ids for r in requests]


def identity(options: argparse.Namespace) -> None:
    """Answers equal to plain decoding of the same precision, and plain ones to the CPU's."""
    requests = test_requests(options.jobs)
    on_cpu = answers(reference("float32", "cpu"), requests, PLAIN)
    for dtype in ("float32", "bfloat16"):
        engine = reference(dtype)
        plain = answers(engine, requests, PLAIN)
        print(f"  {dtype}: plain, equal to float32 on the CPU: {equal(plain, on_cpu)}")
        for decoding in LOSSLESS:
            print(f"    {decoding.label}: {equal(answers(engine, requests, decoding), plain)}")
        sampled = [replace(r, sampling=Sampling(temperature=0.7, seed=1)) for r in requests]
        alone = [run(engine, replace(r, first_index=1))[0].token_ids for r in sampled]
        shared = [run(engine, replace(r, n=2))[1].token_ids for r in sampled]
        print(f"    second of n = 2, against drawn alone: {equal(shared, alone)}")


def equal(ours: list[Any], theirs: list[Any]) -> str:
    """Return how many are equal, as text."""
    return f"{sum(a == b for a, b in zip(ours, theirs, strict=True))} of {len(ours)}"


def ties(options: argparse.Namespace) -> None:
    """Where bfloat16 parts from plain decoding: logit of the best token above that of the next."""
    requests, engine = test_requests(options.jobs), reference("bfloat16")
    model, exact = engine.language_model(), reference("float32").language_model().model
    prompts = [model.encode(request.messages) for request in requests]
    plain = answers(engine, requests, PLAIN)
    usual = [lead(exact, p, a, len(a) // 2) for p, a in zip(prompts, plain, strict=True)]
    print(f"  halfway through an answer: median {statistics.median(usual):.3f}")
    for decoding in LOSSLESS:
        others = answers(engine, requests, decoding)
        leads = [
            lead(exact, prompt, one, parting(one, other))
            for prompt, one, other in zip(prompts, plain, others, strict=True)
            if one != other
        ]
        largest = f", at most {max(leads):.3f}" if leads else ""
        print(f"    {decoding.label}: {len(leads)} of {len(others)} part{largest}")


def parting(one: Sequence[int], other: Sequence[int]) -> int:
    """Return the place of the first token that differs."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((place for place, (a, b) in pairs if a != b), min(len(one), len(other)))


def lead(model: Any, prompt: Sequence[int], answer: Sequence[int], place: int) -> float:
    """Return by how much the best logit is above the next one, before a token of an answer."""
    ids = torch.tensor([[*prompt, *answer[:place]]], device="cuda")
    with torch.inference_mode():
        best, second = model(ids).logits[0, -1].float().topk(2).values.tolist()
    return float(best - second)


def resources(options: argparse.Namespace) -> None:
    """What the monitor reads while the reference target answers."""
    engine, requests = reference("bfloat16"), test_requests(options.jobs)
    run(engine, requests[0])
    with Monitor() as monitor:
        for request in requests:
            run(engine, request)
    print(f"  {monitor.reading}")


def rates(options: argparse.Namespace) -> None:
    """Decode rates of random models in bfloat16; 1.0 is one reading of all weights a token."""
    bandwidth = read_bandwidth()
    print(f"  reading memory: {bandwidth / 1e12:.2f} TB/s")
    for size in options.sizes:
        with tempfile.TemporaryDirectory() as folder:
            engine = LocalModels(target=save_random(size, Path(folder)), dtype="bfloat16").build()
            model = engine.language_model().model
            read_s = sum(p.numel() * p.element_size() for p in model.parameters()) / bandwidth
            ways = {"engine": engine_way(engine, options), "generate": generate_way(model, options)}
            report(size, ways, read_s, options.rounds)
            del model, engine, ways
            torch.cuda.empty_cache()


def read_bandwidth() -> float:
    """Return bytes per second of a copy on the device, reading and writing both counted."""
    source = torch.empty(2**30, dtype=torch.uint8, device="cuda")
    target = torch.empty_like(source)
    seconds = []
    for _ in range(10):
        torch.cuda.synchronize()
        start = time.perf_counter()
        target.copy_(source)
        torch.cuda.synchronize()
        seconds.append(time.perf_counter() - start)
    return 2 * source.numel() / statistics.median(seconds)


def save_random(size: str, folder: Path) -> str:
    """Write a random Llama of that size beside the reference tokenizer; return its path."""
    from transformers import AutoTokenizer, LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        **SHAPES[size],
        vocab_size=128256,
        num_attention_heads=32,
        num_key_value_heads=8,
        max_position_embeddings=4096,
        tie_word_embeddings=size == "1B",
        dtype=torch.bfloat16,
    )
    default = torch.get_default_dtype()
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device("cuda"):
            model = LlamaForCausalLM(config)
    finally:
        torch.set_default_dtype(default)
    model.save_pretrained(folder)
    AutoTokenizer.from_pretrained(REFERENCE / "target").save_pretrained(folder)
    return str(folder)


def engine_way(engine: LocalEngine, options: argparse.Namespace) -> Callable[[], int]:
    """Return a decode of one prompt by the engine, as a run does it."""
    question = (Message(role="user", content="Name the agents of region East. " * 16),)
    request = Request(messages=question, max_tokens=options.new_tokens)
    return lambda: tokens(run(engine, request))


def generate_way(model: Any, options: argparse.Namespace) -> Callable[[], int]:
    """Return a decode of as long a prompt by the library."""
    prompt = torch.randint(5, 1000, (1, 128), device="cuda")

    def work() -> int:
        count = options.new_tokens
        made = model.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            do_sample=False,
            max_new_tokens=count,
            min_new_tokens=count,
        )
        return int(made.shape[1] - prompt.shape[1])

    return work


def report(size: str, ways: dict[str, Callable[[], int]], read_s: float, rounds: int) -> None:
    """Time the ways in turn; print seconds a token and the multiple of reading the weights."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for way in ways.values():
        way()
    for _ in range(rounds):
        for name, way in ways.items():
            torch.cuda.synchronize()
            start = time.perf_counter()
            made = way()
            torch.cuda.synchronize()
            seconds[name].append((time.perf_counter() - start) / made)
    for name, measured in seconds.items():
        middle = statistics.median(measured)
        spread = f"{min(measured) * 1e3:.2f} to {max(measured) * 1e3:.2f}"
        print(
            f"  {size} {name:9s} {middle * 1e3:6.2f} ms a token ({spread}),"
            f" {1 / middle:6.1f} tokens/s, {middle / read_s:.1f} times reading the weights"
        )


PARTS: dict[str, Callable[[argparse.Namespace], None]] = {
    "identity": identity,
    "ties": ties,
    "resources": resources,
    "rates": rates,
}

if __name__ == "__main__":
    main()
