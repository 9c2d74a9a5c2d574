"""Speculation on the server's side enters the bill as the server tells it, or is unknown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from tests.conftest import KedroRun, generated
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.support import ask, complete, one
from tests.engines.hosted.test_failures import jobs

from ttc_bench.engines.completion import Completion
from ttc_bench.engines.hosting.counters import Rise, metrics_url, read, rise
from ttc_bench.policies.journal import Journal

PER_REQUEST = {
    "metrics": {"speculative_decoding": {"num_draft_tokens": 12, "num_accepted_draft_tokens": 7}}
}
COUNTS = {"accepted": 4, "drafts_per_pass": 3, "tokens": 8}
"""Eight tokens: one of the prompt's pass, four accepted drafts and three passes' own tokens."""


@pytest.fixture(scope="module")
def other() -> Iterator[FaultServer]:
    """A second server: the same model, with speculation."""
    server = FaultServer()
    yield server
    server.stop()


def drafted(completion: Completion) -> tuple[int | None, int | None]:
    return completion.usage.draft_tokens, completion.usage.accepted_tokens


def test_served_compares_an_endpoint_that_speculates_with_the_same_model_without(
    server: FaultServer, other: FaultServer
) -> None:
    other.plan(extra_chunk=PER_REQUEST)
    engine = server.engine(served_api_base=other.api_base)
    journal, asked = Journal(), jobs(6)
    plain = generated("baseline.greedy", asked, engine, journal, {}, seed=0)
    served = generated("speculative.served", asked, engine, journal, {}, seed=0)
    assert list(served["text"]) == list(plain["text"])
    assert list(served["draft_tokens"]) == [12] * 6
    assert list(served["accepted_tokens"]) == [7] * 6
    assert plain["draft_tokens"].isna().all(), "nothing is reported: unknown, not zero"
    assert len(server.log()) == len(other.log()) == 6


@pytest.mark.parametrize("kind", ["vllm", "sglang"])
def test_counters_are_read_around_every_call(server: FaultServer, kind: str) -> None:
    server.plan(counters=kind, **COUNTS)
    engine = server.engine(counters=True)
    outcomes = complete(engine, [ask(f"job {i}") for i in range(5)])
    seen = [drafted(outcome) for outcome in outcomes if isinstance(outcome, Completion)]
    assert seen == [(9, 4)] * 5
    assert max(entry["inside"] for entry in server.log()) == 1, "one call at a time"
    assert engine.concurrency == 1


def test_counters_that_others_moved_tell_nothing(server: FaultServer) -> None:
    server.plan(counters="vllm", others=5, **COUNTS)
    assert drafted(one(server.engine(counters=True), ask("hello"))) == (None, None)


def test_a_request_that_reports_for_itself_needs_no_counters(server: FaultServer) -> None:
    server.plan(counters="vllm", extra_chunk=PER_REQUEST, **COUNTS)
    assert drafted(one(server.engine(counters=True), ask("hello"))) == (12, 7)


def test_a_server_without_counters_is_told_once_and_stays_unknown(
    server: FaultServer, caplog: pytest.LogCaptureFixture
) -> None:
    outcomes = complete(server.engine(counters=True), [ask(f"job {i}") for i in range(3)])
    assert [drafted(o) for o in outcomes if isinstance(o, Completion)] == [(None, None)] * 3
    (line,) = [r.getMessage() for r in caplog.records if "counters" in r.getMessage()]
    assert f"no counters at {server.root}/metrics" in line


def test_pages_are_read_by_name_over_all_labels() -> None:
    page = (
        "# HELP vllm:generation_tokens_total Number of generation tokens processed.\n"
        'vllm:generation_tokens_total{engine="0",model_name="a b"} 10.0\n'
        'vllm:generation_tokens_total{engine="1",model_name="a b"} 1.5e+01\n'
        'vllm:generation_tokens_created{engine="0"} 1.7e9\n'
        'sglang:spec_num_draft_tokens{dp_rank="0"} 4\n'
        'sglang:spec_num_draft_tokens{dp_rank="1"} 4\n'
        'sglang:token_usage{tp_rank="0"} NaN\n'
        "process_cpu_seconds_total 3\n"
    )
    counters = read(page)
    assert counters["vllm:generation_tokens"] == 25
    assert counters["sglang:spec_num_draft_tokens"] == 4
    assert "sglang:token_usage" not in counters
    assert rise({}, counters, 25) is None


def test_what_sglang_accepts_follows_from_its_passes() -> None:
    page = {"sglang:spec_verify_calls": 103.0, "sglang:spec_num_draft_tokens": 4.0}
    assert rise({"sglang:spec_verify_calls": 100.0}, page, 8) == Rise(drafted=9, accepted=4)
    assert rise({"sglang:spec_verify_calls": 103.0}, page, 1) == Rise(drafted=0, accepted=0)


def test_counters_stand_beside_the_protocol() -> None:
    assert metrics_url("http://host:8000/v1") == "http://host:8000/metrics"
    assert metrics_url("http://host/under/v1/") == "http://host/under/metrics"


def test_a_run_on_a_served_model_asks_the_endpoint_that_speculates(
    project: Path, server: FaultServer, other: FaultServer, kedro_run: KedroRun,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setenv("OPENAI_API_KEY", "any-key-0123456789")
    other.plan(extra_chunk=PER_REQUEST)
    model = {
        "engine": "hosted",
        "target": "openai/known",
        "api_base": server.api_base,
        "served_api_base": other.api_base,
    }
    settings = {"benchmarks": ["crm_sim"], "limit": 2, "model": model}
    (project / "conf" / "served").mkdir()
    (project / "conf" / "served" / "parameters.yml").write_text(yaml.safe_dump(settings))
    stages = "--tags=ingest_benchmarks,generate"
    result = kedro_run("--env=served", "--pipeline=speculative", stages)
    assert result.exit_code == 0, result.output
    folder = project / "data" / "07_model_output" / "responses"
    served = pd.read_parquet(folder / "speculative.served.parquet")
    assert list(served["status"]) == ["ok"] * 2
    assert list(served["accepted_tokens"]) == [7] * 2
    for name in ("draft_model", "prompt_lookup", "step"):
        table = pd.read_parquet(folder / f"speculative.{name}.parquet")
        assert table.empty, "what looks inside the model is skipped, not imitated"
