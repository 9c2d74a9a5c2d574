"""The matrix products of a layer, by the fastest of the kernels that PyTorch brings along.

One row of a product is bound by reading the weight, and on a CPU a weight stored by its inputs is
read up to twice as fast as one stored by its outputs; several rows are fastest on oneDNN's own
layout. A product that may keep copies therefore keeps its weight in both: three times the memory
of the weights, said by `COPIED_ELEMENTS`. The model's own weights stay as they were loaded.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

COPIED_ELEMENTS = 2**28
"""Most elements of a model whose weights are kept in both layouts: 2 GiB of copies."""

MAX_PACKED = 2**24
"""Most elements of a weight of a larger model that is still packed for several rows."""

MIN_PRODUCT = 350_000
"""Multiply-adds from which the packed kernel is faster: it costs more to start."""

BATCH_HINT = 8
"""Rows that the packed layout is chosen for; it serves any number."""

FEW_ROWS = 16
"""Rows up to which the layer norm kernel is the fastest way to a root-mean-square norm."""


class RMSNorm:
    """The root-mean-square norm of the last dimension (arXiv 1910.07467).

    Args:
        norm: The model's own module.
    """

    def __init__(self, norm: Any) -> None:
        self.weight: Tensor = norm.weight.detach()
        self.epsilon = float(norm.variance_epsilon)
        self._size = (self.weight.numel(),)

    def __call__(self, x: Tensor) -> Tensor:
        """Return the norm with its weights."""
        return F.rms_norm(x, self._size, self.weight, self.epsilon)

    def scale(self, row: Tensor) -> float:
        """Return what normalises a single row, weights left out."""
        squares: float = torch.dot(row, row).item()
        return float((squares / self._size[0] + self.epsilon) ** -0.5)

    def unweighted(self, x: Tensor) -> Tensor:
        """Return the norm without its weights, in as few kernels as a CPU has for it."""
        width = self._size[0]
        if x.numel() > FEW_ROWS * width:
            size: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
            return x * size.square_().div_(width).add_(self.epsilon).rsqrt_()
        # The mean of [x, -x] is zero and its variance the mean square of x.
        mirrored = torch.cat((x, -x), -1)
        return F.layer_norm(mirrored, (2 * width,), eps=self.epsilon)[..., :width]


class Linear:
    """``norm(x) @ weight.T + bias``; the norm is optional.

    On a CPU in float32, a single row runs on a transposed copy of the weight and several run on
    a packed one. The weights of the norm are multiplied into the copies.

    Args:
        weight: Shape ``(outputs, inputs)``.
        bias: Shape ``(outputs,)``, or ``None``.
        norm: What the input goes through first.
        copies: Keep the weight in both layouts.
    """

    def __init__(
        self,
        weight: Tensor,
        bias: Tensor | None = None,
        norm: RMSNorm | None = None,
        copies: bool = False,
    ) -> None:
        self.weight, self.bias = weight.detach(), None if bias is None else bias.detach()
        self.norm = norm
        self._size = self.weight.numel()
        self._outputs, self._inputs = self.weight.shape
        self._none = self.weight.new_zeros(1)
        usable = self.weight.device.type == "cpu" and self.weight.dtype == torch.float32
        self._transposed: Tensor | None = None
        product = self.weight
        if copies and usable:
            product = self.weight if norm is None else self.weight * norm.weight
            self._transposed = product.t().contiguous()
        packs = usable and (copies or self._size <= MAX_PACKED)
        self._packed = pack(product) if packs else None

    @property
    def has_rows(self) -> bool:
        """Whether there is a copy for single rows."""
        return self._transposed is not None

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Return the product, plus ``residual`` if given, shape ``(..., outputs)``."""
        rows = x.numel() // self._inputs
        if self._transposed is None:
            product = self._stored(x, rows)
        elif rows == 1:
            added = None if residual is None else residual.view(1, self._outputs)
            product = self.row(x.view(1, self._inputs), added)
            return product.view(*x.shape[:-1], self._outputs)
        else:
            product = self._rows(x, self._transposed, rows)
        return product if residual is None else residual + product

    def row(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Multiply one row by the copy made for it; norm, product and sum are one kernel.

        Args:
            x: Shape ``(1, inputs)``.
            residual: Shape ``(1, outputs)``.

        Returns:
            Shape ``(1, outputs)``.
        """
        assert self._transposed is not None
        scale = 1.0 if self.norm is None else self.norm.scale(x[0])
        added = self.bias if residual is None else residual
        if added is None:
            return torch.addmm(self._none, x, self._transposed, beta=0, alpha=scale)
        product = torch.addmm(added, x, self._transposed, alpha=scale)
        if residual is not None and self.bias is not None:
            product += self.bias
        return product

    def _rows(self, x: Tensor, transposed: Tensor, rows: int) -> Tensor:
        if self.norm is not None:
            x = self.norm.unweighted(x)
        if self._packed is not None and rows * self._size >= MIN_PRODUCT:
            return multiply_packed(x, self._packed, self.bias)
        product = torch.matmul(x, transposed)
        return product if self.bias is None else product.add_(self.bias)

    def _stored(self, x: Tensor, rows: int) -> Tensor:
        if self.norm is not None:
            x = self.norm(x)
        if self._packed is not None and rows > 1 and rows * self._size >= MIN_PRODUCT:
            return multiply_packed(x, self._packed, self.bias)
        return F.linear(x, self.weight, self.bias)


def pack(weight: Tensor) -> Tensor | None:
    """Return a CPU ``weight`` in oneDNN's own layout, or ``None`` where there is no oneDNN."""
    if not (
        torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
        and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    ):
        return None
    packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(weight.contiguous(), BATCH_HINT)
    return packed


def multiply_packed(x: Tensor, packed: Tensor, bias: Tensor | None) -> Tensor:
    """Return ``x @ weight.T + bias`` for a weight packed by `pack`."""
    product: Tensor = torch.ops.mkldnn._linear_pointwise(x, packed, bias, "none", [], "")
    return product
