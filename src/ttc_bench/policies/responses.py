"""A response and its bill: the row that a policy leaves behind for one job."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from ttc_bench.statistics.totals import total

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

Status = Literal["ok", "failed"]


@dataclass(frozen=True)
class Call:
    """One line of the bill: one sample of one call, or one reading by a verifier.

    The counters are what this call costs when its policy runs alone; ``replayed`` says that
    it was taken from the journal, so that nothing was spent on it this time. ``None`` is
    unknown, never zero. Units are in the names; `engines.base.Usage` defines each counter.
    """

    request: int
    role: str
    purpose: str
    model: str
    prompt_tokens: int = 0
    cached_tokens: int = 0
    completion_tokens: int = 0
    draft_tokens: int | None = 0
    accepted_tokens: int | None = 0
    verifier_tokens: int = 0
    forward_passes: int | None = None
    draft_forward_passes: int | None = None
    layers_run: int | None = None
    flops: float | None = None
    peak_kv_bytes: int | None = None
    kv_share_kept: float | None = None
    prompt_share_kept: float | None = None
    padding_share: float | None = None
    queue_s: float = 0.0
    ttft_s: float | None = None
    latency_s: float = 0.0
    provider_s: float | None = None
    provider_queue_s: float | None = None
    usd: float | None = 0.0
    attempts: int = 1
    replayed: bool = False


SUMMED = (
    "prompt_tokens",
    "cached_tokens",
    "completion_tokens",
    "draft_tokens",
    "accepted_tokens",
    "verifier_tokens",
    "forward_passes",
    "draft_forward_passes",
    "layers_run",
    "flops",
    "usd",
)
"""Counters that add up over the calls of a response."""


@dataclass
class Ledger:
    """The whole bill of one response: every call, in the order made."""

    calls: list[Call] = field(default_factory=list)

    def totals(self) -> dict[str, float | None]:
        """Return the response-level columns; each counter is the sum over `calls`."""
        sums = {name: total(getattr(c, name) for c in self.calls) for name in SUMMED}
        return {
            "calls": len(self.calls),
            **sums,
            "peak_kv_bytes": self._peak_kv_bytes(),
            "kv_share_kept": self._last("kv_share_kept"),
            "prompt_share_kept": self._last("prompt_share_kept"),
            "padding_share": self._last("padding_share"),
            "retries": sum(c.attempts - 1 for c in self.calls),
            "queue_s": total(self._by_request("queue_s")),
            "latency_s": total(self._by_request("latency_s")),
            "provider_s": self._reported("provider_s"),
            "provider_queue_s": self._reported("provider_queue_s"),
            **self._spent(),
        }

    def _spent(self) -> dict[str, float | None]:
        """Return what was really spent: replayed calls cost nothing again."""
        paid = [c for c in self.calls if not c.replayed]
        return {
            "spent_calls": len(paid),
            "spent_tokens": sum(
                c.prompt_tokens - c.cached_tokens + c.completion_tokens for c in paid
            ),
            "spent_flops": total(c.flops for c in paid),
            "spent_usd": total(c.usd for c in paid),
        }

    def _by_request(self, name: str) -> list[float | None]:
        """Samples of one request run side by side: each request lasts as long as its slowest."""
        times: dict[int, list[float | None]] = {}
        for call in self.calls:
            times.setdefault(call.request, []).append(getattr(call, name))
        return [
            None if any(t is None for t in group) else max(t for t in group if t is not None)
            for group in times.values()
        ]

    def _reported(self, name: str) -> float | None:
        return total(self._by_request(name)) if self.calls else None

    def _peak_kv_bytes(self) -> int | None:
        """Samples of one request hold their caches at the same time, so they add up."""
        held: dict[int, int] = {}
        for call in self.calls:
            if call.peak_kv_bytes is not None:
                held[call.request] = held.get(call.request, 0) + call.peak_kv_bytes
        return max(held.values(), default=None)

    def _last(self, name: str) -> float | None:
        known = [getattr(c, name) for c in self.calls if getattr(c, name) is not None]
        return known[-1] if known else None


RESOURCES = (
    "peak_rss_bytes",
    "cpu_share",
    "gpu_name",
    "gpu_share",
    "gpu_memory_bytes",
    "energy_j",
)
"""Readings of the machine, of the whole run of a variant; see `metrics.resources`."""


@dataclass(frozen=True)
class Response:
    """What a policy returned for one job.

    Attributes:
        job_id: The job answered.
        benchmark: Its benchmark.
        task: Its task type.
        difficulty: Its difficulty level.
        model: Name of the target model.
        engine: Kind of engine.
        policy: Name of the policy.
        variant: Name of the variant, sweep point included (``majority[n=4]``).
        status: ``ok``, or ``failed``: then ``text`` is ``None`` and the error columns tell.
        text: The final answer.
        finish_reason: How the completion behind the answer ended (``stop`` or ``length``).
        error_type: Class of the failure.
        error_message: What went wrong, in one line.
        ttft_s: Time until the first token of the final answer could be shown.
        itl_s: Gaps between the tokens of the completion behind the answer.
        samples: Candidate texts that a sampling policy chose from.
        info: What the policy noted, e.g. ``{"confidence": 0.75, "rounds": 2}``.
        mean_logprob: Mean log-probability of the tokens of the completion behind the answer.
        resources: What the machine gave while the variant ran, by the names of `RESOURCES`.
        ledger: The bill.
    """

    job_id: str
    benchmark: str
    task: str
    difficulty: str | None
    model: str
    engine: str
    policy: str
    variant: str
    status: Status
    text: str | None
    ledger: Ledger
    finish_reason: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    ttft_s: float | None = None
    itl_s: tuple[float, ...] = ()
    samples: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    mean_logprob: float | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)

    def to_row(self) -> dict[str, Any]:
        """Return the Parquet row: identity, answer, totals of the bill, and the bill itself."""
        nested = ("ledger", "resources")
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in nested}
        return {
            **own,
            **{name: self.resources.get(name) for name in RESOURCES},
            "itl_s": list(self.itl_s),
            "samples": list(self.samples),
            "info": json.dumps(dict(self.info), sort_keys=True),
            **self.ledger.totals(),
            "replayed": bool(self.ledger.calls) and all(c.replayed for c in self.ledger.calls),
            "bill": json.dumps([asdict(c) for c in self.ledger.calls]),
        }


TEXT_COLUMNS = (
    "job_id",
    "benchmark",
    "task",
    "difficulty",
    "model",
    "engine",
    "policy",
    "variant",
    "status",
    "text",
    "finish_reason",
    "error_type",
    "error_message",
    "info",
    "bill",
    "gpu_name",
)
INTEGER_COLUMNS = (
    "calls",
    *(name for name in SUMMED if name not in ("flops", "usd")),
    "peak_kv_bytes",
    "retries",
    "spent_calls",
    "spent_tokens",
    "peak_rss_bytes",
    "gpu_memory_bytes",
)
FLOAT_COLUMNS = (
    "ttft_s",
    "queue_s",
    "latency_s",
    "provider_s",
    "provider_queue_s",
    "flops",
    "usd",
    "kv_share_kept",
    "prompt_share_kept",
    "padding_share",
    "spent_flops",
    "spent_usd",
    "mean_logprob",
    "cpu_share",
    "gpu_share",
    "energy_j",
)


def response_schema() -> pa.Schema:
    """Return the Arrow schema of a responses table; every column is always there."""
    import pyarrow as pa

    return pa.schema(
        [
            *((name, pa.string()) for name in TEXT_COLUMNS),
            *((name, pa.int64()) for name in INTEGER_COLUMNS),
            *((name, pa.float64()) for name in FLOAT_COLUMNS),
            ("itl_s", pa.list_(pa.float64())),
            ("samples", pa.list_(pa.string())),
            ("replayed", pa.bool_()),
        ]
    )


def to_frame(responses: Sequence[Response]) -> pd.DataFrame:
    """Return responses as a table with the columns and types of `response_schema`."""
    import pandas as pd
    import pyarrow as pa

    table = pa.Table.from_pylist([r.to_row() for r in responses], schema=response_schema())
    # Lists stay Python objects: pandas cannot read back the Arrow type of a list by its name.
    frame = table.to_pandas(
        types_mapper=lambda kind: None if pa.types.is_list(kind) else pd.ArrowDtype(kind)
    )
    assert isinstance(frame, pd.DataFrame)
    return frame
