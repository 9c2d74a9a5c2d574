"""A session pays once for a sample, whoever asks for it, and forgets no call."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from tests.conftest import REFERENCE, ingested

from ttc_bench.engines import engine_params
from ttc_bench.engines.base import Engine, Plain, ReadRequest, Request, key_of
from ttc_bench.errors import CapabilityError
from ttc_bench.policies import VARIANTS, Session, check_capabilities
from ttc_bench.policies.journal import KEY_VERSION, Journal
from ttc_bench.types import Job


@pytest.fixture(scope="module")
def engine() -> Engine:
    return engine_params(
        {"engine": "local", "target": str(REFERENCE / "target"), "draft": str(REFERENCE / "draft")}
    ).build()


@pytest.fixture(scope="module")
def job() -> Job:
    return ingested("crm_sim", 1)[0]


def test_a_sample_is_drawn_once_and_replayed_with_its_first_timing(
    engine: Engine, job: Job
) -> None:
    journal = Journal()

    async def twice() -> tuple[Session, Session]:
        first, second = Session(engine, journal, job), Session(engine, journal, job)
        request = first.request(n=3, sampling=first.sampling(0.8))
        drawn = await first.complete(request)
        again = await second.complete(request)
        assert [c.text for c in again] == [c.text for c in drawn]
        assert [c.timing for c in again] == [c.timing for c in drawn]
        return first, second

    first, second = asyncio.run(twice())
    alone, replayed = first.ledger.totals(), second.ledger.totals()
    assert alone["spent_calls"] == 3
    assert replayed["spent_calls"] == replayed["spent_tokens"] == 0
    for name in ("calls", "prompt_tokens", "completion_tokens", "flops", "latency_s"):
        assert replayed[name] == alone[name], "the price alone does not depend on the journal"


def test_more_samples_draw_only_the_missing_ones(engine: Engine, job: Job) -> None:
    journal = Journal()

    async def grow() -> dict[str, float | None]:
        few, many = Session(engine, journal, job), Session(engine, journal, job)
        drawn = await few.complete(few.request(n=2, sampling=few.sampling(0.8)))
        more = await many.complete(many.request(n=5, sampling=many.sampling(0.8)))
        assert [c.text for c in more[:2]] == [c.text for c in drawn]
        assert [c.index for c in more] == [0, 1, 2, 3, 4]
        return many.ledger.totals()

    totals = asyncio.run(grow())
    assert totals["calls"] == 5
    assert totals["spent_calls"] == 3


def test_the_prompt_of_side_by_side_samples_is_computed_once(engine: Engine, job: Job) -> None:
    async def draw() -> Session:
        session = Session(engine, Journal(), job)
        await session.complete(session.request(n=4, sampling=session.sampling(0.8)))
        return session

    calls = asyncio.run(draw()).ledger.calls
    assert [call.cached_tokens for call in calls] == [0] + [calls[0].prompt_tokens] * 3


def test_a_journal_on_disk_serves_a_later_process(engine: Engine, job: Job, tmp_path: Path) -> None:
    async def answer(journal: Journal) -> Session:
        session = Session(engine, journal, job)
        await session.complete(session.request())
        return session

    path = tmp_path / "journal.jsonl"
    asyncio.run(answer(Journal(path)))
    assert asyncio.run(answer(Journal(path))).ledger.calls[0].replayed


def test_settings_that_change_answers_change_the_identity_of_a_sample(
    engine: Engine, job: Job
) -> None:
    session = Session(engine, Journal(), job)
    plain = session.request()
    others = [
        session.request(max_tokens=3),
        session.request(stop=("x",)),
        session.request(sampling=session.sampling(0.5)),
        session.request(messages=job.messages[:1]),
        session.request(decoding=VARIANTS["early_exit.fixed_layer"](layers=0.5)),
    ]
    keys = {request.key("model", 0) for request in [plain, *others]}
    assert len(keys) == 1 + len(others)
    assert plain.key("model", 0) == plain.key("model", 7), "greedy has one sample"
    assert others[2].key("model", 0) != others[2].key("model", 7)


def test_decodings_of_one_name_and_equal_settings_do_not_share_a_key(job: Job) -> None:
    """The class's module and place in it are part of a key, and so is its version."""

    def static(module: str, version: int) -> type[Plain]:
        body = {"__module__": module, "__qualname__": "Static", "version": version}
        return type("Static", (Plain,), body)

    first = static("kv_cache", 1)
    requests = [
        Request(job.messages, 8, decoding=decoding())
        for decoding in (first, static("sparse_cache", 1), static("kv_cache", 2))
    ]
    assert len({request.decoding.label for request in requests}) == 1
    assert len({request.key("model", 0) for request in requests}) == len(requests)
    assert Request(job.messages, 8, decoding=first()).key("model", 0) == requests[0].key("model", 0)


def test_a_reading_has_a_key_of_its_own(job: Job) -> None:
    requests = [
        ReadRequest(("a", "b"), "verify", "verifier", job.messages),
        ReadRequest(("a\x00b",), "verify", "verifier", job.messages),
        ReadRequest(("a", "b"), "verify", "verifier"),
        ReadRequest(("a", "b"), "prompt_logprobs", "verifier"),
        ReadRequest(("a", "b"), "verify", "draft", job.messages),
    ]
    keys = {key_of(request.identity("model")) for request in requests}
    assert len(keys) == len(requests)


def test_a_record_says_what_its_key_is_a_digest_of(
    engine: Engine, job: Job, tmp_path: Path
) -> None:
    path = tmp_path / "journal.jsonl"
    session = Session(engine, Journal(path), job)
    asyncio.run(session.complete(session.request(max_tokens=2)))
    asyncio.run(session.prompt_logprobs("a short text"))
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert len(records) == 2
    for record in records:
        assert record["version"] == KEY_VERSION
        assert record["key"] == key_of(record["identity"])
    assert job.messages[-1].content.endswith(records[0]["identity"]["last_message"])
    assert records[0]["identity"]["decoding"]["class"] == "ttc_bench.engines.base.Plain"


def test_a_model_that_cannot_run_a_variant_is_named(job: Job) -> None:
    alone = engine_params({"engine": "local", "target": str(REFERENCE / "target")}).build()
    requires = VARIANTS["speculative.draft_model"].requires
    assert alone.missing_capabilities(requires) == ["a draft model"]
    with pytest.raises(
        CapabilityError, match=r"speculative\.draft_model .*local model target.*draft"
    ):
        check_capabilities(requires, alone, "speculative.draft_model")
