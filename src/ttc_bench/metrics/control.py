"""Speed: a response's times beside the baseline's decoding of the same job at the same moment."""

from __future__ import annotations

from collections.abc import Sequence

from ttc_bench.metrics.base import STEERED, Columns, MetricSpec, Null, ScoringBatch, Value, family

_NO_CONTROL = Null("no control ran beside it, or it came to nothing")
_NO_FIRST = Null("one of the two answers is empty, or its clock does not tell where it begins")
_SOURCE = "control, in a bill of its own"


@family(
    "control",
    [
        MetricSpec(
            "speed",
            "1",
            (0.0, None),
            True,
            "Time of plain decoding on the same job, beside it, over its own end-to-end time.",
            _SOURCE,
        ),
        MetricSpec(
            "ttft_ratio",
            "1",
            (0.0, None),
            False,
            "Its time to first token over that of plain decoding on the same job, beside it.",
            _SOURCE,
        ),
        MetricSpec("control_latency_s", "s", (0.0, None), None, "Time of that control.", _SOURCE),
        MetricSpec("control_ttft_s", "s", (0.0, None), None, "Time to first token of it.", _SOURCE),
        MetricSpec("control_flops", "FLOP", (0.0, None), None, "Operations of it.", _SOURCE),
        MetricSpec("control_usd", "USD", (0.0, None), None, "Price of it.", _SOURCE),
    ],
)
def control(batch: ScoringBatch) -> Columns:
    """Return the figures of the control, and the ratios of the times."""
    lacking = [STEERED if steered else _NO_CONTROL for steered in batch.steered]
    own = {name: list(batch.column(f"control_{name}")) for name in _TAKEN}
    firsts = [_NO_FIRST if first is None else first for first in batch.times("ttft_s")]
    unread = [
        why if n is None else _NO_FIRST for n, why in zip(own["latency_s"], lacking, strict=True)
    ]
    return {
        "speed": _ratios(own["latency_s"], batch.times("latency_s"), lacking),
        "ttft_ratio": _ratios(firsts, own["ttft_s"], unread),
        **{
            f"control_{name}": _filled(values, unread if name == "ttft_s" else lacking)
            for name, values in own.items()
        },
    }


_TAKEN = ("latency_s", "ttft_s", "flops", "usd")


def _filled(values: Sequence[Value], reasons: Sequence[Null]) -> list[Value]:
    """Return values with a reason in the place of each that is not there."""
    return [why if value is None else value for value, why in zip(values, reasons, strict=True)]


def _ratios(above: Sequence[Value], below: Sequence[Value], reasons: Sequence[Null]) -> list[Value]:
    """Return the ratios of times; where one is null with its reason, that, else the one given."""
    pairs = zip(above, below, reasons, strict=True)
    return [_ratio(*pair) for pair in pairs]


def _ratio(above: Value, below: Value, lacking: Null) -> Value:
    if isinstance(above, Null):
        return above
    if isinstance(below, Null):
        return below
    return above / below if above and below else lacking
