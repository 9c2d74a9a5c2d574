"""Wiring of the kv_cache policy: generate -> score for each of its variants."""

from __future__ import annotations

from kedro.pipeline import Pipeline

import ttc_bench.pipelines.kv_cache.nodes  # noqa: F401  (registers the variants)
from ttc_bench.pipelines.generate.pipeline import policy_pipeline


def create_pipeline(**_: object) -> Pipeline:
    """Return the policy's pipeline, one namespace per variant."""
    return policy_pipeline("kv_cache")
