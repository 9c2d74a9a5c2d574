"""Engines run requests: ``local`` (transformers, white-box) and ``hosted`` (LiteLLM, black-box)."""

from ttc_bench.engines.selection import ENGINES, EngineParams, engine_params

__all__ = ["ENGINES", "EngineParams", "engine_params"]
