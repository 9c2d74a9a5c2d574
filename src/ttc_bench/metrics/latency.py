"""When the user saw what: all times in seconds, from the response's clock."""

from __future__ import annotations

from collections.abc import Sequence

from ttc_bench.engines.ledger import COLUMNS
from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, Value, family

_TPOT = ("latency_s", "ttft_s", "completion_tokens", "broken_tokens")
_SHORT = Null("fewer than two tokens were delivered")


def _spec(name: str, definition: str) -> MetricSpec:
    return MetricSpec(name, "s", (0.0, None), False, definition, "response clock")


_LEDGER = [column.spec for column in COLUMNS if column.spec.unit == "s"]


@family(
    "latency",
    [
        *_LEDGER,
        _spec("ttft_s", "Time to the first token of the final answer."),
        _spec("itl_mean_s", "Mean gap between successive token deliveries."),
        _spec("itl_p95_s", "95th percentile of the gaps between token deliveries."),
        _spec("itl_max_s", "Longest gap between token deliveries: the worst stall."),
        _spec(
            "tpot_s",
            "Time per output token: (latency - TTFT) / (completion tokens - 1), without the tokens"
            " of tries that broke off.",
        ),
    ],
)
def latency(batch: ScoringBatch) -> Columns:
    """Return the times of each response."""
    gaps = [list(g) if g is not None else [] for g in batch.column("itl_s")]
    return {
        **{spec.name: batch.column(spec.name) for spec in _LEDGER},
        "ttft_s": batch.column("ttft_s"),
        "itl_mean_s": [sum(g) / len(g) if g else _SHORT for g in gaps],
        "itl_p95_s": [percentile(g, 95) if g else _SHORT for g in gaps],
        "itl_max_s": [max(g) if g else _SHORT for g in gaps],
        "tpot_s": list(map(_per_token, *(batch.column(c) for c in _TPOT))),
    }


def percentile(values: Sequence[float], percent: float) -> float:
    """Return a percentile by linear interpolation, as NumPy's default does.

    Args:
        values: At least one number, in any order.
        percent: In [0, 100].
    """
    ordered = sorted(values)
    place = (len(ordered) - 1) * percent / 100
    low = int(place)
    high = min(low + 1, len(ordered) - 1)
    return ordered[low] + (ordered[high] - ordered[low]) * (place - low)


def _per_token(
    whole: float | None, first: float | None, tokens: int | None, broken: int | None
) -> Value:
    if whole is None or first is None or tokens is None or broken is None:
        return None
    gaps = tokens - broken - 1
    return max(whole - first, 0.0) / gaps if gaps > 0 else _SHORT
