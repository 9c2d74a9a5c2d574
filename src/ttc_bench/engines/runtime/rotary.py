"""Rotary angles that hang on how long a sequence is (LongRoPE, arXiv 2402.13753).

The library takes the longest row of a pass for all of them. Here each row goes by itself, and each
token by the length that the sequence has with it, as if it were decoded alone, token by token: a
batch and a block of drafts change nothing. (Dynamic NTK changes only beyond the context window.)
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

READ_ANEW = frozenset({"phi3", "phi4_multimodal", "phimoe"})
"""Model types that drop their cache where the factors change, and read all of it anew."""


class OwnLengths:
    """The forward of a rotary module, row by row and token by token.

    Args:
        rotary: A rotary module whose angles hang on the length; its forward is replaced.

    Attributes:
        length: Least length that every sequence counts as.
    """

    def __init__(self, rotary: nn.Module) -> None:
        self._forward = rotary.forward
        self.length = 1
        rotary.forward = self

    def __call__(self, x: Tensor, position_ids: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return what the module does, such as cosines and sines, for positions ``(rows, t)``."""
        rows = []
        for row in position_ids.unsqueeze(1).unbind():
            # A text that is read from its start is one sequence; what comes later comes one by one.
            steps = (row,) if row[0, 0] == 0 else row.unsqueeze(2).unbind(1)
            rows.append(_joined([self._step(x, step, *args, **kwargs) for step in steps], 1))
        return _joined(rows, 0)

    def _step(self, x: Tensor, step: Tensor, *args: Any, **kwargs: Any) -> tuple[Tensor, ...]:
        asked = torch.cat([step, step.new_full((1, 1), self.length - 1)], dim=1)
        return tuple(part[:, :-1] for part in self._forward(x, asked, *args, **kwargs))


def _joined(angles: Sequence[tuple[Tensor, ...]], dim: int) -> tuple[Tensor, ...]:
    if len(angles) == 1:
        return angles[0]
    return tuple(torch.cat(parts, dim) for parts in zip(*angles, strict=True))


def by_own_lengths(model: nn.Module) -> None:
    """Let every rotary module of a model that goes by lengths go by each row's own."""
    for module in list(model.modules()):
        kinds = getattr(module, "rope_type", None)
        if "longrope" in (kinds.values() if isinstance(kinds, dict) else [kinds]):
            OwnLengths(module)


def read_anew_at(model: Any) -> int | None:
    """Return the length beyond which a model reads what it has read anew; ``None`` if never."""
    if model.config.model_type not in READ_ANEW or not _rotaries(model):
        return None
    return getattr(model.config, "original_max_position_embeddings", None)


@contextmanager
def at_least(length: int, model: nn.Module) -> Iterator[None]:
    """Let every sequence count as being of a length at least."""
    for rotary in _rotaries(model):
        rotary.length = length
    try:
        yield
    finally:
        for rotary in _rotaries(model):
            rotary.length = 1


def _rotaries(model: nn.Module) -> list[OwnLengths]:
    forwards = (getattr(module, "forward", None) for module in model.modules())
    return [forward for forward in forwards if isinstance(forward, OwnLengths)]
