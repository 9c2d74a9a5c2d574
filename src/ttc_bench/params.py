"""The base of every parameter model: typed, frozen, and strict about unknown keys."""

from __future__ import annotations

from pydantic import BaseModel, ConfigDict


class Params(BaseModel):
    """Base class of all parameter models.

    Unknown keys are rejected and instances are immutable and hashable, so that a
    parameter set can be part of a cache key.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, validate_default=True)
