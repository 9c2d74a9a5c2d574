"""Whatever shape a provider gives its answer, what it said and counted is read, once."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.conftest import generated, ingested
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.support import ask, failure, one

from ttc_bench.engines.completion import Completion
from ttc_bench.engines.hosting.answer import Answer
from ttc_bench.engines.hosting.pieces import Pieces
from ttc_bench.engines.hosting.shapes import finish_of
from ttc_bench.metrics.base import ScoreParams
from ttc_bench.pipelines.score.nodes import score_responses
from ttc_bench.policies.journal import Journal

USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}
WORDS = ["one", " two", " three"]


def stream(*events: dict[str, Any], done: bool = True) -> str:
    """Return the body of an event stream."""
    lines = [f"data: {json.dumps(event)}\n\n" for event in events]
    return "".join(lines) + ("data: [DONE]\n\n" if done else "")


def choices(*choice: Any, **more: Any) -> dict[str, Any]:
    return {"choices": list(choice), **more}


def delta(content: Any, **more: Any) -> dict[str, Any]:
    return choices({"index": 0, "delta": {"content": content}, **more})


END = choices({"index": 0, "delta": {}, "finish_reason": "stop"}, usage=USAGE)


def answered(server: FaultServer, body: str, **plan: Any) -> Completion:
    """Return the completion of a body; it must be read at the first try."""
    server.plan(body=body, **plan)
    completion = one(server.engine(), ask("hello"))
    assert len(server.log()) == 1, "what was paid for is not thrown away"
    return completion


def parts(word: str) -> list[dict[str, Any]]:
    return [{"type": "text", "text": word}]


PIECES = {
    "delta": lambda w: {"index": 0, "delta": {"content": w}},
    "message": lambda w: {"index": 0, "message": {"role": "assistant", "content": w}},
    "empty delta beside a message": lambda w: {"delta": {}, "message": {"content": w}},
    "parts": lambda w: {"index": 0, "delta": {"content": parts(w)}},
    "one part": lambda w: {"index": 0, "delta": {"content": parts(w)[0]}},
    "output text": lambda w: {"delta": {"content": [{"type": "output_text", "text": w}]}},
    "refusal": lambda w: {"index": 0, "delta": {"content": None, "refusal": w}},
    "text": lambda w: {"index": 0, "text": w},
    "no index": lambda w: {"delta": {"content": w}},
    "index of a string": lambda w: {"index": "0", "delta": {"content": w}},
    "nothing for logprobs": lambda w: {"index": 0, "delta": {"content": w}, "logprobs": None},
}


@pytest.mark.parametrize("shape", PIECES)
def test_text_is_read_in_every_shape_of_a_choice(server: FaultServer, shape: str) -> None:
    events = [choices(PIECES[shape](word)) for word in WORDS]
    completion = answered(server, stream(*events, END))
    assert completion.text == "one two three"
    assert completion.usage.completion_tokens == 3
    assert completion.finish_reason == "stop"


@pytest.mark.parametrize("noise", [None, 3, "x", [], {}, {"delta": None}, {"delta": []}])
def test_choices_that_are_none_cost_no_answer(server: FaultServer, noise: Any) -> None:
    events = [choices(noise), choices(noise, PIECES["delta"]("yes")), choices(), END]
    assert answered(server, stream(*events)).text == "yes"


def test_of_several_answers_the_first_is_taken_and_said(server: FaultServer) -> None:
    first, second = ("a", "b", "c"), ("x", "y", "z")
    events = [
        choices({"index": i, "delta": {"content": word}})
        for words in zip(second, first, strict=True)
        for i, word in ((1, words[0]), (0, words[1]))
    ]
    ends = [choices({"index": i, "delta": {}, "finish_reason": "stop"}) for i in (1, 0)]
    completion = answered(server, stream(*events, *ends, choices(usage=USAGE)))
    assert completion.text == "abc"
    assert completion.extra["choices"] == "2 came, the first one was taken"


def test_a_last_event_that_repeats_the_answer_adds_nothing(server: FaultServer) -> None:
    whole = choices({"index": 0, "message": {"content": "one two three"}, "finish_reason": "stop"})
    events = [delta(word) for word in WORDS]
    assert answered(server, stream(*events, {**whole, "usage": USAGE})).text == "one two three"


GROWING = {
    "words": (["one", "one two", "one two three"], "one two three"),
    "a repeated end": (["one", "one two", "one two three", "one two three"], "one two three"),
    "two pieces": (["Paris", "Paris."], "Paris."),
    "one piece, repeated": (["Paris", "Paris"], "Paris"),
    "letters": (["A", "An", "Ans", "Answ", "Answer", "Answer:", "Answer: 42"], "Answer: 42"),
    "a tail that is taken back": (["on", "one", "one \ufffd", "one \u20ac"], "one \u20ac"),
    "an older state": (["on", "one", "one two", "one", "one two"], "one two"),
}  # fmt: skip


@pytest.mark.parametrize("field", ["delta", "message", "text"])
@pytest.mark.parametrize("shape", GROWING)
def test_a_text_that_every_event_repeats_is_there_once(shape: str, field: str) -> None:
    pieces, whole = GROWING[shape]
    answer = Answer(most_tokens=99)
    for place, piece in enumerate(pieces):
        body = piece if field == "text" else {"content": piece}
        answer.take(choices({"index": 0, field: body}), 1.0 + place)
    assert answer.choice.text.settle(None)
    assert "".join(answer.choice.text) == whole


def test_an_answer_that_every_event_repeats_is_neither_doubled_nor_cut_off(
    server: FaultServer,
) -> None:
    words = [f"word{number} " for number in range(60)]
    events = [delta("".join(words[: n + 1])) for n in range(60)]
    completion = answered(server, stream(*events, END))
    assert completion.text == "".join(words)
    assert "past_max_tokens" not in completion.extra
    hidden = [choices({"delta": {"reasoning": so}}) for so in ("so", "so it", "so it is")]
    completion = answered(server, stream(*hidden, *events[:3], END))
    assert completion.extra["reasoning"] == "so it is"
    assert completion.text == "word0 word1 word2 "


@pytest.mark.parametrize(
    ("pieces", "text"),
    [
        (["1", "1"], "11"),
        (["ha", "ha", "ha"], "hahaha"),
        (["a", "ab", " c", "d"], "aab cd"),
        (["1", "10", "100", ", 5"], "110100, 5"),
        (["the", " the", " the"], "the the the"),
    ],
)
def test_pieces_that_are_alike_by_chance_are_all_kept(
    server: FaultServer, pieces: list[str], text: str
) -> None:
    assert answered(server, stream(*map(delta, pieces), END)).text == text


def test_what_may_be_all_or_parts_goes_by_other_answers_or_fails(server: FaultServer) -> None:
    unclear = [delta("4"), delta("42"), END]
    server.plan(body=stream(*unclear))
    error = failure(server.engine(attempts=3), ask("hello"))
    assert "not clear" in str(error)
    assert len(server.log()) == 1
    for others, text in ((["one", " two"], "442"), (["one", "one two", "one two!"], "42")):
        engine = server.engine()
        for events in (map(delta, others), unclear[:2]):
            server.plan(body=stream(*events, END))
            completion = one(engine, ask("hello"))
        assert completion.text == text


@given(st.lists(st.sampled_from(["a", "ab", " b", "c", "abc", "ca", "."]), min_size=1, max_size=9))
def test_parts_that_do_not_begin_with_those_before_are_only_joined(parts: list[str]) -> None:
    pieces, growing = Pieces(), Pieces()
    new = "".join(map(pieces.take, parts))
    if any(not b.startswith(a) for a, b in itertools.pairwise(parts)) and pieces.grows is False:
        assert pieces.settle(None)
        assert "".join(pieces) == new == "".join(parts)
    whole = ["".join(parts[: n + 1]) for n in range(len(parts))]
    for one_ in whole:
        growing.take(one_)
    if growing.settle(True):
        assert "".join(growing) == whole[-1]


def test_choices_may_be_one_alone_or_by_number(server: FaultServer) -> None:
    alone = [{"choices": {"index": 0, "delta": {"content": word}}} for word in WORDS]
    end = {"choices": {"index": 0, "delta": {}, "finish_reason": "stop"}, "usage": USAGE}
    numbered = [{"choices": {"0": {"delta": {"content": word}}}} for word in WORDS]
    for events in ([*alone, end], [*numbered, {"choices": {"0": end["choices"]}, "usage": USAGE}]):
        completion = answered(server, stream(*events))
        assert (completion.text, completion.usage.completion_tokens) == ("one two three", 3)
    whole = {"choices": {"message": {"content": "one"}, "finish_reason": "stop"}, "usage": USAGE}
    assert answered(server, json.dumps(whole), content_type="application/json").text == "one"


HIDDEN = {
    "reasoning_content": {"reasoning_content": "so"},
    "reasoning": {"reasoning": "so"},
    "a list": {"reasoning": [{"type": "text", "text": "so"}]},
    "openrouter": {"reasoning_details": [{"type": "reasoning.text", "text": "so"}]},
    "openrouter, twice": {"reasoning": "so", "reasoning_details": [{"text": "so"}]},
    "mistral": {"content": [{"type": "thinking", "thinking": [{"type": "text", "text": "so"}]}]},
    "anthropic": {"content": [{"type": "thinking", "thinking": "so"}]},
    "gemini": {"content": [{"thought": True, "text": "so"}]},
}


@pytest.mark.parametrize("shape", HIDDEN)
def test_hidden_reasoning_is_kept_counted_and_apart(server: FaultServer, shape: str) -> None:
    usage = {**USAGE, "completion_tokens_details": {"reasoning_tokens": 2}}
    thought = choices({"index": 0, "delta": HIDDEN[shape]})
    events = [thought, delta("Answer: 42"), {**END, "usage": usage}]
    completion = answered(server, stream(*events))
    assert completion.text == "Answer: 42"
    assert completion.extra["reasoning"] == "so"
    assert completion.usage.reasoning_tokens == 2
    assert completion.answer_tokens == 1


def test_the_first_token_is_the_answers_and_not_a_hidden_one() -> None:
    answer = Answer(most_tokens=9, sent_s=100.0)
    answer.take(choices({"delta": {"reasoning_content": "so"}}), 100.1)
    answer.take(choices({"delta": {"reasoning_content": " so"}}), 100.5)
    answer.take(delta("42"), 100.8)
    answer.take(delta("!"), 101.0)
    timing = answer.timing(0.0, 100.0)
    assert timing.ttft_s == pytest.approx(0.8)
    assert timing.reasoning_s == pytest.approx(0.7)
    assert timing.latency_s == pytest.approx(1.0)
    assert timing.itl_s == pytest.approx((0.2,))


@pytest.mark.parametrize(
    ("word", "finish"),
    [
        ("stop", "stop"),
        ("STOP", "stop"),
        ("eos_token", "stop"),
        ("FinishReason.STOP", "stop"),
        ("end_turn", "stop"),
        ("model_length", "length"),
        ("MAX_TOKENS", "length"),
    ],
)
def test_the_words_for_an_end(server: FaultServer, word: str, finish: str) -> None:
    end = choices({"index": 0, "delta": {}, "finish_reason": word}, usage=USAGE)
    completion = answered(server, stream(*map(delta, WORDS), end))
    assert (completion.text, completion.finish_reason) == ("one two three", finish)


def test_an_unknown_end_keeps_the_answer_and_is_said(server: FaultServer) -> None:
    end = choices({"index": 0, "delta": {}, "finish_reason": "because"}, usage=USAGE)
    completion = answered(server, stream(*map(delta, WORDS), end))
    assert completion.text == "one two three"
    assert completion.extra["finish"] == "unknown reason 'because'"
    assert finish_of("because") is None


@pytest.mark.parametrize("word", ["SAFETY", "content_filter", "error"])
def test_an_end_that_is_a_failure_is_no_answer(server: FaultServer, word: str) -> None:
    end = choices({"index": 0, "delta": {}, "finish_reason": word}, usage=USAGE)
    server.plan(body=stream(*map(delta, WORDS), end))
    error = failure(server.engine(attempts=1), ask("hello"))
    assert error.error_type in ("content_policy", "broken_stream")
    assert error.broken[0].usage.completion_tokens == 3


WHOLE = {
    "choices": [{"message": {"content": "one two three"}, "finish_reason": "stop"}],
    "usage": USAGE,
}


@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        (json.dumps(WHOLE), "application/json"),
        (json.dumps(WHOLE, indent=1), "text/plain"),
        (json.dumps(WHOLE), "text/event-stream"),
        ("\ufeff" + json.dumps(WHOLE), "application/json"),
        (stream(*map(delta, WORDS), END), "text/plain"),
        (stream(*map(delta, WORDS), END), "application/octet-stream"),
        (stream(*map(delta, WORDS), END), "application/json"),
        (": ping\n\n" + stream(*map(delta, WORDS), END), "application/x-ndjson"),
        ("\n".join(json.dumps(e) for e in (*map(delta, WORDS), END)), "application/x-ndjson"),
        (stream(*map(delta, WORDS), END).replace("data: [DONE]\n\n", ""), "text/event-stream"),
        (stream(*map(delta, WORDS), END, done=False).rstrip("\n"), "text/event-stream"),
    ],
)
def test_what_comes_decides_and_not_its_name(
    server: FaultServer, body: str, content_type: str
) -> None:
    completion = answered(server, body, content_type=content_type)
    assert (completion.text, completion.usage.completion_tokens) == ("one two three", 3)
    assert not completion.usage.is_estimated


def test_a_page_is_no_answer(server: FaultServer) -> None:
    server.plan(body="<html>welcome</html>", content_type="text/html")
    error = failure(server.engine(attempts=1), ask("hello"))
    assert "no event stream but text/html" in str(error)


def test_an_answer_that_is_whole_needs_no_end_marker(server: FaultServer) -> None:
    completion = answered(server, stream(*map(delta, WORDS), END, done=False), hold_s=20.0)
    assert completion.text == "one two three"
    assert completion.timing.latency_s < 0.5, "the wait for the marker is none of the answer's"


@pytest.mark.parametrize("counted", [True, False])
def test_an_empty_answer_that_ended_is_one(server: FaultServer, counted: bool) -> None:
    end = END if counted else choices({"index": 0, "delta": {}, "finish_reason": "stop"})
    server.plan(body=stream(delta(""), end))
    assert one(server.engine(), ask("hello", stop=("END",))).text == ""


USAGES: dict[str, tuple[dict[str, Any], tuple[int, int, int, int | None]]] = {
    "openai": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 50,
            "total_tokens": 150,
            "prompt_tokens_details": {"cached_tokens": 40},
            "completion_tokens_details": {"reasoning_tokens": 30},
        },
        (100, 40, 50, 30),
    ),
    "xai": (
        {
            "prompt_tokens": 100,
            "completion_tokens": 2,
            "total_tokens": 419,
            "completion_tokens_details": {"reasoning_tokens": 317},
        },
        (100, 0, 319, 317),
    ),
    "deepseek": (
        {"prompt_tokens": 100, "completion_tokens": 5, "prompt_cache_hit_tokens": 64},
        (100, 64, 5, None),
    ),
    "moonshot": (
        {"prompt_tokens": 100, "completion_tokens": 5, "cached_tokens": 64},
        (100, 64, 5, None),
    ),
    "anthropic": (
        {"input_tokens": 36, "output_tokens": 5, "cache_read_input_tokens": 64},
        (100, 64, 5, None),
    ),
    "responses": (
        {
            "input_tokens": 100,
            "output_tokens": 50,
            "total_tokens": 150,
            "input_tokens_details": {"cached_tokens": 64},
            "output_tokens_details": {"reasoning_tokens": 7},
        },
        (100, 64, 50, 7),
    ),
    "gemini": (
        {
            "promptTokenCount": 100,
            "candidatesTokenCount": 5,
            "thoughtsTokenCount": 20,
            "totalTokenCount": 125,
            "cachedContentTokenCount": 64,
        },
        (100, 64, 25, 20),
    ),
    "strings": ({"prompt_tokens": "100", "completion_tokens": 5.0}, (100, 0, 5, None)),
}
PLACES = {
    "usage": lambda usage: choices(usage=usage),
    "a list": lambda usage: choices(usage=[usage]),
    "a choice": lambda usage: choices({"index": 0, "delta": {}, "usage": usage}),
    "a vendor's field": lambda usage: choices(x_any={"usage": usage}),
    "gemini's": lambda usage: {"usageMetadata": usage},
}


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("words", USAGES)
def test_usage_is_read_in_every_providers_words(place: str, words: str) -> None:
    usage, expected = USAGES[words]
    answer = Answer(most_tokens=1000)
    answer.take(delta("yes", finish_reason="stop"), 1.0)
    answer.take(PLACES[place](usage), 1.1)
    answer.take(choices(usage={"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}), 1.2)
    answer.take(choices(usage={}), 1.2)
    counts = answer.counts()
    assert counts is not None
    read = (counts.prompt_tokens, counts.cached_tokens, counts.completion_tokens)
    assert (*read, counts.reasoning_tokens) == expected


def test_timings_of_llama_cpp_are_counts_and_times(server: FaultServer) -> None:
    timings = {
        "cache_n": 30,
        "prompt_n": 70,
        "prompt_ms": 250.0,
        "predicted_n": 3,
        "predicted_ms": 750.0,
        "draft_n": 8,
        "draft_n_accepted": 6,
    }
    end = choices({"index": 0, "delta": {}, "finish_reason": "stop"}, timings=timings)
    completion = answered(server, stream(*map(delta, WORDS), end))
    usage = completion.usage
    assert (usage.prompt_tokens, usage.cached_tokens, usage.completion_tokens) == (100, 30, 3)
    assert (usage.draft_tokens, usage.accepted_tokens) == (8, 6)
    assert completion.timing.provider_s == pytest.approx(1.0)


def listed(*values: Any, field: str = "logprob") -> dict[str, Any]:
    return {"content": [{"token": "t", field: value} for value in values]}


def test_logprobs_count_whether_or_not_their_event_carries_text(server: FaultServer) -> None:
    events = [
        choices({"delta": {"role": "assistant", "content": ""}, "logprobs": listed(-0.5)}),
        delta("one", logprobs=listed(-0.25)),
        choices({"delta": {}, "logprobs": listed(-1.5), "finish_reason": "stop"}, usage=USAGE),
    ]
    server.plan(body=stream(*events))
    completion = one(server.engine(logprobs=True), ask("hello"))
    assert completion.logprobs == (-0.5, -0.25, -1.5)
    assert "logprobs_of" not in completion.extra


def test_logprobs_that_are_fewer_than_the_tokens_are_said(server: FaultServer) -> None:
    server.plan(body=stream(delta("one", logprobs=listed(-0.25)), END))
    completion = one(server.engine(logprobs=True), ask("hello"))
    assert completion.extra["logprobs_of"] == "1 of 3 tokens billed"


@pytest.mark.parametrize("value", [None, "x", True, float("nan"), [], {}])
def test_a_logprob_without_a_value_makes_them_unknown(server: FaultServer, value: Any) -> None:
    events = [delta("one", logprobs=listed(-0.25)), delta(" two", logprobs=listed(value)), END]
    server.plan(body=stream(*events))
    completion = one(server.engine(logprobs=True), ask("hello"))
    assert completion.logprobs is None
    assert "without a value" in completion.extra["logprobs"]


@pytest.mark.parametrize(
    "events",
    [
        [delta("a \ud83d"), delta("\ude00 b"), END],
        [delta("lone \udce9 half"), END],
        [delta("x"), {**END, "usage": {"prompt_tokens": 2**70, "completion_tokens": 2**70}}],
        [delta("x"), {**END, "system_fingerprint": "\ud800"}],
        [delta("x"), {**END, "metrics": {"a": 2**80, "b": float("inf"), "c": "\udfff"}}],
        [delta("x\x00y"), END],
    ],
)
def test_what_nothing_can_store_is_replaced_and_the_row_is_kept(
    server: FaultServer, events: list[dict[str, Any]], tmp_path: Any
) -> None:
    completion = answered(server, stream(*events))
    completion.text.encode()
    journal = Journal(tmp_path / "journal.jsonl")
    journal.put("key", completion.to_json(), {})
    journal.close()
    record = Journal(tmp_path / "journal.jsonl").get("key")
    assert record is not None
    assert Completion.from_json(record) == completion
    assert completion.usage.completion_tokens < 2**63


def test_halves_of_a_character_in_two_events_are_one_character(server: FaultServer) -> None:
    assert answered(server, stream(delta("a \ud83d"), delta("\ude00 b"), END)).text == "a 😀 b"
    lone = answered(server, stream(delta("a \ud83d b"), END))
    assert lone.text == "a \ufffd b"
    assert "sanitised" in lone.extra


WORDS_OF_EVENTS = [
    "choices",
    "delta",
    "message",
    "content",
    "logprobs",
    "logprob",
    "usage",
    "index",
    "finish_reason",
    "prompt_tokens",
    "completion_tokens_details",
    "x_groq",
    "metrics",
    "timings",
    "reasoning",
    "token_logprobs",
    "usageMetadata",
    "stop_reason",
    "text",
]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(WORDS_OF_EVENTS), inner, max_size=5)
    ),
    max_leaves=25,
)


@given(st.lists(st.dictionaries(st.sampled_from(["choices", "usage", "x", "timings"]), JSON)))
def test_no_event_breaks_the_reader(events: list[dict[str, Any]]) -> None:
    answer = Answer(most_tokens=5)
    for event in events:
        answer.take(event, 1.0)
    counts = answer.counts()
    assert counts is None or 0 <= (counts.reasoning_tokens or 0) <= counts.completion_tokens
    assert all(isinstance(piece, str) for piece in answer.choice.text)
    answer.timing(0.0, 0.0)


PROMPT = " ".join(f"word{number}" for number in range(1000))


@pytest.mark.parametrize(
    ("read", "is_told"), [(100, True), (1000, True), (2500, False), (4000, False)]
)
def test_a_prompt_of_which_the_server_read_a_part_is_told(
    server: FaultServer, caplog: pytest.LogCaptureFixture, read: int, is_told: bool
) -> None:
    """An Ollama whose context is short cuts the prompt, answers, and says nothing."""
    usage = {"prompt_tokens": read, "completion_tokens": 8, "total_tokens": read + 8}
    server.plan(extra_chunk={"usage": usage})
    engine = server.engine()
    cut = [one(engine, ask(f"{PROMPT} {number}")).extra.get("prompt_cut") for number in range(2)]
    warnings = [line for line in caplog.messages if "prompt tokens" in line]
    assert len(warnings) == is_told, "once, not at every call"
    assert all((f"read {read} of about" in (text or "")) == is_told for text in cut), cut


LONG = {"prompt_tokens": 90, "completion_tokens": 3, "total_tokens": 93}
ENDED = {**END, "usage": LONG}


@pytest.mark.parametrize(
    ("events", "fact"),
    [
        ([delta("lone \udce9 half"), ENDED], "sanitised"),
        ([delta("yes"), {**ENDED, "usage": None}], "usage"),
        ([delta("yes"), choices({"delta": {}, "finish_reason": "because"}, usage=LONG)], "finish"),
        ([delta("yes", logprobs=listed(-0.5)), ENDED], "logprobs_of"),
        ([delta("yes"), {**ENDED, "usage": {**LONG, "completion_tokens": 999}}], "past_max_tokens"),
        ([delta("yes"), {**ENDED, "usage": {**LONG, "prompt_tokens": 9}}], "prompt_cut"),
    ],
)
def test_what_was_odd_about_an_answer_stands_in_its_row_and_its_score(
    server: FaultServer, events: list[dict[str, Any]], fact: str
) -> None:
    jobs = ingested("crm_sim", 1)
    server.plan(body=stream(*events))
    frame = generated("baseline.greedy", jobs, server.engine(), Journal(), {}, seed=0)
    assert [note.partition(":")[0] for note in frame["notes"][0]] == [fact]
    assert fact in json.loads(score_responses(frame, jobs, ScoreParams())["notes"][0])[0]
    is_counted = fact != "usage"
    assert frame["completion_tokens"].notna()[0] == is_counted, "an estimate is no count"


def lines(*events: Any, before: str = "data: ", after: str = "\n\n") -> str:
    return "".join(f"{before}{json.dumps(event)}{after}" for event in events)


SAID = [*map(delta, WORDS), END]
STREAMS = {
    "named events": lines(*SAID, before="event: message\ndata: ") + "event: done\ndata: [DONE]\n\n",
    "no blank behind the colon": lines(*SAID, before="data:") + "data:[DONE]\n\n",
    "a blank behind the end": lines(*SAID) + "data: [DONE] \n\n",
    "carriage returns": lines(*SAID, after="\r\n\r\n") + "data: [DONE]\r\n\r\n",
    "events of several lines": "".join(
        "".join(f"data: {line}\n" for line in json.dumps(event, indent=1).splitlines()) + "\n"
        for event in SAID
    ),
    "events of no data": "data:\n\n" + lines(*SAID) + "data:\n\n",
    "events of null": "data: null\n\n" + lines(*SAID),
    "no blank lines": lines(*SAID, after="\n") + "data: [DONE]\n\n",
    "no blank line, no end": lines(*SAID, after="\n"),
    "an array": json.dumps(SAID),
    "retry and id": "retry: 3000\nid: 1\n" + lines(*SAID, before="id: 7\ndata: "),
    "the marker of a byte order": "\ufeff" + lines(*SAID),
}


@pytest.mark.parametrize("shape", STREAMS)
def test_a_stream_is_read_however_its_lines_are_set(server: FaultServer, shape: str) -> None:
    completion = answered(server, STREAMS[shape])
    assert (completion.text, completion.usage.completion_tokens) == ("one two three", 3)


ENDS: dict[str, dict[str, Any]] = {
    "camel case": {"finishReason": "STOP", "finish_reason": "stop"},
    "an object": {"finish_reason": {"type": "stop"}},
    "a number": {"finish_reason": 1},
    "with the last text": {"finish_reason": "stop"},
}


@pytest.mark.parametrize("shape", ENDS)
def test_an_end_of_any_shape_keeps_the_answer(server: FaultServer, shape: str) -> None:
    *first, last = WORDS
    end = choices({"index": 0, "delta": {"content": last}, **ENDS[shape]})
    completion = answered(server, stream(*map(delta, first), end, choices(usage=USAGE)))
    assert (completion.text, completion.finish_reason) == ("one two three", "stop")


COUNTS: dict[str, tuple[dict[str, Any], int | None]] = {
    "texts of decimals": ({"prompt_tokens": "9.0", "completion_tokens": "3"}, 3),
    "a sum alone": ({"prompt_tokens": 9, "total_tokens": 12}, 3),
    "cohere": (
        {"billed_units": {"input_tokens": 7}, "tokens": {"input_tokens": 9, "output_tokens": 3}},
        3,
    ),
    "watsonx": ({"input_token_count": 9, "generated_token_count": 3}, 3),
    "details of another shape": ({**USAGE, "prompt_tokens_details": [{"cached_tokens": 4}]}, 3),
    "reasoning outside": ({**USAGE, "reasoning_tokens": 2, "total_tokens": 14}, 5),
    "nulls": ({**USAGE, "completion_tokens_details": {"reasoning_tokens": None}}, 3),
    "a negative": ({"prompt_tokens": -1, "completion_tokens": 3}, None),
    "none for an answer": ({"prompt_tokens": 9, "completion_tokens": 0}, None),
    "a fraction": ({"prompt_tokens": 9, "completion_tokens": 2.5}, None),
    "a sum below its part": ({"prompt_tokens": 9, "total_tokens": 8}, None),
}


@pytest.mark.parametrize("shape", COUNTS)
def test_counts_that_can_be_true_are_counts_and_others_are_none(shape: str) -> None:
    usage, expected = COUNTS[shape]
    answer = Answer(most_tokens=1000)
    answer.take(delta("yes", finish_reason="stop"), 1.0)
    answer.take(choices(usage=usage), 1.1)
    counts = answer.counts()
    assert (counts.completion_tokens if counts else None) == expected
    assert counts is None or counts.prompt_tokens == 9


@pytest.mark.parametrize(
    "hidden",
    [
        {"thought": "so"},
        {"thinking_content": "so"},
        {"thinking_blocks": [{"type": "thinking", "thinking": "so"}]},
        {"provider_specific_fields": {"reasoning_content": "so"}},
        {"reasoning": {"content": "so"}},
        {"content": "", "reasoning_content": "so"},
    ],
)
def test_hidden_reasoning_is_told_from_the_answer_in_further_fields(
    server: FaultServer, hidden: dict[str, Any]
) -> None:
    completion = answered(server, stream(choices({"delta": hidden}), *SAID))
    assert (completion.text, completion.extra["reasoning"]) == ("one two three", "so")


FAULTS: dict[str, tuple[list[dict[str, Any]], str]] = {
    "an error by type": ([delta("one"), {"type": "error", "message": "boom"}], "boom"),
    "an error by object": ([{"object": "error", "message": "boom", "code": 500}], "boom"),
    "a detail": ([{"detail": "boom"}], "boom"),
    "an error of a choice": (
        [choices({"error": {"message": "x"}, "finish_reason": "error"})],
        "error",
    ),
    "a text for an error": ([delta("one"), {"error": "boom"}], "boom"),
    "a tool in place of an answer": (
        [choices({"delta": {"tool_calls": [{}]}, "finish_reason": "tool_calls"}, usage=USAGE)],
        "calls a tool",
    ),
    "anthropic's protocol": (
        [{"type": "content_block_delta", "delta": {"type": "text_delta", "text": "one"}}],
        "does not speak OpenAI's protocol",
    ),
    "gemini's protocol": ([{"candidates": [{"content": {}}]}], "does not speak OpenAI's protocol"),
    "ollama's protocol": ([{"message": {"content": "one"}}], "does not speak OpenAI's protocol"),
    "the protocol of responses": (
        [{"type": "response.output_text.delta", "delta": "one"}],
        "does not speak OpenAI's protocol",
    ),
}


@pytest.mark.parametrize("shape", FAULTS)
def test_what_is_no_answer_fails_with_what_it_says(server: FaultServer, shape: str) -> None:
    events, words = FAULTS[shape]
    server.plan(body=stream(*events))
    error = failure(server.engine(attempts=2), ask("hello"))
    assert words in str(error)
    if "protocol" in words or "tool" in words:
        assert len(server.log()) == 1, "asking again would only be paid again"


@pytest.mark.parametrize(
    ("pieces", "ttft_s", "reasoning_s"),
    [
        (["<think>", "so it", " is", "</think>", "\n\n", "42", "!"], 0.6, 0.5),
        (["so it is", "</think>", "42", "!"], 0.3, 0.2),
        (["<th", "ink>so</thi", "nk>4", "2"], 0.3, 0.2),
        (["<think>", "never", " ending"], None, 0.2),
        (["4", "2"], 0.1, 0.0),
    ],
)
def test_reasoning_that_a_server_sends_as_text_has_its_own_time(
    pieces: list[str], ttft_s: float | None, reasoning_s: float
) -> None:
    answer = Answer(most_tokens=99, sent_s=100.0)
    for place, piece in enumerate(pieces, start=1):
        answer.take(delta(piece), 100.0 + 0.1 * place)
    timing = answer.timing(0.0, 100.0)
    assert timing.ttft_s == (None if ttft_s is None else pytest.approx(ttft_s))
    assert timing.reasoning_s == pytest.approx(reasoning_s)
    assert timing.latency_s == pytest.approx(0.1 * len(pieces))
    shown = 0 if ttft_s is None else len(pieces) - round(10 * ttft_s) + 1
    assert len(timing.itl_s) == max(shown - 1, 0)


def test_a_row_whose_reasoning_came_as_text_tells_its_times_and_no_count(
    server: FaultServer,
) -> None:
    jobs = ingested("crm_sim", 1)
    events = [delta("<think>so</think>"), delta("42"), delta("!"), ENDED]
    server.plan(body=stream(*events))
    frame = generated("baseline.greedy", jobs, server.engine(), Journal(), {}, seed=0)
    (row,) = frame.to_dict("records")
    assert (row["text"], row["reasoning"]) == ("42!", "so")
    assert row["completion_tokens"] == 3, "what was billed, reasoning included"
    assert pd.isna(row["answer_tokens"]), "the server did not count them apart"
