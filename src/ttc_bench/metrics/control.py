"""Speed: a response's time beside the baseline's decoding of the same job at the same moment."""

from __future__ import annotations

from collections.abc import Iterator

from ttc_bench.metrics.base import STEERED, Columns, MetricSpec, Null, ScoringBatch, Value, family

_NO_CONTROL = Null("no control ran beside it")
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
        MetricSpec("control_latency_s", "s", (0.0, None), None, "Time of that control.", _SOURCE),
        MetricSpec("control_flops", "FLOP", (0.0, None), None, "Operations of it.", _SOURCE),
        MetricSpec("control_usd", "USD", (0.0, None), None, "Price of it.", _SOURCE),
    ],
)
def control(batch: ScoringBatch) -> Columns:
    """Return the figures of the control, and the ratio of the two times."""
    taken = {f"control_{name}": batch.column(f"control_{name}") for name in _TAKEN}
    missing = [STEERED if steered else _NO_CONTROL for steered in batch.steered]
    return {
        "speed": list(_speeds(batch)),
        **{
            name: [why if value is None else value for value, why in zip(own, missing, strict=True)]
            for name, own in taken.items()
        },
    }


_TAKEN = ("latency_s", "flops", "usd")


def _speeds(batch: ScoringBatch) -> Iterator[Value]:
    times = zip(batch.times("latency_s"), batch.column("control_latency_s"), strict=True)
    for own, other in times:
        if isinstance(own, Null):
            yield own
        else:
            yield other / own if own and other else _NO_CONTROL
