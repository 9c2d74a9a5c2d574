"""Decoding algorithms: typed settings plus the loop that runs them on a white-box model.

Importing this package is cheap: what needs torch is imported when a loop runs.
"""

from ttc_bench.engines.decoding.confidence_exit import ConfidenceExit
from ttc_bench.engines.decoding.cosine_kv import CosineKV
from ttc_bench.engines.decoding.draft_model import DraftModel
from ttc_bench.engines.decoding.elastic_batch import ElasticBatch
from ttc_bench.engines.decoding.fixed_layer import FixedLayer
from ttc_bench.engines.decoding.prompt_lookup import PromptLookup
from ttc_bench.engines.decoding.static_kv import StaticKV

__all__ = [
    "ConfidenceExit",
    "CosineKV",
    "DraftModel",
    "ElasticBatch",
    "FixedLayer",
    "PromptLookup",
    "StaticKV",
]
