"""Prompt settings of a benchmark."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ttc_bench.benchmarks import BENCHMARKS, Prompting
from ttc_bench.params import parse_params


def prompting_of(name: str, prompting: Mapping[str, Any]) -> Prompting:
    """Return the prompt settings of one benchmark: the common ones, then its own on top.

    Args:
        name: Name of the benchmark.
        prompting: Prompt settings, with settings of single benchmarks under their names.

    Raises:
        UserError: Listing every fault.
    """
    common = {k: v for k, v in prompting.items() if k not in BENCHMARKS}
    own = prompting.get(name) or {}
    return parse_params(Prompting, {**common, **own}, "prompting")
