"""Early exit: stop the layer stack, or the chain of thought, when it has said enough."""

from ttc_bench.pipelines.early_exit.pipeline import create_pipeline

__all__ = ["create_pipeline"]
