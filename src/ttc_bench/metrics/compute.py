"""The compute bill of a response, from its ledger."""

from __future__ import annotations

from ttc_bench.metrics.base import (
    Columns,
    MetricSpec,
    Null,
    ScoringBatch,
    Value,
    family,
    ratio,
)

_LEDGER = "ledger, summed over the calls"
_NO_DRAFT = "nothing was drafted"


def _count(name: str, unit: str, definition: str, better: bool | None = False) -> MetricSpec:
    return MetricSpec(name, unit, (0.0, None), better, definition, _LEDGER)


def _share(name: str, better: bool | None, definition: str, source: str) -> MetricSpec:
    return MetricSpec(name, "1", (0.0, 1.0), better, definition, source)


_TAKEN = [
    _count("calls", "calls", "Calls made, readings by a verifier included."),
    _count("prompt_tokens", "tokens", "Prompt tokens of all calls."),
    _count("cached_tokens", "tokens", "Prompt tokens that were not computed again.", True),
    _count("completion_tokens", "tokens", "Tokens generated in all calls."),
    _count("draft_tokens", "tokens", "Tokens proposed by speculation.", None),
    _count("accepted_tokens", "tokens", "Proposed tokens that the target accepted.", True),
    _count("verifier_tokens", "tokens", "Tokens read by a verifier."),
    _count("forward_passes", "passes", "Passes through the answering model, prefill included."),
    _count("draft_forward_passes", "passes", "Passes through a draft model."),
    _count("layers_run", "layers", "Decoder layers executed over all forward passes."),
    _count("flops", "FLOP", "Floating point operations of all models taking part."),
    _count("peak_kv_bytes", "bytes", "Largest size of the key-value cache."),
    _share("kv_share_kept", None, "Peak cached positions over those of a full cache.", "ledger"),
    _share("prompt_share_kept", None, "Prompt tokens left after pruning.", "ledger"),
    _share("padding_share", False, "Padded positions over positions computed.", "ledger"),
    _count("retries", "calls", "Tries beyond the first, of all calls."),
    _count("spent_calls", "calls", "Calls really made: those replayed from a journal are free."),
    _count("spent_tokens", "tokens", "Uncached prompt and completion tokens really computed."),
    _count("spent_flops", "FLOP", "Floating point operations really spent."),
]


@family(
    "compute",
    [
        *_TAKEN,
        _count("total_tokens", "tokens", "Prompt and completion tokens of all calls."),
        _share(
            "acceptance_rate",
            True,
            "Accepted over drafted tokens.",
            "arXiv 2211.17192",
        ),
        _count(
            "mean_accepted_length",
            "tokens/pass",
            "Accepted draft tokens per verification pass: passes of the target but the prefills.",
            True,
        ),
        _count(
            "tokens_per_pass",
            "tokens/pass",
            "Completion tokens per forward pass of the answering model.",
            True,
        ),
        _count(
            "layers_per_token",
            "layers/token",
            "Decoder layers executed per completion token.",
        ),
        _count("flops_per_token", "FLOP/token", "Operations per completion token."),
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
