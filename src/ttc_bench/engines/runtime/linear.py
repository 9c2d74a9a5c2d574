"""The matrix product of a layer, by the faster of the kernels that PyTorch brings along."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

MIN_PRODUCT = 350_000
"""Multiply-adds from which the packed kernel is faster: it costs more to start."""

BATCH_HINT = 8
"""Rows that the packed layout is chosen for; it serves any number."""

MAX_PACKED = 2**24
"""Most elements of a weight that is packed: packing keeps a second copy."""


class Linear:
    """``x @ weight.T + bias``.

    On a CPU, float32 products of several rows run through oneDNN on a weight packed once; on the
    two-core machines that this was measured on, that is two to three times faster than the
    default kernel. A single row is bound by memory and always takes the default kernel.

    Args:
        weight: Shape ``(outputs, inputs)``.
        bias: Shape ``(outputs,)``, or ``None``.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None = None) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self._size = self.weight.numel()
        self._packed = pack(self.weight)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the product, shape ``(..., outputs)``."""
        rows = x.numel() // x.shape[-1]
        if self._packed is not None and rows > 1 and rows * self._size >= MIN_PRODUCT:
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
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), BATCH_HINT)
    return packed
