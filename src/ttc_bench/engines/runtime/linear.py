"""The matrix product of a layer, by the faster of the kernels that PyTorch brings along."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_ROWS = 4
"""Rows from which the packed kernel is faster; below it the product is bound by memory."""

MAX_PACKED = 2**24
"""Most elements of a weight that is packed: packing keeps a second copy."""


class Linear:
    """``x @ weight.T + bias``.

    On a CPU, float32 products of several rows run through oneDNN on a weight packed once; on the
    two-core machines that this was measured on, that is two to three times faster than the
    default kernel. A single row always takes the default kernel.

    Args:
        weight: Shape ``(outputs, inputs)``.
        bias: Shape ``(outputs,)``, or ``None``.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self._packed = pack(self.weight)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the product, shape ``(..., outputs)``."""
        if self._packed is not None and x.numel() >= MIN_ROWS * x.shape[-1]:
            product: Tensor = torch.ops.mkldnn._linear_pointwise(
                x, self._packed, self.bias, "none", [], ""
            )
            return product
        return F.linear(x, self.weight, self.bias)


def pack(weight: Tensor) -> Tensor | None:
    """Return ``weight`` in oneDNN's own layout, or ``None`` where that does not apply."""
    usable = (
        weight.device.type == "cpu"
        and weight.dtype == torch.float32
        and weight.numel() <= MAX_PACKED
        and torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    )
    if not usable:
        return None
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), MIN_ROWS)
    return packed
