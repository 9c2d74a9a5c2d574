"""Engines run requests: ``local`` (transformers, white-box) and ``hosted`` (LiteLLM, black-box)."""
