"""The white-box runner: Llama-like models, layer by layer, on a cache of our own.

Every decoder layer runs through its own module (a forward hook on ``model.model.layers[i]`` sees
it), with a forward that does the same mathematics in fewer and larger kernels: query, key and
value in one product, gate and up in one product, norms within the products, rotation of queries
and keys together. The fused weights replace the originals, which become views of them, so the
model still runs through its ordinary ``forward`` and can be saved; on a CPU the runner of a small
model keeps copies in faster layouts beside them (`runtime.linear`).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ttc_bench.engines.flops import LlamaCost
from ttc_bench.engines.runtime.cache import CacheShape, KVCache, Meter
from ttc_bench.engines.runtime.eviction import HeavyHitterCache, SinkCache
from ttc_bench.engines.runtime.linear import (
    COPIED_ELEMENTS,
    FEW_ROWS,
    Array,
    Linear,
    RMSNorm,
    gated,
    spare_threads,
)
from ttc_bench.engines.runtime.ragged import LlamaBatch
from ttc_bench.engines.runtime.runner import Budget, Threads

MODEL_TYPES = frozenset({"llama", "mistral", "qwen2"})
"""Model types whose layers are exactly: norm, attention, residual, norm, gated MLP, residual."""

POSITION_DEPENDENT_ROPE = frozenset({"dynamic", "longrope"})
"""Rotary types whose angles depend on the length of the sequence, so no table can hold them."""


def is_white_box(config: Any) -> bool:
    """Return whether `LlamaRunner` computes a model of this configuration faithfully."""
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    window = getattr(config, "sliding_window", None)
    if getattr(config, "use_sliding_window", True) is False:
        window = None
    return (
        config.model_type in MODEL_TYPES
        and config.hidden_act == "silu"
        and getattr(config, "quantization_config", None) is None
        and rope.get("rope_type", "default") not in POSITION_DEPENDENT_ROPE
        and (window is None or window >= config.max_position_embeddings)
    )


@dataclass
class Pass:
    """One forward pass under way.

    Attributes:
        hidden: Hidden states after the layers run so far, shape ``(rows, t, hidden size)``.
        cos: Cosines of the rotary angles, broadcastable to ``(rows, heads, t, head_dim)``.
        sin: Sines, the first half negated.
        mask: Attention mask, or ``None`` (see `KVCache.attend`).
        cache: The cache that the pass extends.
        prefill: The pass belongs to the prompt.
        is_few: It is of so few tokens behind others that it runs in NumPy (`runtime.linear`).
    """

    hidden: Tensor
    cos: Tensor
    sin: Tensor
    mask: Tensor | None
    cache: KVCache
    prefill: bool
    is_few: bool


class LlamaRunner:
    """Runs a Llama-like model pass by pass, with access to every layer.

    Args:
        model: A causal language model, or a bare ``LlamaModel`` with a scalar head, for which
            `is_white_box` holds.
        head: The output head applied after the final norm.
        threads: CPU threads per pass.
    """

    def __init__(self, model: Any, head: nn.Linear, threads: Threads) -> None:
        base, config = model.model, model.config
        self.model = model
        self._threads = threads
        threads.use_for(math.inf)  # Weights are packed by threads, too.
        self.n_layers = len(base.layers)
        self.outputs = head.out_features
        self.max_positions = int(config.max_position_embeddings)
        self.reads_anew_at: int | None = None
        self.device: torch.device = base.embed_tokens.weight.device
        self.dtype: torch.dtype = base.embed_tokens.weight.dtype
        self._embedding = base.embed_tokens
        self._layers = list(base.layers)
        copies = sum(p.numel() for p in model.parameters()) <= COPIED_ELEMENTS
        self._head = Linear(head.weight, head.bias, RMSNorm(base.norm), copies)
        self._takes_few = self._head.takes_few
        if self._takes_few:
            spare_threads()
        self._rope = RotaryTable(base.rotary_emb, self.dtype, self.device)
        fused = [FusedLayer.install(layer, i, copies) for i, layer in enumerate(self._layers)]
        self._project = [layer.project for layer in fused]
        attention = self._layers[0].self_attn
        heads = config.num_attention_heads
        kv_heads = heads // attention.num_key_value_groups
        inner = config.intermediate_size
        self.cost = LlamaCost(
            config.hidden_size, heads, kv_heads, attention.head_dim, inner, head.out_features
        )
        self.cache_shape = CacheShape(
            self.n_layers, kv_heads, attention.head_dim, self.dtype, self.device
        )

    def new_cache(
        self, capacity: int, meters: Sequence[Meter], layers: int | None = None
    ) -> KVCache:
        """Return an empty cache with one row per meter; ``layers`` counts those that store."""
        shape = self.cache_shape if layers is None else replace(self.cache_shape, layers=layers)
        return KVCache(shape, capacity, meters)

    def sink_cache(
        self, capacity: int, meters: Sequence[Meter], budget: Budget, sinks: int
    ) -> SinkCache:
        """Return an empty cache of first and recent positions."""
        return SinkCache(self.cache_shape, capacity, meters, budget, sinks)

    def heavy_hitter_cache(
        self, capacity: int, meters: Sequence[Meter], budget: Budget, recent: float
    ) -> HeavyHitterCache:
        """Return an empty cache of what is attended to."""
        return HeavyHitterCache(self.cache_shape, capacity, meters, budget, recent)

    def new_batch(self) -> LlamaBatch:
        """Return an empty batch."""
        return LlamaBatch(self)

    def begin(self, tokens: Tensor, cache: KVCache, prefill: bool | None = None) -> Pass:
        """Embed the next tokens of every row and return a pass with no layer run yet.

        Args:
            tokens: Token ids, shape ``(rows, t)``.
            cache: The cache to extend.
            prefill: Bill the pass as prompt; by default a pass on an empty cache is.
        """
        count = tokens.shape[1]
        prefill = cache.length == 0 if prefill is None else prefill
        cache.plan(count)
        for meter in cache.meters:
            meter.add_pass(cache.rows, prefill)
        work = self.cost.layers(self.n_layers, count, cache.keys_for(count))
        self._threads.use_for(cache.rows * work)
        cos, sin = self._rope.at(cache.positions(count))
        hidden = F.embedding(tokens, self._embedding.weight)
        is_few = self._takes_few and cache.length > 0 and tokens.numel() <= FEW_ROWS
        return Pass(hidden, cos, sin, cache.mask(count), cache, prefill, is_few)

    @np.errstate(all="ignore")
    def run(self, step: Pass, first: int = 0, last: int | None = None) -> None:
        """Run layers ``first`` to ``last - 1`` (all of them by default) of a pass."""
        last = self.n_layers if last is None else last
        for layer in self._layers[first:last]:
            step.hidden = layer(step.hidden, step=step)
        count = step.hidden.shape[1]
        flops = self.cost.layers(last - first, count, step.cache.keys_for(count))
        for meter in step.cache.meters:
            meter.layers += last - first
            meter.add_flops(flops, step.prefill)

    @np.errstate(all="ignore")
    def propagate(self, step: Pass, first: int) -> None:
        """Fill the cache of layers from ``first`` on from the present hidden state.

        Keys and values of skipped layers are projected from the state at which the token left
        the stack (CALM's state propagation, arXiv 2207.07061, section 3.2); nothing else of these
        layers runs.
        """
        count = step.hidden.shape[1]
        for index in range(first, self.n_layers):
            _, keys, values = self._project[index](step.hidden, step)
            step.cache.store(index, keys, values)
        flops = self.cost.propagation(self.n_layers - first, count)
        for meter in step.cache.meters:
            meter.add_flops(flops, step.prefill)

    @np.errstate(all="ignore")
    def logits(self, step: Pass, every: bool = False, at: Tensor | None = None) -> Tensor:
        """Return the head's logits on the present hidden state, in float32.

        Args:
            step: The pass.
            every: Logits of all positions instead of the last one.
            at: Instead, one position per row, shape ``(rows,)``.
        """
        hidden = step.hidden if every else step.hidden[:, -1]
        if at is not None:
            hidden = step.hidden[torch.arange(len(at), device=at.device), at]
        flops = self.cost.head(hidden.shape[1] if every else 1)
        for meter in step.cache.meters:
            meter.add_flops(flops, step.prefill)
        return self._head(hidden).float()

    def climb(
        self,
        token: Tensor,
        cache: KVCache,
        checks: Sequence[int],
        is_sure: Callable[[Tensor], bool],
    ) -> tuple[Tensor, int]:
        """Run one token until the head is sure; see `WhiteBox.climb`."""
        step, done = self.begin(token, cache), 0
        for depth in checks:
            self.run(step, done, depth)
            done = depth
            logits = self.logits(step)[0]
            if depth == self.n_layers or is_sure(logits):
                break
        self.propagate(step, done)
        self.finish(step)
        return logits, done

    def finish(self, step: Pass) -> None:
        """Count the new positions as seen, after all layers that shall run have run."""
        step.cache.advance(step.hidden.shape[1])

    def forward(
        self,
        tokens: Tensor,
        cache: KVCache,
        every: bool = False,
        prefill: bool | None = None,
        layers: int | None = None,
    ) -> Tensor:
        """Run the first ``layers`` layers (default all) and the head; see `Runner.forward`."""
        step = self.begin(tokens, cache, prefill)
        self.run(step, 0, layers)
        self.finish(step)
        return self.logits(step, every)


class RotaryTable:
    """Cosines and sines of all positions, made by the model's own rotary module.

    Args:
        rotary: The model's rotary embedding (any type with position-independent angles).
        dtype: Element type of the model.
        device: Device of the model.
    """

    def __init__(self, rotary: Callable[..., Any], dtype: torch.dtype, device: Any) -> None:
        self._rotary = rotary
        self._like = torch.empty(0, dtype=dtype, device=device)
        self._cos = self._sin = self._like.view(0, 0)

    def at(self, positions: slice | Tensor) -> tuple[Tensor, Tensor]:
        """Return cosines and (half-negated) sines for a range, or for one position per row.

        Returns:
            Two tensors of shape ``(t, head_dim)`` for a slice, ``(rows, 1, t, head_dim)`` for a
            position tensor of shape ``(rows, t)``.
        """
        if isinstance(positions, slice):
            self._grow(positions.stop)
            return self._cos[positions], self._sin[positions]
        self._grow(int(positions.max()) + 1)
        return self._cos[positions].unsqueeze(1), self._sin[positions].unsqueeze(1)

    def _grow(self, stop: int) -> None:
        if stop <= len(self._cos):
            return
        positions = torch.arange(max(1024, 2 * stop), device=self._like.device)
        cos, sin = self._rotary(self._like, positions.unsqueeze(0))
        self._cos, self._sin = cos[0], sin[0].clone()
        # rotate_half(x) = (-x2, x1): with the halves swapped, the sign moves to the sine.
        self._sin[:, : self._sin.shape[1] // 2].neg_()


class FusedLayer:
    """The forward of a decoder layer in fewer kernels; replaces ``layer.forward``.

    Called without ``step`` it is the layer's original forward.

    Args:
        layer: A Llama-like decoder layer.
        index: Its place in the stack.
        copies: Keep weights in several layouts; see `runtime.linear`.
    """

    def __init__(self, layer: Any, index: int, copies: bool) -> None:
        attention, mlp = layer.self_attn, layer.mlp
        norms = RMSNorm(layer.input_layernorm), RMSNorm(layer.post_attention_layernorm)
        self._original = layer.forward
        self._index = index
        self._qkv = Linear(
            *fuse(attention.q_proj, attention.k_proj, attention.v_proj), norms[0], copies
        )
        self._out = Linear(attention.o_proj.weight, attention.o_proj.bias, copies=copies)
        self._gate_up = Linear(*fuse(mlp.gate_proj, mlp.up_proj), norms[1], copies)
        self._down = Linear(mlp.down_proj.weight, mlp.down_proj.bias, copies=copies)
        self._head_dim = int(attention.head_dim)
        self._heads = attention.q_proj.out_features // self._head_dim
        self._kv_heads = attention.k_proj.out_features // self._head_dim

    @classmethod
    def install(cls, layer: Any, index: int, copies: bool) -> FusedLayer:
        """Make ``layer`` run fused; return what runs."""
        fused = cls(layer, index, copies)
        layer.forward = fused
        return fused

    def __call__(self, hidden: Tensor, *args: Any, step: Pass | None = None, **rest: Any) -> Any:
        """Return the hidden states after the layer, shape ``(rows, t, hidden size)``."""
        if step is None:
            return self._original(hidden, *args, **rest)
        if step.is_few:
            return torch.from_numpy(self._few(hidden.numpy(), step)).view(hidden.shape)
        q, k, v = self.project(hidden, step)
        seen = step.cache.attend(self._index, q, k, v, step.mask)
        hidden = self._out(seen.transpose(1, 2).flatten(2), hidden)
        gate, up = self._gate_up(hidden).chunk(2, dim=-1)
        return self._down(F.silu(gate).mul_(up), hidden)

    def _few(self, hidden: Array, step: Pass) -> Array:
        """Return the states after the layer, shape ``(rows * t, hidden size)``."""
        rows = hidden.reshape(-1, hidden.shape[-1])
        mask = None if step.mask is None else step.mask.numpy()
        seen = step.cache.attend(self._index, *self._project_few(hidden, step), mask)
        rows = rows + self._out.few(seen.swapaxes(1, 2).reshape(len(rows), -1))
        return rows + self._down.few(gated(self._gate_up.few(rows)))

    def project(self, hidden: Tensor, step: Pass) -> tuple[Tensor, Tensor, Tensor]:
        """Return rotated queries, rotated keys and values, each ``(rows, heads, t, head_dim)``."""
        if step.is_few:
            q, k, v = self._project_few(hidden.numpy(), step)
            return torch.from_numpy(q), torch.from_numpy(k), torch.from_numpy(v)
        rows, count, _ = hidden.shape
        mixed = self._qkv(hidden).view(rows, count, -1, self._head_dim).transpose(1, 2)
        both = self._heads + self._kv_heads
        rotated = mixed.narrow(1, 0, both)
        swapped = rotated.roll(self._head_dim // 2, -1)
        rotated = torch.addcmul(rotated * step.cos, swapped, step.sin)
        queries = rotated.narrow(1, 0, self._heads)
        keys = rotated.narrow(1, self._heads, self._kv_heads)
        return queries, keys, mixed.narrow(1, both, self._kv_heads)

    def _project_few(self, hidden: Array, step: Pass) -> tuple[Array, Array, Array]:
        """Do what `project` does, in NumPy."""
        rows, count, width = hidden.shape
        mixed = self._qkv.few(hidden.reshape(-1, width))
        mixed = mixed.reshape(rows, count, -1, self._head_dim).swapaxes(1, 2)
        both, half = self._heads + self._kv_heads, self._head_dim // 2
        plain = mixed[:, :both]
        swapped = np.concatenate((plain[..., half:], plain[..., :half]), -1)
        swapped *= step.sin.numpy()
        rotated = plain * step.cos.numpy()
        rotated += swapped
        return rotated[:, : self._heads], rotated[:, self._heads :], mixed[:, both:]


def fuse(*parts: nn.Linear) -> tuple[Tensor, Tensor | None]:
    """Return weight and bias of several products of one input as one; the parts become views."""
    weight = torch.cat([part.weight.detach() for part in parts])
    biases = [part.bias for part in parts]
    bias = None if biases[0] is None else torch.cat([b.detach() for b in biases])
    start = 0
    for part in parts:
        stop = start + part.out_features
        part.weight.data = weight[start:stop]
        start = stop
    return weight, bias
