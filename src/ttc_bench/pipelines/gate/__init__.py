"""A gate for other people's pipelines: may this variant serve, by the last run?"""

from ttc_bench.pipelines.gate.pipeline import create_pipeline

__all__ = ["create_pipeline"]
