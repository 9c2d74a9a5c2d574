"""The matrix products of a layer, by the fastest of the kernels at hand.

On a CPU a pass of a few tokens costs as much for starting kernels as for what they compute. NumPy
starts one in a third of PyTorch's time, and its BLAS multiplies a row by a weight that is stored by
its inputs up to twice as fast; many rows are fastest on oneDNN's own layout. A product that may
keep copies therefore keeps its weight in both: three times the memory of the weights, said by
`COPIED_ELEMENTS`. The model's own weights stay as they were loaded.
"""

from __future__ import annotations

from functools import cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float32]

FEW_ROWS = 16
"""Tokens of a pass up to which it runs in NumPy, on the memory of the same tensors."""

COPIED_ELEMENTS = 2**28
"""Most elements of a model whose weights are kept in both layouts: 2 GiB of copies."""

MAX_PACKED = 2**24
"""Most elements of a weight of a larger model that is still packed for several rows."""

MIN_PRODUCT = 350_000
"""Multiply-adds from which the packed kernel is faster: it costs more to start."""

BATCH_HINT = 8
"""Rows that the packed layout is chosen for; it serves any number."""


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

    def unweighted(self, x: Tensor) -> Tensor:
        """Return the norm without its weights, in as few kernels as a CPU has for it."""
        size: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        return x * size.square_().div_(self._size[0]).add_(self.epsilon).rsqrt_()

    def scales(self, rows: Array) -> Array:
        """Return what normalises each of a few rows, weights left out, shape ``(rows, 1)``."""
        squares = np.vecdot(rows, rows)[:, None]
        scales: Array = (squares / self._size[0] + self.epsilon) ** -0.5
        return scales


class Linear:
    """``norm(x) @ weight.T + bias``; the norm is optional.

    On a CPU in float32, a few rows run on a transposed copy of the weight and more run on a packed
    one. The weights of the norm are multiplied into the copies.

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
        usable = self.weight.device.type == "cpu" and self.weight.dtype == torch.float32
        self._transposed: Tensor | None = None
        product = self.weight
        if copies and usable:
            product = self.weight if norm is None else self.weight * norm.weight
            self._transposed = product.t().contiguous()
            self._array: Array = self._transposed.numpy()
        packs = usable and (copies or self._size <= MAX_PACKED)
        self._packed = pack(product) if packs else None

    @property
    def takes_few(self) -> bool:
        """Whether there is a copy for a few rows."""
        return self._transposed is not None

    def __call__(self, x: Tensor, residual: Tensor | None = None) -> Tensor:
        """Return the product, plus ``residual`` if given, shape ``(..., outputs)``."""
        rows = x.numel() // self._inputs
        if self._transposed is None:
            product = self._stored(x, rows)
        elif rows <= FEW_ROWS:
            few = self.few(x.numpy().reshape(rows, self._inputs))
            product = torch.from_numpy(few).view(*x.shape[:-1], self._outputs)
        else:
            product = self._many(x, self._transposed, rows)
        return product if residual is None else residual + product

    def few(self, rows: Array) -> Array:
        """Multiply a few rows by the copy made for them.

        Args:
            rows: Shape ``(rows, inputs)``.

        Returns:
            Shape ``(rows, outputs)``.
        """
        product: Array = rows @ self._array
        if self.norm is not None:
            product *= self.norm.scales(rows)
        if self.bias is not None:
            product += self.bias.numpy()
        return product

    def _many(self, x: Tensor, transposed: Tensor, rows: int) -> Tensor:
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


def gated(gate_up: Array) -> Array:
    """Return ``silu(gate) * up`` of a few rows, whose halves they are."""
    width = gate_up.shape[1] // 2
    gate = gate_up[:, :width]
    product: Array = gate / (1 + np.exp(-gate))
    product *= gate_up[:, width:]
    return product


@cache
def spare_threads() -> None:
    """Let NumPy's products run on the thread that asks for them.

    Those of a few rows are over before another one has woken up; what is larger runs in PyTorch.
    """
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")
