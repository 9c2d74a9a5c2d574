"""Variants of KV-cache shrinking; the loops are in `ttc_bench.engines.decoding`."""

from __future__ import annotations

from ttc_bench.engines import decoding
from ttc_bench.policies import DecodingVariant, variant


@variant("kv_cache", "static")
class Static(decoding.StaticKV, DecodingVariant):
    """Keep attention sinks and a window of recent positions (arXiv 2309.17453)."""


@variant("kv_cache", "cosine")
class Cosine(decoding.CosineKV, DecodingVariant):
    """Shrink the budget by a cosine and evict the least attended positions (arXiv 2306.14048)."""
