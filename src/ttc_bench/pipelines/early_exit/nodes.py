"""Variants of early exit; the loops are in `ttc_bench.engines.decoding`."""

from __future__ import annotations

from ttc_bench.engines import decoding
from ttc_bench.policies import DecodingVariant, variant


@variant("early_exit", "fixed_layer")
class FixedLayer(decoding.FixedLayer, DecodingVariant):
    """Every token leaves the stack at the same layer (arXiv 2404.16710)."""


@variant("early_exit", "confidence")
class Confidence(decoding.ConfidenceExit, DecodingVariant):
    """Each token leaves the stack as soon as the exit head is sure (arXiv 2207.07061)."""
