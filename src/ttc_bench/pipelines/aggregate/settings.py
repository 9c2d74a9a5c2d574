"""Tables that lie side by side may be of several commands: what all of them were made with."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ttc_bench.measured import as_text, stamp_of
from ttc_bench.params import flat
from ttc_bench.policies import policies
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.types import DataFrame

logger = logging.getLogger(__name__)

MOST_TOLD = 3
"""Settings, values and tables that a line names; of more, how many there are."""

NOT_SET = "not set"


def united(tables: Sequence[DataFrame]) -> str | None:
    """Return the settings that tables were made with, and log where they differ.

    Of a variant's own settings those of its own table count. What differs otherwise becomes a text
    that says which table has which value.

    Args:
        tables: Scores as they are stored, one table a variant.

    Returns:
        The settings by `as_text`, or ``None`` where no table says them.
    """
    filled = {_name(table): stamp_of(table) for table in tables if len(table)}
    said = {name: json.loads(text) for name, text in filled.items() if text is not None}
    if unsaid := sorted(filled.keys() - said.keys()):
        logger.warning(
            "%s of scores (%s) by an earlier version, which do not say what they were made with:"
            " they are filed under the settings of %s.",
            counted_as(len(unsaid), "table"),
            _some(unsaid),
            "the others" if said else "this command",
        )
    if not said:
        return None
    differing = dict(_differing(said))
    if differing:
        logger.warning(
            "the stored scores were made with different settings and are filed as of one run: %s."
            " `kedro run` makes them anew with the same ones.",
            _some([f"{name} is {_told(own)}" for name, own in sorted(differing.items())], "; "),
        )
    return as_text(_one_of(said))


def _name(table: DataFrame) -> str:
    """Return ``{policy}.{variant}`` of a table, whatever points its variant was swept over."""
    return f"{table['policy'].iloc[0]}.{str(table['variant'].iloc[0]).partition('[')[0]}"


def _shared(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings that are not a variant's own."""
    return {name: value for name, value in settings.items() if name not in policies()}


def _differing(said: Mapping[str, Mapping[str, Any]]) -> Iterator[tuple[str, dict[str, str]]]:
    """Yield each setting in which tables differ, by its dotted name, with the value of each."""
    each = {table: flat(_shared(settings)) for table, settings in said.items()}
    for name in sorted({name for values in each.values() for name in values}):
        own = {table: _text(values.get(name, NOT_SET)) for table, values in each.items()}
        if len(set(own.values())) > 1:
            yield name, own


def _one_of(said: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the settings of all tables as one."""
    first = next(iter(said.values()))
    one = {**first, **_joined({table: _shared(settings) for table, settings in said.items()})}
    for table, settings in said.items():
        policy, _, variant = table.partition(".")
        own = settings.get(policy) or {}
        if own.get(variant) != (one.get(policy) or {}).get(variant):
            one[policy] = {**(one.get(policy) or {}), variant: own.get(variant)}
    return one


def _joined(values: Mapping[str, Any]) -> Any:
    """Return what tables have at one place of their settings, where they differ as a text."""
    if all(isinstance(value, Mapping) for value in values.values()):
        names = sorted({name for value in values.values() for name in value})
        return {
            name: _joined({table: value.get(name, NOT_SET) for table, value in values.items()})
            for name in names
        }
    own = {table: _text(value) for table, value in values.items()}
    return next(iter(values.values())) if len(set(own.values())) == 1 else _told(own, most=len(own))


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def _told(own: Mapping[str, str], most: int = MOST_TOLD) -> str:
    """Return values with the tables that have them."""
    tables: dict[str, list[str]] = {}
    for table, value in own.items():
        tables.setdefault(value, []).append(table)
    return _some([f"{value} ({_some(names, most=most)})" for value, names in tables.items()],
                 most=most)  # fmt: skip


def _some(names: Sequence[str], sign: str = ", ", most: int = MOST_TOLD) -> str:
    """Return the first of some names, and how many more there are."""
    more = f"{sign}and {len(names) - most} more" if len(names) > most else ""
    return sign.join(names[:most]) + more
