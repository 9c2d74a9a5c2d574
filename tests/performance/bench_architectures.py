"""What each architecture can do, proven on tiny random models: a row per model type.

    python tests/performance/bench_architectures.py
    python tests/performance/bench_architectures.py --device cuda --only gemma4_text,gpt_oss

A ``yes`` under *generate*, *lookup*, *draft*, *batch* and *n>1* is equality of every token with the
library's ``generate``, with plain decoding, or with samples drawn alone, on prompts longer than the
windows. Under *exit*, *sure*, *static* and *cosine* it is equality at the neutral setting and a run
at a telling one. A dash is refused before the run. *FLOPs* is our bill over PyTorch's count.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2]))

from tests.engines.decoding.test_architectures import CLOSED, HYBRID, OPEN, TEXTS, build
from tests.engines.decoding.test_elastic_batch import run_all
from tests.engines.tiny_models import CORPUS, ask, run

from ttc_bench.engines.base import PLAIN, Decoding, Sampling
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

TOKENS = 12
EQUAL: dict[str, Decoding] = {"lookup": PromptLookup(max_ngram=1), "draft": DraftModel(k=3)}
NEUTRAL: dict[str, tuple[Decoding, Decoding]] = {
    "exit": (FixedLayer(layers=1.0), FixedLayer(layers=0.5)),
    "sure": (ConfidenceExit(threshold=1.0), ConfidenceExit(threshold=0.0, min_layers=1)),
    "static": (StaticKV(budget=1.0), StaticKV(budget=10)),
    "cosine": (
        CosineKV(budget_start=1.0, budget_end=1.0),
        CosineKV(budget_start=12, budget_end=5, decay_steps=6),
    ),
}


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", type=lambda names: names.split(","))
    parser.add_argument("--device", choices=("cpu", "cuda"), default="cpu")
    options = parser.parse_args()
    heading = ["generate", *EQUAL, *NEUTRAL, "batch", "n>1", "FLOPs"]
    print(f"{'architecture':14}" + "".join(f"{name:>9}" for name in heading))
    for kind, changes in {**OPEN, **HYBRID, **CLOSED}.items():
        if options.only is None or kind in options.only:
            with tempfile.TemporaryDirectory() as folder:
                cells = row(engine_of(Path(folder), kind, changes, options.device))
            print(f"{kind:14}" + "".join(f"{cells[name]:>9}" for name in heading), flush=True)


def engine_of(folder: Path, kind: str, changes: dict[str, Any], device: str) -> LocalEngine:
    """Return an engine on a random model of an architecture and a draft of the same one."""
    target, draft = (
        build(folder / role, kind, seed, **changes) for seed, role in ((4, "target"), (5, "draft"))
    )
    return LocalModels(target=target, draft=draft, device=device, precision="exact").build()


def row(engine: LocalEngine) -> dict[str, str]:
    """Return what a model can do, by column."""
    cells = {"generate": word(answers(engine, PLAIN) == library_answers(engine))}
    for name, decoding in EQUAL.items():
        cells[name] = able(engine, decoding, lambda d: answers(engine, d) == answers(engine, PLAIN))
    for name, (neutral, telling) in NEUTRAL.items():
        cells[name] = able(
            engine,
            telling,
            lambda d, n=neutral: (
                bool(answers(engine, d)) and answers(engine, n) == answers(engine, PLAIN)
            ),
        )
    cells["batch"] = able(engine, ElasticBatch(), lambda _: batched(engine))
    cells["n>1"] = word(sampled(engine))
    cells["FLOPs"] = f"{flops_ratio(engine):.4f}"
    return cells


def able(engine: LocalEngine, decoding: Decoding, holds: Callable[[Decoding], bool]) -> str:
    """Return whether something holds of a decoding; a dash where the model refuses it."""
    refused = engine.missing_capabilities(decoding.needs())
    return "-" if refused else word(holds(decoding))


def word(holds: bool) -> str:
    """Return a truth as a cell."""
    return "yes" if holds else "NO"


def answers(engine: LocalEngine, decoding: Decoding) -> list[Sequence[int]]:
    """Return the tokens of each request."""
    requests = [ask(text, max_tokens=TOKENS, decoding=decoding) for text in TEXTS]
    return [run(engine, request)[0].token_ids for request in requests]


def library_answers(engine: LocalEngine) -> list[Sequence[int]]:
    """Return what the library's own loop generates."""
    import torch

    model, ids = engine.language_model(), []
    for text in TEXTS:
        prompt = model.encode(ask(text).messages)
        tokens = torch.tensor([prompt], device=model.runner.device)
        with torch.inference_mode():
            whole = model.model.generate(tokens, max_new_tokens=TOKENS, do_sample=False)
        ids.append(tuple(whole[0, len(prompt) :].tolist()))
    return ids


def batched(engine: LocalEngine) -> bool:
    """Return whether a batch of different lengths answers as each request alone."""
    texts = ((CORPUS[0], 9), (TEXTS[1], 12), (CORPUS[3], 4), ("x", 20))
    requests = [ask(text, max_tokens=tokens) for text, tokens in texts]
    together: dict[int, Any] = dict(run_all(engine, requests, ElasticBatch(max_rows=3)))
    return all(
        isinstance(together[i], Completion)
        and together[i].token_ids == run(engine, request)[0].token_ids
        for i, request in enumerate(requests)
    )


def sampled(engine: LocalEngine) -> bool:
    """Return whether samples drawn together are those drawn alone."""
    request = ask(CORPUS[1], max_tokens=8, sampling=Sampling(temperature=0.8, seed=3), n=3)
    together = [completion.token_ids for completion in run(engine, request)]
    alone = (run(engine, replace(request, n=1, first_index=i))[0] for i in range(3))
    return together == [completion.token_ids for completion in alone]


def flops_ratio(engine: LocalEngine) -> float:
    """Return our bill over PyTorch's count, on plain attention and on experts one by one."""
    import torch
    from torch.utils.flop_counter import FlopCounterMode
    from transformers import AutoModelForCausalLM, DynamicCache

    request = ask(TEXTS[0], max_tokens=TOKENS)
    completion = run(engine, request)[0]
    prompt = engine.language_model().encode(request.messages)
    model = AutoModelForCausalLM.from_pretrained(
        engine.models.target,
        dtype=torch.float32,
        attn_implementation="eager",
        experts_implementation="eager",
    ).requires_grad_(False)
    cache = DynamicCache(config=model.config)
    with torch.inference_mode(), FlopCounterMode(display=False) as counter:
        for tokens in (prompt, *([token] for token in completion.token_ids[:-1])):
            model(torch.tensor([tokens]), past_key_values=cache, logits_to_keep=1)
    assert completion.usage.flops is not None
    return completion.usage.flops / counter.get_total_flops()


if __name__ == "__main__":
    main()
