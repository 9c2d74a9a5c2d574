"""A figure of the bill, declared once: the ledger, the tables and the metrics read it from here."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from ttc_bench.statistics.totals import total
from ttc_bench.types import MetricSpec

Figure = float | None
Total = Callable[[Sequence[Any], str], Figure]
"""Makes one figure of the calls of a response and the name of the figure in each."""


@dataclass(frozen=True)
class Column:
    """A column of the responses that comes from the bill.

    Attributes:
        spec: Its name and what it means, over all calls of a response.
        total: Makes the figure of a response.
        is_integer: Whether it counts whole things.
    """

    spec: MetricSpec
    total: Total
    is_integer: bool = False


def figure(
    name: str, unit: str, definition: str, higher_is_better: bool | None = False
) -> MetricSpec:
    """Return what a figure of the bill means; what has the unit ``1`` is a share."""
    top = 1.0 if unit == "1" else None
    return MetricSpec(name, unit, (0.0, top), higher_is_better, definition, "ledger")


def summed(calls: Sequence[Any], name: str) -> Figure:
    """Return the sum over ``calls``; unknown if one is."""
    return total(getattr(call, name) for call in calls)


def counted(calls: Sequence[Any], name: str) -> Figure:
    """Return the sum over ``calls``; unknown if one is, or is an estimate of ours."""
    return None if any(call.is_estimated for call in calls) else summed(calls, name)


def slowest(calls: Sequence[Any], name: str) -> Figure:
    """Return the sum over requests, whose samples run side by side: each lasts as its slowest."""
    times = _by_request(calls, name)
    return total(
        None if None in group else max(t for t in group if t is not None) for group in times
    )


def reported(calls: Sequence[Any], name: str) -> Figure:
    """Return `slowest`, unknown if there is no call that could have reported it."""
    return slowest(calls, name) if calls else None


def peak(calls: Sequence[Any], name: str) -> Figure:
    """Return the largest of any request; its samples hold their parts at the same time."""
    parts = [[v for v in group if v is not None] for group in _by_request(calls, name)]
    return max((sum(group) for group in parts if group), default=None)


def last(calls: Sequence[Any], name: str) -> Figure:
    """Return the last figure that is known."""
    figures = [getattr(call, name) for call in calls]
    return next((figure for figure in reversed(figures) if figure is not None), None)


def counter(
    default: Figure,
    unit: str,
    definition: str,
    total: Total = summed,
    higher_is_better: bool | None = False,
) -> Any:
    """Return a dataclass field that is a `Column` of every response under its own name."""
    spec = figure("", unit, definition, higher_is_better)
    return field(default=default, metadata={"column": Column(spec, total)})


def columns(record: type) -> Iterator[Column]:
    """Yield the columns that a dataclass declares by `counter`, in the order of its fields."""
    for each in fields(record):
        if column := each.metadata.get("column"):
            spec = replace(column.spec, name=each.name)
            yield Column(spec, column.total, is_integer=str(each.type).startswith("int"))


def _by_request(calls: Sequence[Any], name: str) -> list[list[Figure]]:
    groups: dict[int, list[Figure]] = {}
    for call in calls:
        groups.setdefault(call.request, []).append(getattr(call, name))
    return list(groups.values())
