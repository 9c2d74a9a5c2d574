"""The reference models served over HTTP by ``transformers serve``: true completions, all the way.

The server is that of the transformers library, on a thread of its own. It serves the reference
models with a chat template that leaves an assistant turn open when it is the last, as the
templates of providers that continue partial answers do, and with sampling switched on.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REFERENCE, generated, ingested

from ttc_bench.engines import engine_params
from ttc_bench.engines.base import Engine, Request
from ttc_bench.policies import VARIANTS
from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job, Message

TEMPLATE = (
    "{% for message in messages %}{{ '<|' + message['role'] + '|>' + message['content'] }}"
    "{% if not loop.last or message['role'] != 'assistant' %}{{ '<|end|>' }}{% endif %}"
    "{% endfor %}{% if messages[-1]['role'] != 'assistant' %}{{ '<|assistant|>' }}{% endif %}"
)
SAMPLES = {"n": 4}
SETTINGS: dict[str, dict[str, Any]] = {
    "best_of_n.verifier": SAMPLES,
    "self_consistency.adaptive": SAMPLES,
    "self_consistency.majority": SAMPLES,
    "tree_search.beam": {"beams": 1},
    "tree_search.dvts": {"beams": 1},
}


def servable(folder: Path, role: str) -> str:
    """Lay out one reference model for the server; its weights are linked."""
    model = folder / role
    model.mkdir()
    for name in ("config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"):
        (model / name).symlink_to(REFERENCE / role / name)
    (model / "chat_template.jinja").write_text(TEMPLATE)
    tokens = {"eos_token_id": 1, "pad_token_id": 0}
    (model / "generation_config.json").write_text(
        json.dumps({**tokens, "do_sample": True, "top_k": 0})
    )
    return str(model)


@pytest.fixture(scope="module")
def settings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Parameters of a hosted engine on the served reference models, with a local verifier."""
    from transformers.cli.serve import Serve

    folder = tmp_path_factory.mktemp("served")
    target, draft = servable(folder, "target"), servable(folder, "draft")
    serve = Serve(
        host="127.0.0.1", port=0, device="cpu", dtype="float32", log_level="error",
        non_blocking=True,
    )  # fmt: skip
    while not serve.server.started:
        time.sleep(0.01)
    port = serve.server.servers[0].sockets[0].getsockname()[1]
    yield {
        "engine": "hosted",
        "target": f"openai/{target}",
        "draft": f"openai/{draft}",
        "verifier": str(REFERENCE / "verifier"),
        "api_base": f"http://127.0.0.1:{port}/v1",
        "continuation": "prefill",
        "requests_per_s": None,
        "concurrency": 4,
    }
    serve.kill_server()


@pytest.fixture(scope="module")
def local() -> Engine:
    """The same models in this process."""
    paths = {role: str(REFERENCE / role) for role in ("target", "draft", "verifier")}
    return engine_params({"engine": "local", **paths}).build()


@pytest.fixture(scope="module")
def served(settings: dict[str, Any]) -> Engine:
    """The hosted engine on the served models."""
    return engine_params(settings).build()


def jobs(name: str, count: int) -> list[Job]:
    """Return the first jobs of a simulated benchmark."""
    return ingested(name, count)


def test_greedy_answers_are_those_of_the_local_engine(served: Engine, local: Engine) -> None:
    asked = [*jobs("crm_sim", 3), *jobs("worf_sim", 1)]
    over_http = generated("baseline.greedy", asked, served, Journal(), {}, seed=0)
    here = generated("baseline.greedy", asked, local, Journal(), {}, seed=0)
    assert list(over_http["status"]) == ["ok"] * len(asked)
    assert list(over_http["text"]) == list(here["text"])
    for column in ("prompt_tokens", "completion_tokens", "finish_reason"):
        assert list(over_http[column]) == list(here[column]), column
    assert set(over_http["engine"]) == {"hosted"}
    assert (over_http["ttft_s"] > 0).all()
    gaps = [len(row) for row in over_http["itl_s"]]
    assert sum(gaps) > 0.9 * over_http["completion_tokens"].sum(), "tokens are timed one by one"


def test_a_partial_answer_goes_on_exactly_where_it_ends(served: Engine, local: Engine) -> None:
    (job,) = jobs("crm_sim", 1)

    async def whole_and_halves(engine: Engine) -> tuple[str, str]:
        try:
            whole = (await engine.complete(Request(job.messages, job.max_tokens)))[0].text
            half = whole[: whole.index("\n", len(whole) // 2) + 1]
            rest = Request((*job.messages, Message(role="assistant", content=half)), job.max_tokens)
            return whole, half + (await engine.complete(rest))[0].text
        finally:
            await engine.close()

    whole, halves = asyncio.run(whole_and_halves(served))
    assert halves == whole
    assert asyncio.run(whole_and_halves(local))[0] == whole


BLACK_BOX = [
    "baseline.greedy",
    "best_of_n.verifier",
    "cascade.agreement",
    "early_exit.consistency",
    "self_consistency.adaptive",
    "self_consistency.majority",
    "self_refine.budget_forcing",
    "self_refine.feedback",
    "speculative.step",
    "tree_search.beam",
    "tree_search.dvts",
]


def test_the_policies_that_a_served_model_can_run_are_these(served: Engine) -> None:
    able = [
        name for name, cls in VARIANTS.items() if not served.missing_capabilities(cls().needs())
    ]
    assert sorted(able) == BLACK_BOX


@pytest.fixture(scope="module")
def pool() -> Journal:
    """Completions that the policies share."""
    return Journal()


@pytest.mark.parametrize("name", BLACK_BOX)
def test_every_black_box_policy_runs_on_true_completions(
    served: Engine, pool: Journal, name: str
) -> None:
    asked = jobs("crm_sim", 2)
    frame = generated(name, asked, served, pool, SETTINGS.get(name, {}), seed=0)
    assert list(frame["status"]) == ["ok"] * len(asked), frame["error_message"].tolist()
    assert frame["text"].str.len().gt(0).all()
    again = generated(name, asked, served, pool, SETTINGS.get(name, {}), seed=0)
    assert list(again["text"]) == list(frame["text"])
    assert again["spent_calls"].sum() == 0, "nothing is asked twice"


@pytest.mark.parametrize(
    "name", ["early_exit.consistency", "speculative.step", "self_refine.feedback"]
)
def test_greedy_policies_decide_over_http_as_they_do_locally(
    served: Engine, local: Engine, pool: Journal, name: str
) -> None:
    asked = jobs("crm_sim", 2)
    over_http = generated(name, asked, served, pool, SETTINGS.get(name, {}), seed=0)
    here = generated(name, asked, local, Journal(), SETTINGS.get(name, {}), seed=0)
    assert list(over_http["text"].str.strip()) == list(here["text"].str.strip())
