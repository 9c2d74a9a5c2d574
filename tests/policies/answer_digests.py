"""What every decoding answers to fixed prompts, as digests, beside the version it says.

``python -m tests.policies.answer_digests`` writes ``answer_digests.json`` anew. Do so after a
version was raised, a decoding was added, whose answers are not held before, or the reference models
were trained anew; the test beside it says when.

Only tokens that any machine should give are held: another instruction set adds in another order
and so rounds differently, which can turn a choice between tokens that are nearly equal. When
digests are written, each prompt is therefore also answered by models whose every weight is changed
by a random 1e-4 of itself, a hundred times what rounding does to a result in float32, and only the
tokens before the first difference count.
"""

from __future__ import annotations

import asyncio
import hashlib
import importlib
import inspect
import json
import pkgutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.conftest import REFERENCE, ingested

from ttc_bench.engines import decoding, engine_params
from ttc_bench.engines.base import GREEDY, Capability, Decoding, Engine, Request, Sampling
from ttc_bench.engines.completion import Completion
from ttc_bench.engines.local import ANSWERS_VERSION
from ttc_bench.types import Job

ENGINES = "ttc_bench.engines."
FILE = Path(__file__).with_suffix(".json")
ROLES = ("target", "draft", "verifier")
SAMPLINGS = {"greedy": GREEDY, "sampled": Sampling(temperature=0.8, seed=0)}
NOISE = 1e-4
NOISY_MODELS = 3
MAX_TOKENS = 32
ANEW = "run `python -m tests.policies.answer_digests`"

Answers = dict[str, tuple[int, ...]]


def decodings() -> dict[str, Decoding]:
    """Return every decoding of the package, at its defaults, by its module and class."""
    for module in pkgutil.iter_modules(decoding.__path__):
        importlib.import_module(f"{decoding.__name__}.{module.name}")
    classes = (cls for cls in _subclasses(Decoding) if cls.__module__.startswith(ENGINES))
    named = {f"{c.__module__.removeprefix(ENGINES)}.{c.__qualname__}": c for c in classes}
    return {name: cls() for name, cls in sorted(named.items()) if not inspect.isabstract(cls)}


def _subclasses(cls: type[Decoding]) -> set[type[Decoding]]:
    direct = set(cls.__subclasses__())
    return direct.union(*map(_subclasses, direct))


def version(loop: Decoding) -> str:
    """Return what must move when the answers do: the version of the runtime and its own."""
    return f"{ANSWERS_VERSION}.{loop.version}"


def build(folder: Path) -> Engine:
    paths = {role: str(folder / role) for role in ROLES}
    settings = {"engine": "local", "device": "cpu", "dtype": "float32", **paths}
    return engine_params(settings).build()


def models(engine: Engine) -> str:
    return hashlib.sha256("".join(engine.fingerprint(r) for r in ROLES).encode()).hexdigest()


def prompts() -> list[Job]:
    """Return the prompts that are written in the file: what makes new ones may change."""
    if FILE.exists():
        stored = json.loads(FILE.read_text())["prompts"]
        return [Job.model_validate(prompt) for prompt in stored]
    names = ("crm_sim", "worf_sim")
    drawn = [job for name in names for job in ingested(name, 2)]
    return [job.model_copy(update={"max_tokens": MAX_TOKENS}) for job in drawn]


def answers(engine: Engine, loop: Decoding) -> Answers:
    """Return the tokens of every answer of a decoding, by sampling and prompt."""
    requests = {
        f"{name} {job.id}": Request(
            job.messages, MAX_TOKENS, job.stop, sampling=sampling, decoding=loop
        )
        for job in prompts()
        for name, sampling in SAMPLINGS.items()
    }
    return asyncio.run(
        _together(engine, requests) if _is_batched(loop) else _each(engine, requests)
    )


def _is_batched(loop: Decoding) -> bool:
    return Capability.BATCH in loop.requires["target"]


async def _each(engine: Engine, requests: Mapping[str, Request]) -> Answers:
    return {case: (await engine.complete(r))[0].token_ids for case, r in requests.items()}


async def _together(engine: Engine, requests: Mapping[str, Request]) -> Answers:
    tokens: Answers = {}
    async for place, completion in engine.complete_many(list(requests.values())):
        assert isinstance(completion, Completion), completion
        tokens[list(requests)[place]] = completion.token_ids
    return tokens


def digest(tokens: tuple[int, ...]) -> str:
    return hashlib.sha256(json.dumps(tokens).encode()).hexdigest()[:16]


def complaint(name: str, stored: Mapping[str, Any], tokens: Answers, now: str) -> str | None:
    """Return what is wrong with a decoding, or ``None``.

    Args:
        name: Name of the decoding.
        stored: Its version and digests in the file.
        tokens: What it answers now.
        now: Its version now.
    """
    changed = [
        case
        for case, held in stored["answers"].items()
        if digest(tokens[case][: held["tokens"]]) != held["digest"]
    ]
    if changed and stored["version"] == now:
        return (
            f"{name} answers differently ({', '.join(changed)}), but its version is still {now}."
            f" If that is meant, raise `version` of {name}'s class, or ANSWERS_VERSION in"
            f" engines/local.py if all decodings change; then {ANEW}."
        )
    if changed:
        return f"{name} answers differently under its new version {now}, as it should: {ANEW}."
    if stored["version"] != now:
        return (
            f"{name} has version {now} in place of {stored['version']}, and answers as before: if"
            f" nothing can change, take the version back, or {ANEW}."
        )
    return None


def common(several: list[tuple[int, ...]]) -> int:
    """Return the length of the longest prefix that sequences share."""
    shortest = min(map(len, several))
    same = (len({tokens[i] for tokens in several}) == 1 for i in range(shortest))
    return next((i for i, is_same in enumerate(same) if not is_same), shortest)


def record() -> None:
    """Write the file anew."""
    engine, entries = build(REFERENCE), {}
    with tempfile.TemporaryDirectory() as folder:
        noisy = [build(_noisy(Path(folder) / str(seed), seed)) for seed in range(NOISY_MODELS)]
        for name, loop in decodings().items():
            tokens = answers(engine, loop)
            others = [answers(other, loop) for other in noisy]
            held = {}
            for case, own in tokens.items():
                count = common([own, *(other[case] for other in others)])
                held[case] = {"tokens": count, "digest": digest(own[:count])}
            entries[name] = {"version": version(loop), "answers": held}
            print(name, [case["tokens"] for case in held.values()])
    content = {
        "models": models(engine),
        "prompts": [job.model_dump(mode="json") for job in prompts()],
        "decodings": entries,
    }
    FILE.write_text(json.dumps(content, indent=1) + "\n")


def _noisy(folder: Path, seed: int) -> Path:
    """Write the reference models with noise on every weight, and return their folder."""
    import shutil

    import torch
    from safetensors.torch import load_file, save_file

    shutil.copytree(REFERENCE, folder)
    generator = torch.Generator().manual_seed(seed)
    for role in ROLES:
        path = folder / role / "model.safetensors"
        weights = {
            name: (w.double() * (1 + NOISE * torch.randn(w.shape, generator=generator))).to(w.dtype)
            for name, w in load_file(path).items()
        }
        save_file(weights, path, metadata={"format": "pt"})
    return folder


if __name__ == "__main__":
    record()
