"""The compute bill of a response, from its ledger."""

from __future__ import annotations

from ttc_bench.engines.ledger import COLUMNS
from ttc_bench.metrics.base import (
    Columns,
    MetricSpec,
    Null,
    ScoringBatch,
    Value,
    family,
    ratio,
)

_NO_DRAFT = "nothing was drafted"


def _rate(name: str, unit: str, definition: str, better: bool | None = False) -> MetricSpec:
    return MetricSpec(name, unit, (0.0, None), better, definition, "ledger")


_TAKEN = [column.spec for column in COLUMNS if column.spec.unit not in ("s", "USD")]


@family(
    "compute",
    [
        *_TAKEN,
        _rate("total_tokens", "tokens", "Prompt and completion tokens of all calls."),
        MetricSpec(
            "acceptance_rate",
            "1",
            (0.0, 1.0),
            True,
            "Accepted over drafted tokens.",
            "arXiv 2211.17192",
        ),
        _rate(
            "mean_accepted_length",
            "tokens/pass",
            "Accepted draft tokens per verification pass: passes of the target but the prefills.",
            True,
        ),
        _rate(
            "tokens_per_pass",
            "tokens/pass",
            "Completion tokens per forward pass of the answering model.",
            True,
        ),
        _rate(
            "layers_per_token",
            "layers/token",
            "Decoder layers executed per completion token.",
        ),
        _rate("flops_per_token", "FLOP/token", "Operations per completion token."),
    ],
)
def compute(batch: ScoringBatch) -> Columns:
    """Return the counters of the bill and their ratios."""
    taken = {spec.name: batch.column(spec.name) for spec in _TAKEN}
    output = taken["completion_tokens"]

    def per(above: str, below: str, reason: str) -> list[Value]:
        return [ratio(a, b, reason) for a, b in zip(taken[above], taken[below], strict=True)]

    return {
        **taken,
        "total_tokens": [
            None if p is None or o is None else p + o
            for p, o in zip(taken["prompt_tokens"], output, strict=True)
        ],
        "acceptance_rate": per("accepted_tokens", "draft_tokens", _NO_DRAFT),
        "mean_accepted_length": list(
            map(
                _accepted_per_pass,
                taken["draft_tokens"],
                taken["accepted_tokens"],
                taken["forward_passes"],
                taken["calls"],
            )
        ),
        "tokens_per_pass": per("completion_tokens", "forward_passes", "no forward pass"),
        "layers_per_token": per("layers_run", "completion_tokens", "no token was generated"),
        "flops_per_token": per("flops", "completion_tokens", "no token was generated"),
    }


def _accepted_per_pass(
    drafted: int | None, accepted: int | None, passes: int | None, calls: int | None
) -> Value:
    if drafted is None or accepted is None or passes is None or calls is None:
        return None
    if not drafted:
        return Null(_NO_DRAFT)
    return ratio(accepted, max(passes - calls, 0), "the prefill was the only pass")
