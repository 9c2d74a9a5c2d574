"""Running a causal language model position by position, with a meter on everything that runs."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ttc_bench.engines.flops import CostModel, ParameterCost
from ttc_bench.engines.runtime.cache import Meter

SMALL_PASS = 1e9
"""Floating point operations below which a second CPU thread costs more than it brings.

Measured on two cores with the reference target, whose passes are made of about 200 small kernels:
waking the other thread for each takes as long as it saves up to some ten milliseconds of work.
"""


class Threads:
    """Gives each pass the CPU threads that it is worth.

    A pass of a small model lasts about a millisecond; sharing it out gains nothing on an idle
    machine, and on a busy one each of its many kernels waits for the other core.

    Args:
        most: Threads of large passes; ``None`` takes PyTorch's own choice.
        fixed: Use ``most`` for every pass.
    """

    def __init__(self, most: int | None = None, fixed: bool = False) -> None:
        self._most = torch.get_num_threads() if most is None else most
        self._fixed = fixed

    def use_for(self, flops: float) -> None:
        """Set the threads for a pass of ``flops`` floating point operations."""
        threads = 1 if flops < SMALL_PASS and not self._fixed else self._most
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)


class Runner(Protocol):
    """Runs a causal language model on token ids; every pass is entered into the cache's meters.

    Attributes:
        n_layers: Decoder layers of the model.
        outputs: Width of the logits, which may exceed the tokenizer's vocabulary.
        max_positions: Length of the context window, in tokens.
        device: Where inputs must be.
    """

    n_layers: int
    outputs: int
    max_positions: int
    device: torch.device

    @property
    def cost(self) -> CostModel:
        """Prices the passes."""
        ...

    def new_cache(self, capacity: int, meters: Sequence[Meter]) -> Any:
        """Return an empty cache with one row per meter, for at most ``capacity`` positions."""
        ...

    def forward(
        self, tokens: Tensor, cache: Any, every: bool = False, prefill: bool | None = None
    ) -> Tensor:
        """Run all layers on the next tokens of every row.

        Args:
            tokens: Token ids, shape ``(rows, t)``.
            cache: A cache made by `new_cache`.
            every: Return logits of all ``t`` positions instead of the last one.
            prefill: Bill the pass as prompt; by default a pass on an empty cache is.

        Returns:
            Logits in float32, shape ``(rows, t, vocabulary)`` or ``(rows, vocabulary)``.
        """
        ...


class GenericCache:
    """The library's own dynamic cache behind the interface of the decoding loops.

    Args:
        config: Configuration of the model.
        meters: One per row.
    """

    def __init__(self, config: Any, meters: Sequence[Meter]) -> None:
        from transformers import DynamicCache

        self.meters = list(meters)
        self.dynamic = DynamicCache(config=config)
        self.length = 0
        self._records = False

    def allow_crop(self) -> None:
        """Keep from now on what a sliding window would lose, until the next `crop`."""
        if not self._records:
            self.dynamic.activate_past_recording()  # type: ignore[no-untyped-call]
            self._records = True

    def crop(self, length: int) -> None:
        """Forget everything from position ``length`` on; `allow_crop` comes before it."""
        if self.length:
            # Negative: how many to remove. None at all still frees what was kept for a crop.
            self.dynamic.crop(min(0, length - self.length))
            self.length = min(self.length, length)

    def expand(self, meters: Sequence[Meter]) -> None:
        """Turn the single row into one row per meter."""
        self.dynamic.batch_repeat_interleave(len(meters))
        self.meters = list(meters)

    def drop(self, row: int) -> int:
        """Remove ``row``; return the index of the row that took its place (the last one)."""
        last = len(self.meters) - 1
        rows = list(range(last))
        if row != last:
            rows[row] = last
            self.meters[row] = self.meters[last]
        self.meters.pop()
        self.dynamic.batch_select_indices(torch.tensor(rows, dtype=torch.long))
        return last

    def row_nbytes(self) -> int:
        """Return the bytes that one row's keys and values take."""
        tensors = [
            tensor
            for layer in self.dynamic.layers
            for tensor in (getattr(layer, "keys", None), getattr(layer, "values", None))
            if isinstance(tensor, Tensor)
        ]
        return sum(t.numel() * t.element_size() for t in tensors) // max(1, len(self.meters))


class GenericRunner:
    """Runs any causal language model through its own ``forward`` and the library's cache.

    Args:
        model: A transformers causal language model in evaluation mode.
        threads: CPU threads per pass.
    """

    def __init__(self, model: Any, threads: Threads) -> None:
        self.model = model
        self._threads = threads
        config = model.config.get_text_config()
        self.config = config
        self.n_layers = int(config.num_hidden_layers)
        self.outputs = int(config.vocab_size)
        self.max_positions = int(getattr(config, "max_position_embeddings", None) or 2**31)
        self.device = model.device
        self.cost = parameter_cost(model, self.n_layers)
        accepted = inspect.signature(model.forward).parameters
        self._keeps_logits = "logits_to_keep" in accepted
        self._takes_positions = "position_ids" in accepted

    def new_cache(self, capacity: int, meters: Sequence[Meter]) -> GenericCache:
        """Return an empty cache; it grows as needed, whatever ``capacity`` says."""
        return GenericCache(self.config, meters)

    def forward(
        self, tokens: Tensor, cache: GenericCache, every: bool = False, prefill: bool | None = None
    ) -> Tensor:
        """Run the model on the next tokens of every row; see `Runner.forward`."""
        count, seen = tokens.shape[1], cache.length
        prefill = seen == 0 if prefill is None else prefill
        keep: dict[str, Any] = {}
        if self._keeps_logits:
            keep["logits_to_keep"] = 0 if every else 1
        flops = self.cost.layers(self.n_layers, count, seen + count)
        flops += self.cost.head(count if every or not self._keeps_logits else 1)
        if self._takes_positions:
            # Some architectures do not count on from their cache by themselves (Bamba).
            keep["position_ids"] = torch.arange(seen, seen + count, device=self.device)[None]
        self._threads.use_for(len(cache.meters) * flops)
        output = self.model(tokens, past_key_values=cache.dynamic, use_cache=True, **keep)
        cache.length = seen + count
        nbytes = cache.row_nbytes()
        for meter in cache.meters:
            meter.add_pass(len(cache.meters), prefill)
            meter.layers += self.n_layers
            meter.add_flops(flops, prefill)
            meter.add_cache(nbytes, seen + count)
        logits: Tensor = output.logits.float()
        return logits if every else logits[:, -1]


@dataclass(frozen=True)
class Architecture:
    """What a model can be asked for, by its configuration and class alone.

    Attributes:
        name: Its model type.
        has_cache: Its forward takes a cache and hands it back.
        rolls_back: All that the cache holds can be forgotten position by position.
    """

    name: str
    has_cache: bool
    rolls_back: bool

    @classmethod
    def of(cls, config: Any) -> Architecture:
        """Return what is known of a configuration; no weights are loaded."""
        from transformers import MODEL_FOR_CAUSAL_LM_MAPPING, DynamicCache

        kind: Any = MODEL_FOR_CAUSAL_LM_MAPPING.get(type(config), None)
        takes = {} if kind is None else inspect.signature(kind.forward).parameters
        has_cache = kind is None or "past_key_values" in takes
        is_stateful = bool(getattr(kind, "_is_stateful", False))
        croppable = has_cache and not is_stateful
        if croppable:
            croppable = DynamicCache(config=config.get_text_config(decoder=True)).is_croppable
        return cls(config.model_type, has_cache, croppable)


def parameter_cost(model: nn.Module, n_layers: int) -> ParameterCost:
    """Return the ``2 N`` cost model of any model with a token embedding."""
    total = sum(p.numel() for p in model.parameters())
    embedding = model.get_input_embeddings().weight  # type: ignore[operator]
    head = model.get_output_embeddings()  # type: ignore[operator]
    output = 0 if head is None else head.weight.numel()
    tied = head is not None and head.weight is embedding
    body = total - embedding.numel() - (0 if tied else output)
    return ParameterCost(body=body, n_layers=n_layers, output=output)
