"""The white-box runner of any causal language model, through its own forward.

Layers, final norm and head are the model's own modules; caches, masks and positions are the
library's. What is opened is opened from outside: the module list that the model's forward walks
over (`runtime.stack`), and the layers of the library's cache (`runtime.library_eviction`).
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import CacheLayerMixin, LinearAttentionCacheLayerMixin

from ttc_bench.engines.runtime.cache import Meter
from ttc_bench.engines.runtime.library_batch import LibraryBatch
from ttc_bench.engines.runtime.library_cache import LibraryCache
from ttc_bench.engines.runtime.library_eviction import (
    HeavyHitterLibraryCache,
    SinkLibraryCache,
)
from ttc_bench.engines.runtime.measured_cost import (
    Counter,
    Counts,
    LayerCost,
    MeasuredCost,
    check_told,
    measure,
)
from ttc_bench.engines.runtime.rotary import at_least, read_anew_at
from ttc_bench.engines.runtime.routing import VaryingExperts
from ttc_bench.engines.runtime.runner import Budget, Threads
from ttc_bench.engines.runtime.stack import Climb, InPlaceOf, LayerStack
from ttc_bench.errors import CapabilityError

VARIED = 16
"""Tokens, all of them different, of the pass that tells whether its cost goes with them."""


class LibraryRunner:
    """Runs any causal language model through its own ``forward`` and the library's cache.

    Args:
        model: A transformers causal language model in evaluation mode.
        threads: CPU threads per pass.
    """

    def __init__(self, model: Any, threads: Threads) -> None:
        self.model = model
        self._threads = threads
        self.config = model.config.get_text_config(decoder=True)
        self.n_layers = int(self.config.num_hidden_layers)
        self.outputs = int(self.config.vocab_size)
        self.max_positions = int(getattr(self.config, "max_position_embeddings", None) or 2**31)
        self.reads_anew_at = read_anew_at(model)
        self.device = model.device
        self.dtype: torch.dtype = model.dtype
        accepted = inspect.signature(model.forward).parameters
        self._keeps_logits = "logits_to_keep" in accepted
        self._takes_positions = "position_ids" in accepted
        self._stack = LayerStack.of(model, self.n_layers)
        self._hears_attention = False
        self._heard: HeavyHitterLibraryCache | None = None
        self._must_be_asked = "output_attentions" in accepted
        self._experts = VaryingExperts(model)
        self.cost = self._measured()

    def new_cache(
        self, capacity: int, meters: Sequence[Meter], layers: int | None = None
    ) -> LibraryCache:
        """Return an empty cache; it grows as needed, whatever ``capacity`` says."""
        return LibraryCache(self.config, meters)

    def sink_cache(
        self, capacity: int, meters: Sequence[Meter], budget: Budget, sinks: int
    ) -> SinkLibraryCache:
        """Return an empty cache of first and recent positions."""
        return SinkLibraryCache(self.config, meters, budget, sinks)

    def heavy_hitter_cache(
        self, capacity: int, meters: Sequence[Meter], budget: Budget, recent: float
    ) -> HeavyHitterLibraryCache:
        """Return an empty cache of what is attended to."""
        self._hear_attention()
        return HeavyHitterLibraryCache(self.config, meters, budget, recent)

    def new_batch(self) -> LibraryBatch:
        """Return an empty batch."""
        return LibraryBatch(self)

    def forward(
        self,
        tokens: Tensor,
        cache: LibraryCache,
        every: bool = False,
        prefill: bool | None = None,
        layers: int | None = None,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Run the first ``layers`` layers (default all) on the next tokens of every row.

        Args:
            tokens: Token ids, shape ``(rows, t)``.
            cache: A cache of this runner.
            every: Return logits of all positions instead of the last one.
            prefill: Bill the pass as prompt; by default a pass on an empty cache is.
            layers: Layers to run.
            mask: What is no padding, shape ``(rows, seen + t)``, where rows differ in length.
            positions: Positions of the tokens, shape ``(rows, t)``, in the same case.

        Returns:
            Logits in float32, shape ``(rows, t, vocabulary)`` or ``(rows, vocabulary)``.
        """
        depth = self.n_layers if layers is None else layers
        self._read_anew(tokens, cache, prefill, depth)
        bill = self._begin(tokens, cache, prefill)
        flops = self.cost.layers_over(depth, *bill, self._outputs(tokens, every))
        flops += self.cost.head(self._outputs(tokens, every))
        self._threads.use_for(len(cache.meters) * flops)
        arguments = self._arguments(tokens, cache.length, every, mask, positions)
        arguments |= self._asked_of(cache)
        with self._cut(depth), self._hearing(cache):
            output = self.model(tokens, past_key_values=cache.cache, use_cache=True, **arguments)
        self._enter(cache, tokens.shape[1], depth, flops, prefill)
        logits: Tensor = output.logits.float()
        return logits if every else logits[:, -1]

    def climb(
        self,
        token: Tensor,
        cache: LibraryCache,
        checks: Sequence[int],
        is_sure: Callable[[Tensor], bool],
    ) -> tuple[Tensor, int]:
        """Run one token until the head is sure; see `WhiteBox.climb`."""
        stack = self.stack
        self._read_anew(token, cache, False, self.n_layers)
        queries, keys = self._begin(token, cache, False)
        self._threads.use_for(self.cost.layers_over(self.n_layers, queries, keys, 1))
        stored = cache.cache.layers
        climb = Climb(
            stack,
            checks[:-1],
            read=lambda output: self._read(token, output, cache.length),
            is_sure=lambda logits: is_sure(logits[0]),
            stores=lambda index: isinstance(stored[index], CacheLayerMixin),
            fill=lambda _, layer: cache.cache.store_only(layer),
        )
        logits = climb.run(partial(self._pass, token, cache))
        flops = self.cost.layers_over(climb.depth, queries, keys, 1)
        flops += climb.readings * self.cost.head(1)
        flops += self.cost.propagation(self.n_layers - climb.depth, 1)
        self._enter(cache, 1, climb.depth, flops, False)
        return logits[0], climb.depth

    @property
    def stack(self) -> LayerStack:
        """The layers.

        Raises:
            CapabilityError: If they were not found, which a decoding should have said it requires.
        """
        if self._stack is None:
            raise CapabilityError("this decoding opens layers, and the model's were not found.")
        return self._stack

    def _read_anew(
        self, tokens: Tensor, cache: LibraryCache, prefill: bool | None, depth: int
    ) -> None:
        """Before an answer grows beyond `reads_anew_at`, read what its rows hold by other angles.

        A text that is read in parts, and not decoded, goes on by each token's own length.
        """
        if (limit := self.reads_anew_at) is None:
            return

        def read(fresh: LibraryCache, texts: list[list[int]]) -> None:
            with at_least(limit + 1, self.model):
                self.forward(
                    torch.tensor(texts, device=self.device), fresh, prefill=False, layers=depth
                )

        if not prefill:
            cache.read_anew(limit, tokens.shape[1], read)
        cache.note(tokens.tolist())

    def _begin(
        self, tokens: Tensor, cache: LibraryCache, prefill: bool | None
    ) -> tuple[int, list[int]]:
        """Plan a pass; return its query positions, and the keys that each layer scores."""
        queries = tokens.shape[1]
        cache.plan(queries)
        prefill = cache.length == 0 if prefill is None else prefill
        for meter in cache.meters:
            meter.add_pass(len(cache.meters), prefill)
        return queries, cache.keys_for(queries)

    def _enter(
        self, cache: LibraryCache, queries: int, depth: int, flops: float, prefill: bool | None
    ) -> None:
        """Enter what a pass has run into the meters of its rows."""
        prefill = cache.length == 0 if prefill is None else prefill
        own = self._experts.spent(len(cache.meters)) if self._experts else [0] * len(cache.meters)
        for meter, operations in zip(cache.meters, own, strict=True):
            meter.layers += depth
            meter.add_flops(flops + operations, prefill)
        cache.advance(queries)

    def _outputs(self, tokens: Tensor, every: bool) -> int:
        """Return the positions whose logits the model computes."""
        return tokens.shape[1] if every or not self._keeps_logits else 1

    def _arguments(
        self,
        tokens: Tensor,
        seen: int,
        every: bool,
        mask: Tensor | None = None,
        positions: Tensor | None = None,
    ) -> dict[str, Any]:
        """Return what else the model's forward is given."""
        arguments: dict[str, Any] = {} if mask is None else {"attention_mask": mask}
        if self._keeps_logits:
            arguments["logits_to_keep"] = 0 if every else 1
        if self._takes_positions:
            # Some architectures do not count on from their cache by themselves (Bamba).
            after = torch.arange(seen, seen + tokens.shape[1], device=self.device)[None]
            arguments["position_ids"] = after if positions is None else positions
        return arguments

    def _cut(self, depth: int) -> Any:
        """Let the model end after ``depth`` layers."""
        if depth == self.n_layers:
            return nullcontext()
        return self.stack.replaced(self.stack.layers[:depth])

    def _read(self, token: Tensor, output: Any, seen: int) -> Tensor:
        """Return what the model's own norm and head make of a layer's output, in float32."""
        with self.stack.replaced([InPlaceOf(self.stack.layers[0], lambda *_, **__: output)]):
            arguments = self._arguments(token, seen, False)
            logits: Tensor = self.model(token, use_cache=False, **arguments).logits
        return logits[:, -1].float()

    def _hear_attention(self) -> None:
        """Listen, once and for all, to the attention weights that each layer returns."""
        if self._hears_attention:
            return
        self._hears_attention = True

        def listen(index: int) -> Callable[..., None]:
            def hook(_: Any, __: Any, output: Any) -> None:
                if self._heard is not None and isinstance(output, tuple) and len(output) > 1:
                    weights = output[1]
                    if isinstance(weights, Tensor) and weights.dim() == 4:
                        self._heard.attended(index, weights)

            return hook

        for index, layer in enumerate(self.stack.layers):
            for part in layer.modules():
                if type(part).__name__.endswith("Attention"):
                    part.register_forward_hook(listen(index))

    def _asked_of(self, cache: LibraryCache) -> dict[str, bool]:
        """Ask for attention weights, which some models (TrOCR, MVP) return on demand alone."""
        is_heard = isinstance(cache, HeavyHitterLibraryCache)
        return {"output_attentions": True} if is_heard and self._must_be_asked else {}

    @contextmanager
    def _hearing(self, cache: LibraryCache) -> Iterator[None]:
        """Let the model compute its attention in plain steps, for a cache that goes by weights."""
        if not isinstance(cache, HeavyHitterLibraryCache):
            yield
            return
        self._heard = cache
        try:
            with plain_attention(self.model):
                yield
        finally:
            self._heard = None

    @torch.inference_mode()
    def _measured(self) -> MeasuredCost:
        """Count a few short passes, and tell all others from them."""
        path = self._stack.path if self._stack else None
        count = Counter(self.model, path, self.n_layers, self._experts)

        def passed(cache: LibraryCache, ids: Tensor) -> Counts:
            counts = count(partial(self._pass, ids, cache))
            cache.advance(ids.shape[1])
            return counts

        def counted(*passes: int) -> list[Counts]:
            cache = self._wide_cache()
            return [passed(cache, self._ids(tokens, 0)) for tokens in passes]

        # The counter knows no fused attention of a CPU; in plain steps it counts on any device.
        with plain_attention(self.model):
            cost = measure(counted, self._keeps_logits)
            if self._stack is None:
                (whole,) = cost.stack
                cost = replace(cost, stack=(whole.share(self.n_layers),) * self.n_layers)
            ids = self._ids(VARIED, self.outputs // VARIED)
            others = passed(self._wide_cache(), ids)
        check_told(cost, others, VARIED, self._outputs(ids, False))
        self._experts.spent(1)
        return cost if self._stack is None else replace(cost, stack=self._with_stored(cost.stack))

    def _wide_cache(self) -> LibraryCache:
        """Return an empty cache of one row that holds what lies before the windows, too."""
        cache = LibraryCache(self.config, [Meter()])
        cache.widen()
        return cache

    def _ids(self, count: int, step: int) -> Tensor:
        """Return the ids of a text of ``count`` tokens, ``step`` apart."""
        return step * torch.arange(count, device=self.device)[None]

    def _with_stored(self, costs: tuple[LayerCost, ...]) -> tuple[LayerCost, ...]:
        """Count what fills the cache of each layer but the first, which a token always runs."""
        cache, stored = LibraryCache(self.config, [Meter()]), [0] * len(costs)
        token = torch.zeros(1, 1, dtype=torch.long, device=self.device)
        count = Counter(self.model, None, 0)
        layers = cache.cache.layers
        if any(isinstance(layer, LinearAttentionCacheLayerMixin) for layer in layers):
            return costs

        def fill(index: int, layer: Callable[[], Any]) -> None:
            stored[index] = count.total(partial(cache.cache.store_only, layer))

        Climb(
            self.stack,
            [1],
            read=lambda output: output,
            is_sure=lambda _: True,
            stores=lambda index: isinstance(layers[index], CacheLayerMixin),
            fill=fill,
        ).run(partial(self._pass, token, cache))
        return tuple(replace(cost, stored=n) for cost, n in zip(costs, stored, strict=True))

    def _pass(self, tokens: Tensor, cache: LibraryCache) -> Any:
        arguments = self._arguments(tokens, cache.length, False)
        return self.model(tokens, past_key_values=cache.cache, use_cache=True, **arguments)


@contextmanager
def plain_attention(model: Any) -> Iterator[None]:
    """Let a model compute its attention in plain steps, scores and weights among them."""
    configs = {id(m.config): m.config for m in model.modules() if hasattr(m, "config")}
    before = {key: config._attn_implementation for key, config in configs.items()}
    try:
        for config in configs.values():
            config._attn_implementation = "eager"
        yield
    finally:
        for key, config in configs.items():
            config._attn_implementation = before[key]
