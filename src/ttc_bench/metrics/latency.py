"""When the user saw what: all times in seconds, from the response's clock."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean

from ttc_bench.engines.ledger import COLUMNS
from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, Value, family

_SHORT = Null("fewer than two tokens were delivered")
_UNCOUNTED = Null("the tokens of the answer were not counted, or it is put together of several")
_AT_ONCE = Null("the answer was chosen when all of it was there")
_NO_FIRST = Null("the answer is empty, or its clock does not tell it from the reasoning before it")


def _spec(name: str, definition: str) -> MetricSpec:
    return MetricSpec(name, "s", (0.0, None), False, definition, "response clock")


_LEDGER = [column.spec for column in COLUMNS if column.spec.unit == "s"]


@family(
    "latency",
    [
        *_LEDGER,
        _spec(
            "ttft_s",
            "Time to first token: until that of the final answer could be shown; all of the time of"
            " one that is chosen, voted on or judged when it is whole.",
        ),
        _spec("itl_mean_s", "Mean gap between successive token deliveries."),
        _spec("itl_p95_s", "95th percentile of the gaps between token deliveries."),
        _spec("itl_max_s", "Longest gap between token deliveries: the worst stall."),
        _spec(
            "tpot_s",
            "Time per output token: (latency - TTFT) / (tokens - 1) of the completion behind the"
            " answer, hidden reasoning left out.",
        ),
    ],
)
def latency(batch: ScoringBatch) -> Columns:
    """Return the times of each response."""
    clocks = (batch.times("latency_s"), batch.column("ttft_s"), batch.column("answer_tokens"))
    gaps = list(zip(batch.times("itl_s"), map(_why_no_gaps, *clocks), strict=True))
    return {
        **{spec.name: batch.times(spec.name) for spec in _LEDGER},
        "ttft_s": [_NO_FIRST if first is None else first for first in batch.times("ttft_s")],
        "itl_mean_s": [_of_gaps(fmean, *g) for g in gaps],
        "itl_p95_s": [_of_gaps(lambda g: percentile(g, 95), *g) for g in gaps],
        "itl_max_s": [_of_gaps(max, *g) for g in gaps],
        "tpot_s": list(map(_per_token, *clocks)),
    }


def _of_gaps(
    figure: Callable[[Sequence[float]], float], gaps: Sequence[float] | Null | None, why_none: Null
) -> Value:
    """Return a figure of the gaps between deliveries, if they were measured and there are any."""
    if isinstance(gaps, Null):
        return gaps
    return figure(gaps) if gaps is not None and len(gaps) else why_none


def _why_no_gaps(whole: float | Null | None, first: float | None, tokens: int | None) -> Null:
    """Return why the user saw no token after another, if there are no gaps."""
    if first is None:
        return _NO_FIRST
    if tokens is not None and tokens < 2:
        return _SHORT
    return _AT_ONCE if first == whole else _UNCOUNTED


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


def _per_token(whole: float | Null | None, first: float | None, tokens: int | None) -> Value:
    if isinstance(whole, Null):
        return whole
    if whole is None:
        return None
    if tokens is None:
        return _UNCOUNTED
    if first is None:
        return _NO_FIRST
    if tokens < 2:
        return _SHORT
    return (whole - first) / (tokens - 1) if whole > first else _AT_ONCE
