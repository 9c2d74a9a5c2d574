"""Stage 2: jobs and a model become responses; one namespace per policy and variant."""

from ttc_bench.pipelines.generate.pipeline import create_pipeline, policy_pipeline

__all__ = ["create_pipeline", "policy_pipeline"]
