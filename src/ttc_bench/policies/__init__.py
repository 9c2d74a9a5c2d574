"""Policies: typed variants that answer a job through a metered session; one file per policy."""

from ttc_bench.engines.base import Requirements
from ttc_bench.policies.base import (
    GENERATE,
    VARIANTS,
    DecodingVariant,
    Outcome,
    SampledVariant,
    Variant,
    policies,
    refusal,
    variant,
    variants_of,
)
from ttc_bench.policies.session import Session

__all__ = [
    "GENERATE",
    "VARIANTS",
    "DecodingVariant",
    "Outcome",
    "Requirements",
    "SampledVariant",
    "Session",
    "Variant",
    "policies",
    "refusal",
    "variant",
    "variants_of",
]
