"""The parameters of a run that no policy or benchmark owns."""

from __future__ import annotations

from typing import Any

from pydantic import Field

from ttc_bench.params import Params


class RunParams(Params):
    """Top-level parameters of ``conf/base/parameters.yml``.

    Attributes:
        benchmarks: Benchmarks to run.
        limit: Most samples per benchmark; null takes all.
        seed: Seed of all sampling.
        prompting: Prompt settings, see `benchmarks.Prompting`; a benchmark's name as key holds
            settings for that benchmark alone.
        sources: Where each benchmark comes from.
        model: The engine and its models.
        min_valid_share: Share of valid responses below which the run ends non-zero.
    """

    benchmarks: tuple[str, ...] = Field(min_length=1)
    limit: int | None = Field(ge=1)
    seed: int
    prompting: dict[str, Any]
    sources: dict[str, Any]
    model: dict[str, Any]
    min_valid_share: float = Field(ge=0.0, le=1.0)
