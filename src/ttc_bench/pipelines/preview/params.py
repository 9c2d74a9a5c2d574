"""What is shown."""

from __future__ import annotations

from pydantic import Field

from ttc_bench.params import Params


class PreviewParams(Params):
    """How much is shown.

    Attributes:
        prompts: Questions of each benchmark.
    """

    prompts: int = Field(default=5, ge=1)
