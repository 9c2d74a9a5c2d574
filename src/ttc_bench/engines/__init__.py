"""Engines run requests: ``local`` (transformers, white-box) and ``hosted`` (LiteLLM, black-box)."""

from ttc_bench.engines.settings import ENGINES, EngineParams, engine_params

__all__ = ["ENGINES", "EngineParams", "engine_params"]
