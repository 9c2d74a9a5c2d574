"""A session pays once for a sample, whoever asks for it, and forgets no call."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any, ClassVar

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import REFERENCE, generated, ingested

from ttc_bench.engines import engine_params
from ttc_bench.engines.base import (
    Capability,
    Decoding,
    Engine,
    Plain,
    ReadRequest,
    Request,
    Requirements,
    Sampling,
    key_of,
)
from ttc_bench.engines.hosted import HostedEngine, HostedModels
from ttc_bench.engines.selection import ENGINES, EngineParams
from ttc_bench.engines.wrappers import EngineWrapper
from ttc_bench.errors import CapabilityError, UserError
from ttc_bench.pipelines.generate.nodes import respond
from ttc_bench.policies import (
    GENERATE,
    VARIANTS,
    DecodingVariant,
    Outcome,
    Session,
    Variant,
    refusal,
    variant,
)
from ttc_bench.policies.base import Places
from ttc_bench.policies.control import sessions
from ttc_bench.policies.journal import KEY_VERSION, Journal
from ttc_bench.types import Job, Message


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
    keys = {key_of(request.identity("model", 0)) for request in [plain, *others]}
    assert len(keys) == 1 + len(others)
    assert key_of(plain.identity("model", 0)) == key_of(plain.identity("model", 7)), (
        "greedy has one sample"
    )
    assert key_of(others[2].identity("model", 0)) != key_of(others[2].identity("model", 7))


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
    assert len({key_of(request.identity("model", 0)) for request in requests}) == len(requests)
    assert key_of(Request(job.messages, 8, decoding=first()).identity("model", 0)) == key_of(
        requests[0].identity("model", 0)
    )


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


TURNS = (
    Message(role="system", content="Be brief."),
    Message(role="user", content='Was ist 17 + 25? "é" \U0001f600'),
    Message(role="assistant", content="It is\n"),
)
KEYS = {
    "f24d6646694ec5bfe991bcacc8784c0d7ac1a287eeb39b11b479ad3f3df053f7": Request(
        TURNS[:1], 8, ("x",)
    ),
    "29f6c422159c913edb5ff43a5dec3945bb51424fe7f397dbcbf5177c3dacb52c": Request(
        TURNS[:2], 8, ("x",)
    ),
    "22ccc9842be58b1e5a039d8517a0cf734f424384833515f57d96e5553c291101": Request(TURNS, 8, ("x",)),
    "932d79d57d74065d9de2bf1d15b73a16424f7f4f4f32c444b87ffc2331e9f0a9": Request(
        TURNS, 8, sampling=Sampling(temperature=0.5, seed=3), role="draft", first_index=2
    ),
}


@pytest.mark.parametrize("key", KEYS)
def test_keys_are_those_of_earlier_versions(key: str) -> None:
    """A journal of months is worth money: how a key is made may not change what it is."""
    assert KEY_VERSION == 2, "keys that have changed are written here anew"
    request = KEYS[key]
    identity = request.identity("model", request.first_index)
    assert key_of(identity) == key
    written = json.dumps([vars(message) for message in request.messages]).encode()
    assert identity["messages"] == hashlib.sha256(written).hexdigest()


def test_a_key_of_a_reading_is_that_of_earlier_versions() -> None:
    request = ReadRequest(("a",), "verify", "verifier", TURNS[:2])
    assert key_of(request.identity("model")) == (
        "734294097175155af6b30e66f00cd7026086a7950509ec8d7d23f12337c399e8"
    )


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
    variant = VARIANTS["speculative.draft_model"]()
    assert variant.lacking(alone) == [
        "a draft model (set the parameter model.draft), for the decoding DraftModel"
    ]
    with pytest.raises(
        CapabilityError, match=r"speculative\.draft_model .*local model target.*draft"
    ):
        generated("speculative.draft_model", [job], alone, Journal(), {}, seed=0)


class Loop(Decoding):
    """A decoding that asks for no more than a completion, and has a loop all the same."""

    requires: ClassVar[Requirements] = GENERATE

    def run(self, context: Any) -> None:
        """Decode as always."""
        Plain().run(context)


class Named(Variant):
    """A variant that names the decoding it asks for."""

    policy, name = "test", "named"

    def decodings(self) -> tuple[Decoding, ...]:
        """Return it."""
        return (Loop(),)

    async def answer(self, session: Session) -> Outcome:
        """Ask for it."""
        (completion,) = await session.complete(session.request(decoding=Loop(), max_tokens=2))
        return Outcome(completion.text, completion)


class Unnamed(Named):
    """One that does not."""

    def decodings(self) -> tuple[Decoding, ...]:
        """Return none."""
        return ()


class OwnLoop(Loop, DecodingVariant):
    """A variant that is such a decoding."""

    policy, name = "test", "own"


@pytest.mark.parametrize(("variant", "decoding"), [(Named(), "Loop"), (OwnLoop(), "OwnLoop")])
def test_a_loop_is_refused_before_the_first_call_where_an_engine_runs_none(
    variant: Variant, decoding: str, engine: Engine
) -> None:
    hosted = HostedEngine(HostedModels(target="openai/x", api_base="http://127.0.0.1:9/v1"))
    line = refusal("test.named", [variant], hosted)
    assert line is not None
    for words in ("test.named cannot run on the hosted model openai/x", "decoding_loop"):
        assert words in line
    assert line.endswith(f"no decoding loop but its own), for the decoding {decoding}.")
    assert "\n" not in line
    assert refusal("test.named", [variant], engine) is None


def test_a_decoding_that_a_variant_does_not_name_is_refused(engine: Engine, job: Job) -> None:
    """Else no check before a run could know of it."""
    (session,) = sessions("test.named", Named(), [job], engine, Journal(), 0, [])
    assert asyncio.run(Named().answer(session)).text
    (session,) = sessions("test.unnamed", Unnamed(), [job], engine, Journal(), 0, [])
    with pytest.raises(UserError, match=r"Loop\(.*is not among the variant's"):
        asyncio.run(Unnamed().answer(session))
    assert session.ledger.calls == []


@pytest.mark.parametrize("text", [None, 7, b"x"])
def test_what_is_no_text_is_no_outcome(text: Any, engine: Engine, job: Job) -> None:
    with pytest.raises(TypeError, match="no answer"):
        Outcome(text)
    with pytest.raises(TypeError, match="no texts"):
        Outcome("x", samples=("x", text))
    row = respond("x", Named(), Session(engine, Journal(), job), text)
    assert (row.status, row.text, row.error_type) == ("failed", None, "TypeError")


def test_half_a_contract_is_refused_where_it_is_defined() -> None:
    with pytest.raises(TypeError, match=r"policy variant 'half\.x' has no answer"):

        @variant("half", "x")
        class NoAnswer(Variant): ...

    with pytest.raises(TypeError, match=r"half\.x\.requires has the roles \['draft'\]"):

        @variant("half", "x")
        class NoTarget(Named):
            requires: ClassVar[Requirements] = {"draft": frozenset({Capability.GENERATE})}

    with pytest.raises(TypeError, match=r"'target'\] is \{'generate'\}: no set"):

        class NoSet(Loop):
            requires: ClassVar[Any] = {"target": {"generate"}}

    with pytest.raises(TypeError, match="'half' has no build"):

        @ENGINES.register("half")
        class NoBuild(EngineParams): ...

    class NoName(EngineWrapper):
        name = Engine.name  # type: ignore[assignment]
        concurrency = Engine.concurrency  # type: ignore[assignment]

    with pytest.raises(TypeError, match=r"abstract .*concurrency.* name"):
        NoName(None)  # type: ignore[abstract,arg-type]

    for nothing in (0, -1, True, 1.5, None):
        with pytest.raises(TypeError, match=r"NoPlace\.concurrency is .*: it must be an integer"):
            type("NoPlace", (Engine,), {"concurrency": nothing})
    later = {"name": "late", "concurrency": property(lambda _: 0), "__init__": lambda _: None}
    with pytest.raises(TypeError, match=r"engine late\.concurrency is 0"):
        Places(type("Late", (EngineWrapper,), later)())
    assert "half.x" not in VARIANTS
    assert "half" not in ENGINES


@given(
    st.lists(
        st.builds(Message, role=st.sampled_from(["system", "user", "assistant"]), content=st.text())
        | st.builds(Message, content=st.text(), role=st.just("user")),
        min_size=1,
    )
)
def test_the_digest_of_messages_is_that_of_their_json(messages: list[Message]) -> None:
    identity = Request(tuple(messages), 8).identity("model", 0)
    content = json.dumps([message.model_dump() for message in messages]).encode()
    assert identity["messages"] == hashlib.sha256(content).hexdigest()
    written = json.dumps(identity, sort_keys=True).encode()
    assert key_of(identity) == hashlib.sha256(written).hexdigest()
