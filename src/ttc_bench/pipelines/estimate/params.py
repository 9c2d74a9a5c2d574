"""What is estimated."""

from __future__ import annotations

from pydantic import Field, field_validator
from pydantic_core import PydanticCustomError

from ttc_bench.params import Params, unknown
from ttc_bench.policies import policies


class EstimateParams(Params):
    """Which pipeline is estimated.

    Attributes:
        pipeline: Name of a policy's pipeline (its run includes the baseline), or ``__default__``
            for all policies.
        completion_tokens: Tokens that an answer usually takes; null reckons with the most that a
            request allows.
    """

    pipeline: str = "__default__"
    completion_tokens: int | None = Field(default=None, ge=1)

    @field_validator("pipeline")
    @classmethod
    def _is_of_policies(cls, value: str) -> str:
        names = (*policies(), "__default__")
        if value not in names:
            raise PydanticCustomError("unknown", unknown("pipeline of policies", value, names))
        return value
