"""The published data that tests compare with; it may not be redistributed, so it may be away."""

from __future__ import annotations

import os
from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of published data: ``TTC_BENCH_SHARED``, or ``shared`` beside the checkout."""
    default = Path(__file__).parents[3] / "shared"
    folder = Path(os.environ.get("TTC_BENCH_SHARED", default))
    if not (folder / "benchmarks").is_dir():
        pytest.skip(f"published data are not at {folder} (set TTC_BENCH_SHARED)")
    return folder
