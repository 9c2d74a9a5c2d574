"""Tree search: grow solutions step by step under the eye of a process verifier."""

from ttc_bench.pipelines.tree_search.pipeline import create_pipeline

__all__ = ["create_pipeline"]
