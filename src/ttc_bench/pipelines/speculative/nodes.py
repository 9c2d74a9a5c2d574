"""Variants of speculative decoding; the loops are in `ttc_bench.engines.decoding`."""

from __future__ import annotations

from ttc_bench.engines import decoding
from ttc_bench.policies import DecodingVariant, variant


@variant("speculative", "draft_model")
class DraftModel(decoding.DraftModel, DecodingVariant):
    """A small model drafts, the target verifies (arXiv 2211.17192, 2302.01318)."""


@variant("speculative", "prompt_lookup")
class PromptLookup(decoding.PromptLookup, DecodingVariant):
    """N-grams seen before are the draft, the target verifies."""
