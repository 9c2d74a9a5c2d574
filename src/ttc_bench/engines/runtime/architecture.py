"""What a model can be asked for, by its configuration and class alone: no weights are loaded."""

from __future__ import annotations

import copy
import inspect
from functools import cached_property
from typing import Any, cast

from ttc_bench.engines.base import Capability
from ttc_bench.engines.runtime.llama import is_white_box

DECODES = frozenset(
    {
        Capability.GENERATE,
        Capability.CONTINUE,
        Capability.LOGPROBS,
        Capability.PROMPT_LOGPROBS,
        Capability.BATCHED_SAMPLING,
        Capability.DECODING_LOOP,
    }
)
"""What every model can do whose forward goes on from a cache."""

ATTENDS = frozenset({"DynamicLayer", "DynamicSlidingWindowLayer", "DummyLayer"})
"""Layers of the library's cache that hold a key and a value per position, or share another's."""

RECURS = frozenset(
    {
        "LinearAttentionLayer",
        "LinearAttentionAndFullAttentionLayer",
        "LinearAttentionAndSlidingWindowAttentionLayer",
    }
)
"""Layers of the library's cache that hold a state, alone or beside keys and values."""

OWN_CACHES = frozenset({"deepseek_v4", "minimax", "muse_spark", "reformer"})
"""Model types whose forward takes a cache of a class of its own, and no other."""

KEEP_STATE_INSIDE = frozenset({"recurrent_gemma"})
"""Model types whose layers keep the state of what they ran last, outside of the cache."""

COUNTS_IN_CACHE = frozenset({"bloom", "gpt_neo"})
"""Model types that take a key's place in the cache for its position."""

FEWEST_INDEX_HEADS = 16
"""Heads of an indexer (DeepSeek Sparse Attention, arXiv 2512.02556) from which on no two keys are
likely to be scored zero by all of them: a head does so to every other key (ReLU)."""


class Architecture:
    """What a configuration says of a model.

    Args:
        config: The model's configuration.

    Attributes:
        name: Its model type.
        is_fast: The fast runner computes it faithfully (`runtime.llama`).
    """

    def __init__(self, config: Any) -> None:
        from transformers import MODEL_FOR_CAUSAL_LM_MAPPING

        self.name = str(config.model_type)
        self.is_fast = is_white_box(config)
        self._config = config
        self._kind = cast(Any, MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None))
        self._accepts = (
            frozenset[str]()
            if self._kind is None
            else frozenset(inspect.signature(self._kind.forward).parameters)
        )

    @property
    def capabilities(self) -> frozenset[Capability]:
        """What the model can do."""
        able = DECODES | {
            Capability.ROLL_BACK,
            Capability.WHITE_BOX,
            Capability.PROPAGATE,
            Capability.EVICT,
            Capability.BATCH,
        }
        return frozenset(capability for capability in able if not self.shortcoming(capability))

    def shortcoming(self, capability: Capability) -> str:
        """Return why the model lacks a capability, in words; empty if it does not."""
        if self._kind is not None and "past_key_values" not in self._accepts:
            return f"{self.name} models take no key-value cache"
        if self.name in OWN_CACHES:
            return f"{self.name} models take no key-value cache but their own"
        if self.is_fast:
            return ""
        if self._narrowest < 2:
            return (
                f"{self.name} models with a sliding window of {self._narrowest} cannot be decoded"
                " by transformers, whose caches hold all positions of a window but the last"
            )
        checks = {
            Capability.BATCHED_SAMPLING: self._shares_a_state,
            Capability.ROLL_BACK: self._keeps_state,
            Capability.WHITE_BOX: self._hides_layers,
            Capability.PROPAGATE: self._skips_no_layer,
            Capability.EVICT: self._evicts_nothing,
            Capability.BATCH: self._pads_nothing,
        }
        return checks[capability]() if capability in checks else ""

    @cached_property
    def _cache(self) -> Any:
        """An empty cache of the library for such a model."""
        from transformers import DynamicCache

        return DynamicCache(config=self._config.get_text_config(decoder=True))

    @property
    def _stored(self) -> frozenset[str]:
        """Names of the kinds of layers that its cache is made of."""
        return frozenset(type(layer).__name__ for layer in self._cache.layers)

    @property
    def _narrowest(self) -> int:
        """Positions of the shortest sliding window; many where there is none."""
        windows = (getattr(layer, "sliding_window", None) for layer in self._cache.layers)
        return min((window for window in windows if window is not None), default=2**31)

    def _keeps_state(self) -> str:
        if not getattr(self._kind, "_is_stateful", False) and self._cache.is_croppable:
            return self._ties_keys()
        return f"the state of {self.name} models cannot forget rejected drafts"

    def _ties_keys(self) -> str:
        """Say so where which keys an indexer keeps is left to the order of equal scores."""
        config = self._config.get_text_config(decoder=True)
        heads, kept = (getattr(config, name, None) for name in ("index_n_heads", "index_topk"))
        positions = getattr(config, "max_position_embeddings", None) or 2**31
        if heads is None or kept is None or heads >= FEWEST_INDEX_HEADS or kept >= positions:
            return ""
        return (
            f"{self.name} models with an indexer of {heads} heads score many keys zero, and which"
            " of those they attend to goes with the length of a pass: drafts would change answers"
        )

    def _hides_layers(self) -> str:
        return "" if self._is_open else f"the layers of {self.name} models are not one list"

    def _skips_no_layer(self) -> str:
        if self._stored <= ATTENDS:
            return ""
        return f"the state of {self.name} models cannot leave out the layers that a token skips"

    def _evicts_nothing(self) -> str:
        if self._has_alibi or self.name in COUNTS_IN_CACHE:
            return f"{self.name} models take a key's place in the cache for its position"
        if self._stored <= ATTENDS:
            return ""
        return f"{self.name} models hold what they have read in a state, not by positions"

    def _shares_a_state(self) -> str:
        if self.name not in KEEP_STATE_INSIDE:
            return ""
        return (
            f"the layers of {self.name} models keep one state outside of their cache, which"
            " sequences that are decoded together would share"
        )

    def _pads_nothing(self) -> str:
        if shared := self._shares_a_state():
            return shared
        if "attention_mask" not in self._accepts:
            return f"{self.name} models take no attention mask, which padded batches need"
        if "position_ids" not in self._accepts and not self._has_alibi:
            return f"{self.name} models take no positions, which padded batches need"
        unknown = sorted(self._stored - ATTENDS - RECURS)
        return f"rows of {self.name} models cannot be joined ({unknown[0]})" if unknown else ""

    @property
    def _has_alibi(self) -> bool:
        """Whether distances enter attention by the length of the cache (arXiv 2108.12409)."""
        own = self._config
        nested = getattr(own, "attn_config", None)
        parts = (own, nested)
        return self.name == "bloom" or any(bool(getattr(part, "alibi", False)) for part in parts)

    @cached_property
    def _is_open(self) -> bool:
        """Whether the layers are found in a model of this configuration, built without weights."""
        import torch

        from ttc_bench.engines.runtime.stack import LayerStack

        text = self._config.get_text_config(decoder=True)
        # The library's auto classes build a model of texts from its part of a larger configuration.
        config = text if self._kind.config_class is type(text) else self._config
        with torch.device("meta"):
            skeleton = self._kind(copy.deepcopy(config))
        return LayerStack.of(skeleton, int(text.num_hidden_layers)) is not None
