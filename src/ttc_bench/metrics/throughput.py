"""How many tokens a response got through per second."""

from __future__ import annotations

from collections.abc import Sequence

from ttc_bench.metrics.base import (
    Columns,
    MetricSpec,
    Null,
    ScoringBatch,
    Value,
    family,
    ratio,
)

_NO_TIME = "the response took no measurable time"


@family(
    "throughput",
    [
        MetricSpec(
            "output_tokens_per_s",
            "tokens/s",
            (0.0, None),
            True,
            "Completion tokens of all calls over the end-to-end latency.",
            "response clock and ledger",
        ),
        MetricSpec(
            "total_tokens_per_s",
            "tokens/s",
            (0.0, None),
            True,
            "Prompt and completion tokens of all calls over the end-to-end latency.",
            "response clock and ledger",
        ),
    ],
)
def throughput(batch: ScoringBatch) -> Columns:
    """Return the token rates of each response."""
    prompt, output = batch.column("prompt_tokens"), batch.column("completion_tokens")
    total = [None if p is None or o is None else p + o for p, o in zip(prompt, output, strict=True)]
    return {
        "output_tokens_per_s": _rates(batch, output),
        "total_tokens_per_s": _rates(batch, total),
    }


def _rates(batch: ScoringBatch, tokens: Sequence[float | None]) -> list[Value]:
    rows = zip(tokens, batch.times("latency_s"), strict=True)
    return [s if isinstance(s, Null) else ratio(t, s, _NO_TIME) for t, s in rows]
