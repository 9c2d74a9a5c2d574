"""Which engines there are and how parameters choose one; imports no engine's heavy libraries."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from ttc_bench.engines.base import Engine
from ttc_bench.errors import UserError
from ttc_bench.params import Params, parse_params
from ttc_bench.registry import Registry


class EngineParams(Params):
    """Settings of one kind of engine; subclasses register themselves in `ENGINES`.

    Attributes:
        is_hosted: Whether others compute: one client then makes all calls, so that its limits hold.
    """

    is_hosted: ClassVar[bool] = False

    @abstractmethod
    def build(self) -> Engine:
        """Return the engine, checked but with no weights loaded and no call made.

        Raises:
            UserError: If a model cannot be what it is meant to be (no such path, no key).
        """

    def build_unasked(self) -> Engine:
        """Return the engine for its names, abilities and prices alone: no call is to be made.

        Raises:
            UserError: As for `build`, but that no key is needed.
        """
        return self.build()


ENGINES: Registry[type[EngineParams]] = Registry("engine", "ttc_bench.engines")


def engine_params(model: Mapping[str, Any]) -> EngineParams:
    """Return the typed settings in the ``model`` parameters, whose ``engine`` key names the kind.

    Raises:
        UserError: Listing every fault.
    """
    settings = dict(model)
    kind = settings.pop("engine", None)
    if kind is None:
        raise UserError(f"parameter model.engine: missing. Allowed: {', '.join(ENGINES)}.")
    return parse_params(ENGINES[str(kind)], settings, "model")
