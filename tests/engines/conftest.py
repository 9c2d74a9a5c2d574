"""Engines under test: on tiny random Llamas, and on the trained reference models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tests.engines.tiny_models import CORPUS, ask, save_llama, save_verifier

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.benchmarks.base import Prompting
from ttc_bench.engines.base import Request
from ttc_bench.engines.local import LocalEngine, LocalModels

REFERENCE = Path(__file__).parents[2] / "data" / "06_models" / "reference"


@pytest.fixture(scope="session")
def tiny_paths(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Paths of a tiny random target, an unrelated draft and a verifier."""
    folder = tmp_path_factory.mktemp("tiny")
    return {
        "target": save_llama(folder / "target", seed=1),
        "draft": save_llama(folder / "draft", seed=2, num_hidden_layers=1, hidden_size=32),
        "verifier": save_verifier(folder / "verifier"),
    }


@pytest.fixture(scope="session")
def tiny(tiny_paths: dict[str, str]) -> LocalEngine:
    """A local engine on tiny random models: quick, and nothing in them is well-behaved."""
    return LocalModels(**tiny_paths).build()


@pytest.fixture(scope="session")
def reference() -> LocalEngine:
    """A local engine on the reference models that the project ships."""
    return LocalModels(
        **{role: str(REFERENCE / role) for role in ("target", "draft", "verifier")}
    ).build()


@pytest.fixture(scope="session", params=["tiny", "reference"])
def engine(request: pytest.FixtureRequest) -> LocalEngine:
    """Each engine in turn: what must hold, holds on random and on trained weights."""
    engine = request.getfixturevalue(request.param)
    assert isinstance(engine, LocalEngine)
    return engine


@pytest.fixture(scope="session")
def requests(engine: LocalEngine) -> list[Request]:
    """Greedy requests: short texts for random weights, benchmark jobs for the trained ones."""
    if engine.models.target == str(REFERENCE / "target"):
        return job_requests(2)
    texts = [*CORPUS, *(" ".join(CORPUS[i:] + CORPUS[:i]) for i in range(len(CORPUS)))]
    return [ask(text, max_tokens=32) for text in texts]


def job_requests(count: int) -> list[Request]:
    """Greedy requests of the first ``count`` test samples of each simulated benchmark."""
    requests = []
    for name in ("crm_sim", "worf_sim"):
        benchmark: Any = BENCHMARKS[name]
        source = benchmark.params()
        for sample in benchmark.load(source)[:count]:
            job = benchmark.render(sample, Prompting(), source)
            requests.append(
                Request(messages=job.messages, max_tokens=job.max_tokens, stop=job.stop)
            )
    return requests
