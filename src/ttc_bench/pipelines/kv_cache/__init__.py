"""KV-cache shrinking: decode with fewer keys and values than a full cache holds."""

from ttc_bench.pipelines.kv_cache.pipeline import create_pipeline

__all__ = ["create_pipeline"]
