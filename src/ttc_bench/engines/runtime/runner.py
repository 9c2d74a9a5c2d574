"""Running a causal language model position by position, with a meter on everything that runs."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, Protocol

import torch
from torch import Tensor

from ttc_bench.engines.flops import CostModel
from ttc_bench.engines.runtime.cache import Meter

Budget = Callable[[int], int]
"""Positions that may be kept once a sequence is so many positions long."""

SMALL_PASS = 1e9
"""Floating point operations below which a second CPU thread costs more than it brings.

Measured on two cores with the reference target, whose passes are made of about 200 small kernels:
waking the other thread for each takes as long as it saves up to some ten milliseconds of work.
"""


class Threads:
    """Gives each pass the CPU threads that it is worth.

    A pass of a small model lasts about a millisecond; sharing it out gains nothing on an idle
    machine, and on a busy one each of its many kernels waits for the other core.

    All of them must come: oneDNN, which computes packed weights and bfloat16, leaves out the share
    of a thread that OpenMP was asked for and did not give, and says nothing. It gives fewer by
    ``OMP_THREAD_LIMIT``, which is kept to, and by ``OMP_DYNAMIC``, which is turned off.

    Args:
        most: Threads of large passes; ``None`` takes PyTorch's own choice.
        fixed: Use ``most`` for every pass.
    """

    def __init__(self, most: int | None = None, fixed: bool = False) -> None:
        self._most = torch.get_num_threads() if most is None else most
        if (library := openmp()) is not None:
            self._most = min(self._most, library.omp_get_thread_limit())
        self._fixed = fixed

    def use_for(self, flops: float) -> None:
        """Set the threads for a pass of ``flops`` floating point operations."""
        threads = 1 if flops < SMALL_PASS and not self._fixed else self._most
        if torch.get_num_threads() != threads:
            torch.set_num_threads(threads)
        # Each thread that runs passes has a setting of its own.
        if (library := openmp()) is not None and library.omp_get_dynamic():
            library.omp_set_dynamic(0)


@cache
def openmp() -> Any:
    """Return the OpenMP that PyTorch runs on, or ``None`` where it is not to be asked."""
    library = ctypes.CDLL(None)
    return library if hasattr(library, "omp_get_thread_limit") else None


class Runner(Protocol):
    """Runs a causal language model on token ids; every pass is entered into the cache's meters.

    Attributes:
        n_layers: Decoder layers of the model.
        outputs: Width of the logits, which may exceed the tokenizer's vocabulary.
        max_positions: Length of the context window, in tokens.
        reads_anew_at: Positions beyond which all that was read is read anew, by other rotary
            angles, so that no pass may go beyond them with tokens that may be rejected.
        device: Where inputs must be.
        dtype: Number type that it computes in.
    """

    n_layers: int
    outputs: int
    max_positions: int
    reads_anew_at: int | None
    device: torch.device
    dtype: torch.dtype

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


class WhiteBox(Runner, Protocol):
    """A runner that opens its model: layers, cache, and what is batched."""

    def new_cache(self, capacity: int, meters: Sequence[Meter], layers: int | None = None) -> Any:
        """Return an empty cache with one row per meter; ``layers`` counts those that store."""
        ...

    def forward(
        self,
        tokens: Tensor,
        cache: Any,
        every: bool = False,
        prefill: bool | None = None,
        layers: int | None = None,
    ) -> Tensor:
        """Run the first ``layers`` layers (default all) and the head; see `Runner.forward`."""
        ...

    def climb(
        self, token: Tensor, cache: Any, checks: Sequence[int], is_sure: Callable[[Tensor], bool]
    ) -> tuple[Tensor, int]:
        """Run one token until the head is sure, and fill the cache of the layers above.

        Args:
            token: Shape ``(1, 1)``.
            cache: The cache to extend.
            checks: Numbers of layers after which the head reads, in order; the last is all.
            is_sure: Whether logits, shape ``(vocabulary,)``, are sure enough to leave.

        Returns:
            The logits and the number of layers run.
        """
        ...

    def sink_cache(self, capacity: int, meters: Sequence[Meter], budget: Budget, sinks: int) -> Any:
        """Return an empty cache of first and recent positions; see `eviction.SinkCache`."""
        ...

    def heavy_hitter_cache(
        self, capacity: int, meters: Sequence[Meter], budget: Budget, recent: float
    ) -> Any:
        """Return an empty cache of what is attended to; see `eviction.HeavyHitterCache`."""
        ...

    def new_batch(self) -> Batch:
        """Return an empty batch of sequences of any lengths."""
        ...


class Batch(Protocol):
    """Sequences of different lengths that are decoded together.

    Attributes:
        lengths: Positions of each row.
    """

    lengths: list[int]

    @property
    def held(self) -> int:
        """Positions of the longest row, which all are padded to."""
        ...

    def admit(self, prompts: Sequence[list[int]], meters: Sequence[Meter], width: int) -> Tensor:
        """Run prompts and append their rows.

        Args:
            prompts: Token ids of each.
            meters: One per prompt.
            width: Positions that every row of the batch may grow to.

        Returns:
            Logits after each prompt, shape ``(prompts, vocabulary)``.
        """
        ...

    def step(self, tokens: list[int]) -> Tensor:
        """Run one token of every row; return logits, shape ``(rows, vocabulary)``."""
        ...

    def drop(self, row: int) -> int:
        """Remove ``row``; return the index of the row that took its place (the last one)."""
        ...
