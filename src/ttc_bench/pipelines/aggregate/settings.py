"""Tables that lie side by side may be of several commands: what all of them were made with."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from typing import Any

from ttc_bench.measured import as_text, made_with, run_of
from ttc_bench.policies import policies
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.types import DataFrame

logger = logging.getLogger(__name__)

MOST_TOLD = 3
"""Settings, values and tables that a line names; of more, how many there are."""

MOST_LETTERS = 60
"""Letters of a value that a line names."""

NOT_SAID = "not_said"
"""Among the settings of a run: tables that do not say theirs."""

_ABSENT = object()
"""In the place of a setting that a table does not have."""


def united(tables: Sequence[DataFrame]) -> tuple[str | None, str | None]:
    """Return what tables were made with and by which run, and log where their settings differ.

    Of a variant's own settings those of its own table count. What differs otherwise becomes a text
    that says which table has which value.

    Args:
        tables: Scores as they are stored, one table a variant.

    Returns:
        The settings by `as_text`, or ``None`` where no table says them; and the name of the run, or
        ``None`` where it is not one.
    """
    filled = {_name(table): table for table in tables if len(table)}
    filled = {name: filled[name] for name in sorted(filled)}
    each = {name: made_with(table) for name, table in filled.items()}
    said = {name: settings for name, settings in each.items() if settings is not None}
    unsaid = [name for name in filled if name not in said]
    _tell_unsaid(unsaid, "the others" if said else "this command")
    if not said:
        return None, None
    apart = {*policies(), *(name.partition(".")[0] for name in filled)}
    differing: list[str] = []
    shared = {
        table: {name: value for name, value in settings.items() if name not in apart}
        for table, settings in said.items()
    }
    one = {**next(iter(said.values())), **_joined(shared, "", differing)}
    if unsaid:
        one[NOT_SAID] = unsaid
    _tell_differing(differing)
    runs = {run_of(table) for table in filled.values()}
    is_one = len(runs) == 1 and not differing
    return as_text(_with_own(one, said), ("judge",)), runs.pop() if is_one else None


def _tell_unsaid(names: Sequence[str], filed: str) -> None:
    """Log which tables do not say what they were made with."""
    if names:
        logger.warning(
            "%s of scores (%s) by an earlier version, which do not say what they were made with:"
            " they are filed under the settings of %s.",
            counted_as(len(names), "table"),
            _some(names),
            filed,
        )


def _tell_differing(places: Sequence[str]) -> None:
    """Log in which settings tables differ."""
    if places:
        logger.warning(
            "the stored scores were made with different settings and are filed under all of them:"
            " %s. One `kedro run` of all that is to be compared makes them with the same.",
            _some(places, "; "),
        )


def _name(table: DataFrame) -> str:
    """Return ``{policy}.{variant}`` of a table, whatever points its variant was swept over."""
    return f"{table['policy'].iloc[0]}.{str(table['variant'].iloc[0]).partition('[')[0]}"


def _with_own(one: dict[str, Any], said: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return settings in which each variant has those of its own table."""
    for table, settings in said.items():
        policy, _, variant = table.partition(".")
        own, there = (_group(each, policy).get(variant) for each in (settings, one))
        if own != there:
            one = {**one, policy: {**_group(one, policy), variant: own}}
    return one


def _group(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    group = settings.get(name)
    return group if isinstance(group, Mapping) else {}


def _joined(values: Mapping[str, Any], at: str, differing: list[str]) -> Any:
    """Return what tables have at one place of their settings, where they differ as a text.

    Args:
        values: What each table has there.
        at: Dotted name of the place.
        differing: Gets what is told of each place in which they differ.
    """
    groups = {table: {} if value is _ABSENT else value for table, value in values.items()}
    if all(isinstance(group, Mapping) for group in groups.values()):
        return {
            name: _joined(
                {table: group.get(name, _ABSENT) for table, group in groups.items()},
                f"{at}.{name}" if at else name,
                differing,
            )
            for name in sorted({name for group in groups.values() for name in group})
        }
    tables: dict[str, list[str]] = {}
    for table, value in values.items():
        tables.setdefault(_shown(value), []).append(table)
    if len(tables) == 1:
        return next(iter(values.values()))
    short = [f"{_short(value)} ({_some(own)})" for value, own in tables.items()]
    differing.append(f"{at} is {_some(short)}")
    return ", ".join(f"{value} ({', '.join(own)})" for value, own in tables.items())


def _short(text: str) -> str:
    return text if len(text) <= MOST_LETTERS else f"{text[:MOST_LETTERS]}..."


def _shown(value: Any) -> str:
    """Return a setting as text, other ones as other texts."""
    if value is _ABSENT:
        return "not set"
    text = json.dumps(value, sort_keys=True, ensure_ascii=False)
    is_plain = isinstance(value, str) and not _is_json(value)
    return value if is_plain and value != "not set" else text


def _is_json(text: str) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True


def _some(names: Sequence[str], sign: str = ", ") -> str:
    """Return the first of some names, and how many more there are."""
    more = f"{sign}and {len(names) - MOST_TOLD} more" if len(names) > MOST_TOLD else ""
    return sign.join(names[:MOST_TOLD]) + more
