"""Settings of a variant: a list in place of a value is a sweep."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence, Set
from typing import Any, get_args, get_origin

from pydantic import Field

from ttc_bench.errors import UserError
from ttc_bench.params import Params, parse_params
from ttc_bench.policies import VARIANTS, Variant, policies, variants_of

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
        settings: Its settings; every list stands for several runs, one per value. Of a setting
            that is itself a list, a list of lists does.

    Raises:
        UserError: Listing every fault.
    """
    cls, own = VARIANTS[name], dict(settings or {})
    swept = [key for key, value in own.items() if _is_sweep(cls, key, value)]
    points: list[tuple[str, Variant]] = []
    for values in itertools.product(*(own[key] for key in swept)):
        point = dict(zip(swept, values, strict=True))
        inside = ",".join(f"{key}={value}" for key, value in point.items())
        label = f"{cls.name}[{inside}]" if point else cls.name
        points.append((label, parse_params(cls, {**own, **point}, name)))
    # 1 and 1.0 have two labels, and one meaning.
    variants = [variant for _, variant in points]
    if twice := [label for label, variant in points if variants.count(variant) > 1]:
        names = ", ".join(dict.fromkeys(twice))
        raise UserError(f"parameter {name}: the sweep names {names} more than once.")
    if not points:
        raise UserError(f"parameter {name}: a sweep needs at least one value.")
    return tuple(points)


def at_points(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters of a run with those of each variant by label, at each sweep point.

    Args:
        settings: Parameters as they were set.
    """
    return {
        **settings,
        **{
            policy: {
                label: variant.model_dump(mode="json")
                for name in variants_of(policy)
                for label, variant in sweep(f"{policy}.{name}", settings[policy].get(name))
            }
            for policy in policies()
            if policy in settings
        },
    }


def _is_sweep(cls: type[Variant], key: str, value: Any) -> bool:
    """Return whether a setting is a list of values: it is deeper than its field's own lists."""
    field = cls.model_fields.get(key)
    return _depth(value) > (_depth_of_type(field.annotation) if field else 0)


def _depth(value: Any) -> int:
    """Return how many lists lie in each other; 0 for what is none."""
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


def _depth_of_type(annotation: Any) -> int:
    """Return how many lists a value of a type has in each other at most."""
    origin = get_origin(annotation) or annotation
    within = max(map(_depth_of_type, get_args(annotation)), default=0)
    is_list = isinstance(origin, type) and issubclass(origin, Sequence | Set) and origin is not str
    return within + is_list
