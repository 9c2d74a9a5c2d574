"""What is exported is what was billed, by the names of the conventions, and no text of anybody."""

from __future__ import annotations

import gzip
import json
import logging
import socket
import threading
import time
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
)
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.semconv._incubating.attributes import gen_ai_attributes
from opentelemetry.semconv._incubating.metrics import gen_ai_metrics

from ttc_bench.engines.base import Engine, ReadRequest
from ttc_bench.engines.ledger import Call
from ttc_bench.errors import UserError
from ttc_bench.pipelines.generate.nodes import generate
from ttc_bench.pipelines.generate.params import TimingParams
from ttc_bench.policies import VARIANTS, telemetry
from ttc_bench.policies.events import Events
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.telemetry import TelemetryParams
from ttc_bench.types import DataFrame, Job, Message

REQUESTS = {
    "/v1/traces": ExportTraceServiceRequest,
    "/v1/metrics": ExportMetricsServiceRequest,
}


@pytest.fixture
def collector(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[Any]]:
    """A receiver of OTLP over HTTP, and what it was sent."""
    received: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["content-length"]))
            if self.headers.get("content-encoding") == "gzip":
                body = gzip.decompress(body)
            received.append(REQUESTS[self.path].FromString(body))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(telemetry.ENDPOINT, f"http://127.0.0.1:{server.server_port}")
    yield received
    server.shutdown()


def ran(engine: Engine, jobs: list[Job], journal: Journal, params: TelemetryParams) -> DataFrame:
    """Answer some jobs while the telemetry listens."""
    events, listening = Events(), params.build(engine.name)
    assert listening is not None
    events.watch(listening)
    points = [("greedy", VARIANTS["baseline.greedy"]())]
    try:
        return generate(points, jobs, engine, journal, 0, TimingParams(jobs=0), events)
    finally:
        listening.close()


def spans_of(received: list[Any]) -> list[Any]:
    requests = [each for each in received if isinstance(each, ExportTraceServiceRequest)]
    return [
        span
        for request in requests
        for resource in request.resource_spans
        for scope in resource.scope_spans
        for span in scope.spans
    ]


@pytest.mark.parametrize("wish", [None, "false", "NO_CONTENT"])
def test_every_call_is_a_span_with_its_tokens_and_no_text(
    wish: str | None,
    collector: list[Any],
    engine: Engine,
    jobs: list[Job],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv(telemetry.CAPTURE, raising=False)
    if wish is not None:
        monkeypatch.setenv(telemetry.CAPTURE, wish)
    journal = Journal()
    frame = ran(engine, jobs[:3], journal, TelemetryParams())
    spans = spans_of(collector)
    assert len(spans) == 3
    for span, (_, row) in zip(spans, frame.iterrows(), strict=True):
        told = told_of(span)
        assert told[telemetry.INPUT_TOKENS] == row["prompt_tokens"]
        assert told[telemetry.OUTPUT_TOKENS] == row["completion_tokens"]
        assert told[telemetry.VARIANT] == "baseline.greedy"
        took_s = (span.end_time_unix_nano - span.start_time_unix_nano) / 1e9
        assert took_s == pytest.approx(row["latency_s"], abs=1e-3)
    sent = b"".join(each.SerializeToString() for each in collector)
    said = [*frame["text"], *(job.messages[-1].content for job in jobs[:3])]
    assert not any(str(text).encode() in sent for text in said if len(str(text)) > 8)
    assert b"messages" not in sent
    collector.clear()
    ran(engine, jobs[:3], journal, TelemetryParams())
    assert not spans_of(collector), "replayed calls were made by an earlier run"


def told_of(span: Any) -> dict[str, Any]:
    return {a.key: a.value.string_value or a.value.int_value for a in span.attributes}


def test_what_was_said_is_exported_where_asked_for_and_no_key_with_it(
    collector: list[Any], engine: Engine, jobs: list[Job], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = jobs[0].messages[-1].content
    key = next(word for word in asked.split() if len(word) >= 8)
    monkeypatch.setenv("SOME_API_KEY", key)
    monkeypatch.setenv(telemetry.CAPTURE, "span_only")
    frame = ran(engine, jobs[:1], Journal(), TelemetryParams())
    (span,) = spans_of(collector)
    told = told_of(span)
    messages = json.loads(told[telemetry.INPUT_MESSAGES])
    assert [one["role"] for one in messages] == [one.role for one in jobs[0].messages]
    assert messages[-1]["parts"] == [
        {"type": "text", "content": asked.replace(key, "[key hidden]")}
    ]
    (answer,) = json.loads(told[telemetry.OUTPUT_MESSAGES])
    assert answer["parts"][0]["content"] == frame["text"][0].replace(key, "[key hidden]")
    assert answer["finish_reason"] == frame["finish_reason"][0]
    assert key.encode() not in span.SerializeToString()


def test_what_a_verifier_reads_and_what_is_no_text_can_be_sent(
    collector: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(telemetry.CAPTURE, "TRUE")
    listening = TelemetryParams().build("local")
    assert listening is not None
    question = (Message(role="user", content="six times seven? \ud800"),)
    call = Call(request=0, role="verifier", purpose="verify", model="v")
    events = Events()
    events.watch(listening)
    events.call("a.b", call, ReadRequest(("42",), "verify", "verifier", question))
    events.call("a.b", call)
    listening.close()
    read, by_worker = map(told_of, spans_of(collector))
    texts = [one["parts"][0]["content"] for one in json.loads(read[telemetry.INPUT_MESSAGES])]
    assert texts == ["six times seven? \ufffd", "42"]
    assert telemetry.OUTPUT_MESSAGES not in read
    assert not {telemetry.INPUT_MESSAGES, telemetry.OUTPUT_MESSAGES} & set(by_worker)


@pytest.mark.parametrize("value", ["yes", "event_only", "1"])
def test_a_wish_for_content_that_cannot_be_followed_is_told(
    monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.setenv(telemetry.ENDPOINT, "http://127.0.0.1:4318")
    monkeypatch.setenv(telemetry.CAPTURE, value)
    with pytest.raises(UserError, match=rf"{telemetry.CAPTURE}: '{value}' is not followed"):
        TelemetryParams().build("local")


def test_prometheus_reads_what_was_billed(engine: Engine, jobs: list[Job]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    events, listening = Events(), TelemetryParams(prometheus_port=port).build(engine.name)
    assert listening is not None
    events.watch(listening)
    points = [("greedy", VARIANTS["baseline.greedy"]())]
    frame = generate(points, jobs[:3], engine, Journal(), 0, TimingParams(jobs=0), events)
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics") as response:
        lines = response.read().decode().splitlines()
    sums = {
        side: float(line.split()[-1])
        for line in lines
        for side in ("input", "output")
        if line.startswith("gen_ai_client_token_usage_sum") and f'"{side}"' in line
    }
    assert sums == {
        "input": frame["prompt_tokens"].sum(), "output": frame["completion_tokens"].sum()
    }  # fmt: skip
    with pytest.raises(UserError, match=rf"port {port} cannot be opened"):
        TelemetryParams(prometheus_port=port).build(engine.name)
    listening.close()


def test_names_are_those_of_the_conventions() -> None:
    own = {
        getattr(telemetry, name)
        for name in ("OPERATION", "PROVIDER", "MODEL", "INPUT_TOKENS", "OUTPUT_TOKENS",
                     "TOKEN_TYPE", "INPUT_MESSAGES", "OUTPUT_MESSAGES")
    }  # fmt: skip
    assert own <= {value for value in vars(gen_ai_attributes).values() if isinstance(value, str)}
    metrics = {value for value in vars(gen_ai_metrics).values() if isinstance(value, str)}
    assert {telemetry.TOKEN_USAGE, telemetry.DURATION, telemetry.FIRST_CHUNK} <= metrics


def test_nobody_is_told_anything_unless_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(telemetry.ENDPOINT, raising=False)
    assert TelemetryParams().build("local") is None


def test_a_receiver_that_is_gone_holds_up_no_run(
    monkeypatch: pytest.MonkeyPatch, engine: Engine, jobs: list[Job]
) -> None:
    monkeypatch.setenv(telemetry.ENDPOINT, "http://127.0.0.1:9")
    started = time.monotonic()
    frame = ran(engine, jobs[:1], Journal(), TelemetryParams())
    assert frame["status"].eq("ok").all()
    assert time.monotonic() - started < 30, "not the minute of its retries"


@pytest.mark.parametrize(
    "endpoint",
    [
        "not a url",
        "localhost:4318",
        "http://",
        "ftp://x",
        "http://127.0.0.1:99999",
        "http://a b",
        "/x",
    ],
)
def test_an_address_that_is_none_is_told_once_before_the_first_call(
    monkeypatch: pytest.MonkeyPatch, endpoint: str
) -> None:
    monkeypatch.setenv(telemetry.ENDPOINT, endpoint)
    with pytest.raises(UserError, match="is no address over HTTP") as raised:
        TelemetryParams().build("local")
    assert repr(endpoint) in raised.value.message
    assert "\n" not in raised.value.message


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("OTEL_METRIC_EXPORT_INTERVAL", "0"),
        ("OTEL_BSP_MAX_QUEUE_SIZE", "0"),
        ("OTEL_ATTRIBUTE_COUNT_LIMIT", "many"),
    ],
)
def test_a_variable_that_cannot_be_followed_is_told_before_the_first_call(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(telemetry.ENDPOINT, "http://127.0.0.1:4318")
    monkeypatch.setenv(name, value)
    with pytest.raises(UserError, match=r"variable OTEL_\*") as raised:
        TelemetryParams().build("local")
    assert "\n" not in raised.value.message


def test_a_password_in_an_address_is_told_nobody(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(telemetry.ENDPOINT, "http://ann:secret@127.0.0.1:99999")
    with pytest.raises(UserError) as raised:
        TelemetryParams().build("local")
    refusals = telemetry.Refusals("http://ann:secret@receiver:4318")
    refusals.tell("Invalid URL http://ann:secret@receiver:4318/v1/traces")
    refusals.close()
    assert "receiver:4318/v1/traces" in caplog.text
    assert "secret" not in raised.value.message + caplog.text


def test_a_receiver_that_refuses_is_told_once(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporters = [
        logging.getLogger(f"opentelemetry.exporter.otlp.proto.http.{name}_exporter")
        for name in ("trace", "metric")
    ]
    for exporter in exporters:
        monkeypatch.setattr(exporter, "disabled", False)
        monkeypatch.setattr(exporter, "filters", [])
    telemetry.Refusals("http://of-a-run-before:4318")
    refusals = telemetry.Refusals("http://receiver:4318")
    for _ in range(3):
        for exporter in exporters:
            exporter.error("Failed to export: refused")
    refusals.tell("no answer")
    assert caplog.messages == [
        "http://receiver:4318 takes no telemetry, the run goes on: Failed to export: refused"
    ]
    refusals.close()
    exporters[0].error("again")
    assert caplog.messages[1:] == ["again"]
