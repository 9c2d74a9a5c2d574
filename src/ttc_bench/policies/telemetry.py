"""A run for those who watch services: spans and metrics by OpenTelemetry's GenAI conventions.

Off unless ``OTEL_EXPORTER_OTLP_ENDPOINT`` is set (OTLP over HTTP) or Prometheus is given a port.
Prompts and answers are exported only where the conventions' own variable asks for them,
``OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT``, and then by the spans alone. The names are
those of the semantic conventions for generative AI and change with them: they stand here and
nowhere else.
"""

from __future__ import annotations

import json
import logging
import os
import re
import threading
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from pydantic import Field

from ttc_bench.engines.base import ReadRequest
from ttc_bench.engines.completion import Completion
from ttc_bench.engines.hosting.secrets import Redactor
from ttc_bench.engines.ledger import Asked, Done
from ttc_bench.errors import UserError
from ttc_bench.params import Params
from ttc_bench.storable import storable

if TYPE_CHECKING:
    from opentelemetry.sdk.metrics.export import MetricReader

logger = logging.getLogger(__name__)

ENDPOINT = "OTEL_EXPORTER_OTLP_ENDPOINT"

CAPTURE = "OTEL_INSTRUMENTATION_GENAI_CAPTURE_MESSAGE_CONTENT"
"""Variable that asks for what was said in calls."""

CAPTURED = {
    "": False,
    "false": False,
    "no_content": False,
    "true": True,
    "span_only": True,
    "span_and_event": True,
}
"""Its values, and whether spans then hold what was said. No events are exported, so that
``event_only`` is refused."""

CLOSING_S = 5.0
"""Longest wait for a receiver at the end of a run, in seconds."""

_EXPORTERS = tuple(
    f"opentelemetry.exporter.otlp.proto.http.{name}"
    for name in ("trace_exporter", "metric_exporter")
)
_LONGEST_REASON = 200
_HOST = re.compile(r"[\w.:%-]+")

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
MODEL = "gen_ai.request.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"
ERROR = "error.type"
INPUT_MESSAGES = "gen_ai.input.messages"
OUTPUT_MESSAGES = "gen_ai.output.messages"
TOKEN_USAGE = "gen_ai.client.token.usage"
DURATION = "gen_ai.client.operation.duration"
FIRST_CHUNK = "gen_ai.client.operation.time_to_first_chunk"

JOBS = "ttc_bench.jobs"
COST = "ttc_bench.cost"
VARIANT = "ttc_bench.variant"
ROLE = "ttc_bench.role"
PURPOSE = "ttc_bench.purpose"


class TelemetryParams(Params):
    """What is told to those who watch services.

    Attributes:
        prometheus_port: Port of this machine at which Prometheus reads; null opens none.
    """

    prometheus_port: int | None = Field(default=None, ge=1, le=65535)

    def build(self, engine: str) -> Telemetry | None:
        """Return what takes the events of a run; ``None`` where nobody asked for it.

        Args:
            engine: The kind of engine that runs the models, told as their provider.

        Raises:
            UserError: If the port is taken, the receiver has no address over HTTP, or a variable
                ``OTEL_*`` holds what cannot be followed.
        """
        endpoint = os.environ.get(ENDPOINT)
        if not endpoint and self.prometheus_port is None:
            return None
        is_captured = _is_captured()
        if endpoint and not _is_address(endpoint):
            raise UserError(
                f"variable {ENDPOINT}: {_shown(endpoint)!r} is no address over HTTP. Give one such"
                " as http://localhost:4318, or unset it."
            )
        try:
            return Telemetry(engine, self.prometheus_port, is_captured)
        except ValueError as error:
            raise UserError(
                f"a variable OTEL_* cannot be followed: {' '.join(str(error).split())}"
            ) from error


def _is_captured() -> bool:
    """Return whether what is said in calls is to be exported.

    Raises:
        UserError: If `CAPTURE` holds none of the values of `CAPTURED`.
    """
    value = os.environ.get(CAPTURE, "").strip()
    if value.lower() not in CAPTURED:
        raise UserError(
            f"variable {CAPTURE}: {value!r} is not followed. Allowed are true, span_only and"
            " span_and_event, which export prompts and answers by spans, and false and no_content,"
            " which export none, as does an unset variable."
        )
    return CAPTURED[value.lower()]


class Telemetry:
    """Takes the events of a run (`ttc_bench.policies.events`) and exports them.

    Args:
        provider: What provides the models.
        port: Port for Prometheus, or ``None``.
        is_captured: Whether spans hold what was said, without the keys that are known.
    """

    def __init__(self, provider: str, port: int | None, is_captured: bool = False) -> None:
        from opentelemetry.sdk.metrics import MeterProvider
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider

        resource = Resource.create(
            {"service.name": os.environ.get("OTEL_SERVICE_NAME", "ttc-bench")}
        )
        self._provider = provider
        self._redact = Redactor() if is_captured else None
        self._server = _served(port) if port is not None else None
        self._meters = MeterProvider(_readers(port), resource, shutdown_on_exit=False)
        self._tracers = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._refusals = Refusals(os.environ.get(ENDPOINT, ""))
        if os.environ.get(ENDPOINT):
            from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
            from opentelemetry.sdk.trace.export import BatchSpanProcessor

            self._tracers.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = self._tracers.get_tracer("ttc_bench")
        meter = self._meters.get_meter("ttc_bench")
        self._tokens = meter.create_histogram(TOKEN_USAGE, "{token}", "Tokens of a call.")
        self._duration = meter.create_histogram(DURATION, "s", "Time of a call.")
        self._first = meter.create_histogram(FIRST_CHUNK, "s", "Time to the first token.")
        self._jobs = meter.create_counter(JOBS, "{job}", "Jobs that are done, by their status.")
        self._cost = meter.create_counter(COST, "USD", "Dollars of calls whose price is known.")

    def __call__(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Take an event; a replayed call was made by an earlier run and is not told again."""
        if kind == "call" and not facts["replayed"]:
            self._call(facts)
        elif kind == "job":
            error = {ERROR: facts["error_type"]} if facts["error_type"] else {}
            names = {VARIANT: facts["variant"], "status": facts["status"]}
            self._jobs.add(1, names | error)

    def close(self) -> None:
        """Export what is left and stop; nobody waits long for a receiver that is gone."""
        closing = threading.Thread(target=self._shut_down, daemon=True)
        closing.start()
        closing.join(CLOSING_S)
        if closing.is_alive():
            # The exporters go on trying until the process ends, and are heard no more.
            self._refusals.tell(f"no answer in {CLOSING_S:g} s")
        else:
            self._refusals.close()
        if self._server is not None:
            self._server.shutdown()

    def _shut_down(self) -> None:
        self._tracers.shutdown()
        self._meters.shutdown()

    def _call(self, facts: Mapping[str, Any]) -> None:
        names = {OPERATION: "chat", PROVIDER: self._provider, MODEL: str(facts["model"])}
        counts = {INPUT_TOKENS: facts["prompt_tokens"], OUTPUT_TOKENS: facts["completion_tokens"]}
        for name, count in counts.items():
            if count is not None:
                side = {TOKEN_TYPE: name.rpartition(".")[2].removesuffix("_tokens")}
                self._tokens.record(count, names | side)
        if facts["usd"] is not None:
            self._cost.add(facts["usd"], names)
        if facts["ttft_s"] is not None:
            self._first.record(facts["ttft_s"], names)
        if facts["latency_s"] is not None:
            self._duration.record(facts["latency_s"], names)
        self._span(facts, names | counts)

    def _span(self, facts: Mapping[str, Any], names: Mapping[str, Any]) -> None:
        own = {VARIANT: facts["variant"], ROLE: facts["role"], PURPOSE: facts["purpose"]}
        attributes = {**names, **own, **self._said(facts["asked"], facts["done"])}
        end_ns = time.time_ns()
        span = self._tracer.start_span(
            f"chat {names[MODEL]}",
            attributes={name: value for name, value in attributes.items() if value is not None},
            start_time=end_ns - int((facts["latency_s"] or 0.0) * 1e9),
        )
        span.end(end_ns)

    def _said(self, asked: Asked | None, done: Done | None) -> dict[str, str]:
        """Return what was said in a call as attributes of its span, if that is asked for."""
        if self._redact is None or asked is None:
            return {}
        said = [self._message(one.role, text=one.content) for one in asked.messages]
        if isinstance(asked, ReadRequest):
            role = "assistant" if asked.messages else "user"
            said += [self._message(role, text=text) for text in asked.texts]
        attributes = {INPUT_MESSAGES: said}
        if isinstance(done, Completion):
            parts = {"reasoning": done.extra.get("reasoning"), "text": done.text}
            message = self._message("assistant", **parts)
            attributes[OUTPUT_MESSAGES] = [{**message, "finish_reason": done.finish_reason}]
        return {name: json.dumps(value, ensure_ascii=False) for name, value in attributes.items()}

    def _message(self, role: str, **parts: str | None) -> dict[str, Any]:
        """Return a message in the conventions' form, its texts as any receiver can take them.

        Args:
            role: Whose it is.
            parts: Texts by their type.
        """
        assert self._redact is not None
        return {
            "role": role,
            "parts": [
                {"type": kind, "content": storable(self._redact(text))}
                for kind, text in parts.items()
                if text is not None
            ],
        }


class Refusals(logging.Filter):
    """Tells once that a receiver takes nothing, where its exporters say so at every try.

    Args:
        endpoint: Address of the receiver.
    """

    def __init__(self, endpoint: str) -> None:
        super().__init__()
        self._endpoint, self._is_told = _shown(endpoint), False
        self._loggers = [logging.getLogger(name) for name in _EXPORTERS]
        for exporter in self._loggers:
            # That of a run before, whose receiver never answered, would hold this one's back, too.
            exporter.filters[:] = [one for one in exporter.filters if type(one) is not Refusals]
            exporter.addFilter(self)

    def filter(self, record: logging.LogRecord) -> bool:
        """Keep a line of an exporter back; of what it says the first is told."""
        if record.levelno >= logging.WARNING:
            self.tell(record.getMessage()[:_LONGEST_REASON])
        return False

    def tell(self, reason: str) -> None:
        """Tell that nothing is taken, and why, if that was not told before."""
        if not self._is_told:
            line = "%s takes no telemetry, the run goes on: %s"
            logger.warning(line, self._endpoint, _shown(reason))
        self._is_told = True

    def close(self) -> None:
        """Let the exporters speak again."""
        for exporter in self._loggers:
            exporter.removeFilter(self)


def _shown(text: str) -> str:
    """Return a text without what addresses in it say of users and passwords."""
    return re.sub(r"(?<=//)[^/@\s]*@", "", text)


def _is_address(text: str) -> bool:
    try:
        parts = urlsplit(text)
        is_host = _HOST.fullmatch(parts.hostname or "") is not None
        return is_host and parts.scheme in ("http", "https") and parts.port != 0
    except ValueError:  # of a port
        return False


def _readers(port: int | None) -> list[MetricReader]:
    readers: list[MetricReader] = []
    if os.environ.get(ENDPOINT):
        from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
        from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

        readers.append(PeriodicExportingMetricReader(OTLPMetricExporter()))
    if port is not None:
        from opentelemetry.exporter.prometheus import PrometheusMetricReader

        readers.append(PrometheusMetricReader())
    return readers


def _served(port: int) -> Any:
    """Return a server at the port that Prometheus reads; others on the network do not reach it."""
    from prometheus_client import start_http_server

    try:
        server, _ = start_http_server(port, addr="127.0.0.1")
    except OSError as error:
        raise UserError(
            f"parameter telemetry.prometheus_port: port {port} cannot be opened:"
            f" {error.strerror}. Give another one, or null."
        ) from error
    return server
