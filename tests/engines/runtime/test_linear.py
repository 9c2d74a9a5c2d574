"""Products and attention by whichever kernel takes them, against their definitions."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.engines.runtime.cache import attention
from ttc_bench.engines.runtime.linear import FEW_ROWS, Linear, RMSNorm, gated

ROWS = st.sampled_from([1, 2, FEW_ROWS, FEW_ROWS + 1, 50])
"""One, a few, and one more than a few: each count has kernels of its own."""


def random(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


@given(
    rows=ROWS,
    width=st.sampled_from([8, 192]),
    has_norm=st.booleans(),
    has_bias=st.booleans(),
    has_residual=st.booleans(),
    copies=st.booleans(),
)
def test_a_product_is_what_it_says_for_any_number_of_rows(
    rows: int, width: int, has_norm: bool, has_bias: bool, has_residual: bool, copies: bool
) -> None:
    weight, x = random(0, 300, width) / width**0.5, random(1, 1, rows, width)
    bias = random(2, 300) if has_bias else None
    residual = random(3, 1, rows, 300) if has_residual else None
    norm = RMSNorm(SimpleNamespace(weight=random(4, width), variance_epsilon=1e-5))
    expected = F.linear(norm(x) if has_norm else x, weight, bias)
    if residual is not None:
        expected = expected + residual
    product = Linear(weight, bias, norm if has_norm else None, copies)(x, residual)
    torch.testing.assert_close(product, expected, rtol=1e-5, atol=1e-5)


@given(
    rows=st.sampled_from([1, 3, FEW_ROWS + 1]),
    queries=st.sampled_from([1, 5]),
    group=st.sampled_from([1, 2]),
)
def test_attention_is_that_of_the_library_for_any_number_of_queries(
    rows: int, queries: int, group: int
) -> None:
    q, k = random(0, rows, 2 * group, queries, 8), random(1, rows, 2, 40, 8)
    v = random(2, rows, 2, 40, 8)
    mask = torch.zeros(queries, 30).masked_fill_(torch.ones(queries, 30).triu(26) > 0, -torch.inf)
    # What a cache holds is the beginning of longer memory.
    held = (k[:, :, :30], v[:, :, :30])
    expected = F.scaled_dot_product_attention(q, *held, attn_mask=mask, enable_gqa=True)
    torch.testing.assert_close(attention(q, *held, mask), expected, rtol=1e-5, atol=1e-6)


def test_a_gate_of_any_size_is_that_of_the_library() -> None:
    gate_up = np.array([[-1e30, -200.0, -1.0, 0.0, 1.0, 200.0, *[3.0] * 6]], dtype=np.float32)
    gate, up = torch.from_numpy(gate_up).chunk(2, dim=-1)
    with np.errstate(over="ignore"):
        product = gated(gate_up)
    assert product == pytest.approx((F.silu(gate) * up).numpy())
