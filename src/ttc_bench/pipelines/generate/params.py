"""Settings of a variant: a list in place of a value is a sweep."""

from __future__ import annotations

import itertools
from typing import Any

from pydantic import Field

from ttc_bench.errors import UserError
from ttc_bench.params import Params, parse_params
from ttc_bench.policies import VARIANTS, Variant

Points = tuple[tuple[str, Variant], ...]
"""A variant at each of its sweep points, with a label like ``majority[n=4]``."""


class TimingParams(Params):
    """How the time of a variant is measured.

    Attributes:
        jobs: Jobs of each benchmark on which every variant is timed beside the baseline's
            decoding; 0 measures no speed.
    """

    jobs: int = Field(default=12, ge=0)


def sweep(name: str, settings: Any) -> Points:
    """Return the variant at every sweep point.

    Args:
        name: ``{policy}.{variant}``.
        settings: Its settings; every list stands for several runs, one per value.

    Raises:
        UserError: Listing every fault.
    """
    cls, own = VARIANTS[name], dict(settings or {})
    swept = [key for key, value in own.items() if isinstance(value, list)]
    points = []
    for values in itertools.product(*(own[key] for key in swept)):
        point = dict(zip(swept, values, strict=True))
        inside = ",".join(f"{key}={value}" for key, value in point.items())
        label = f"{cls.name}[{inside}]" if point else cls.name
        points.append((label, parse_params(cls, {**own, **point}, name)))
    labels = [label for label, _ in points]
    if twice := sorted({label for label in labels if labels.count(label) > 1}):
        raise UserError(f"parameter {name}: the sweep names {', '.join(twice)} more than once.")
    if not points:
        raise UserError(f"parameter {name}: a sweep needs at least one value.")
    return tuple(points)
