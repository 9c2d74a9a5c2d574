"""Floating point operations of a decoder-only transformer, by a stated formula.

One multiply-add is two operations. Matrix products are counted and nothing else: norms,
activations, rotary embeddings and the softmax are linear in the width and below one percent.
For a pass of ``t`` query positions over ``s`` key positions, a layer of hidden size ``h`` with
``q`` query heads, ``kv`` key-value heads of size ``d`` and a gated MLP of inner size ``m`` costs

    projections  2 t h d (2 q + 2 kv)      query, key, value and output
    attention    4 t s q d                 scores and weighted values, mask not discounted
    MLP          6 t h m                   gate, up and down

and the language-model head costs ``2 t' h V`` for the ``t'`` positions where logits are computed.
PyTorch's own counter (``torch.utils.flop_counter``) follows the same conventions; a model whose
layers are not of this form is billed by it (`runtime.measured_cost`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class CostModel(Protocol):
    """Prices the parts of a forward pass, in floating point operations per sequence."""

    def layers(self, count: int, queries: int, keys: int) -> float:
        """Return the cost of ``count`` layers for ``queries`` positions over ``keys``."""
        ...

    def head(self, positions: int) -> float:
        """Return the cost of the output head at ``positions`` positions."""
        ...

    def propagation(self, count: int, positions: int) -> float:
        """Return the cost of key and value projections alone, in ``count`` layers."""
        ...


@dataclass(frozen=True)
class LlamaCost:
    """Exact matrix-product cost of Llama-like layers.

    Attributes:
        hidden: Hidden size.
        heads: Query heads.
        kv_heads: Key-value heads.
        head_dim: Size of a head.
        inner: Inner size of the gated MLP.
        outputs: Rows of the output head (the vocabulary, or 1 for a verifier).
    """

    hidden: int
    heads: int
    kv_heads: int
    head_dim: int
    inner: int
    outputs: int

    def layers(self, count: int, queries: int, keys: int) -> float:
        """Return the cost of ``count`` layers for ``queries`` positions over ``keys``."""
        projections = 4 * self.hidden * self.head_dim * (self.heads + self.kv_heads)
        attention = 4 * keys * self.heads * self.head_dim
        mlp = 6 * self.hidden * self.inner
        return float(count * queries * (projections + attention + mlp))

    def head(self, positions: int) -> float:
        """Return the cost of the output head at ``positions`` positions."""
        return float(2 * positions * self.hidden * self.outputs)

    def propagation(self, count: int, positions: int) -> float:
        """Return the cost of key and value projections alone, in ``count`` layers."""
        return float(4 * count * positions * self.hidden * self.head_dim * self.kv_heads)
