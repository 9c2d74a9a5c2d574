"""Threads of a pass are those that it is computed by."""

from __future__ import annotations

import os
import subprocess
import sys

SHARED_OUT = """
import torch
from ttc_bench.engines.runtime.linear import multiply_packed, pack
from ttc_bench.engines.runtime.runner import Threads
assert torch.get_num_threads() == 2
Threads().use_for(1e12)
weight, x = torch.randn(768, 192), torch.randn(600, 192)
packed = pack(weight)
products = [torch.nn.functional.linear(x.bfloat16(), weight.bfloat16())]
if packed is not None:
    products.append(multiply_packed(x, packed, None))
for product in products:
    torch.testing.assert_close(product.float(), x @ weight.T, rtol=0.02, atol=0.5)
"""


def test_a_product_is_whole_where_openmp_gives_fewer_threads_than_it_is_asked_for() -> None:
    """OpenMP reads its limits as it is loaded, so in a process of its own."""
    for limit in ({"OMP_THREAD_LIMIT": "1"}, {"OMP_DYNAMIC": "TRUE"}):
        given = {**os.environ, "OMP_NUM_THREADS": "2", **limit}
        command = [sys.executable, "-c", SHARED_OUT]
        done = subprocess.run(command, env=given, capture_output=True, text=True, check=False)
        assert not done.returncode, f"{limit}: {done.stderr[-2000:]}"
