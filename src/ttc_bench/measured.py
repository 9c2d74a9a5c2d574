"""What responses and scores were made with: each table carries those settings in its file.

Pandas keeps ``DataFrame.attrs`` within the Parquet file, so that a table that lies beside others,
or is summed up by a later command, still says which settings it is of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from ttc_bench.types import DataFrame

NOT_MEASURED = (
    "aggregate", "decide", "report", "compare", "gate", "human_evaluation", "judge", "estimate",
    "train_reference", "preview", "min_valid_share",
)  # fmt: skip
"""Parameters that change no response and no score."""

SUMMED = ("aggregate", "decide", "min_valid_share")
"""Of these, the ones by which scores are summed up."""

KEY, RUN = "ttc_bench.measured_with", "ttc_bench.measured_by"
"""Where a table has its settings and the name of its run, as texts: pandas copies them often."""


def as_text(settings: Mapping[str, Any], also: Collection[str] = ()) -> str:
    """Return the parameters that are measured with as JSON, equal ones always as the same text.

    Args:
        settings: All parameters.
        also: Names of others that are of interest.
    """
    own = {k: value for k, value in settings.items() if k in also or k not in NOT_MEASURED}
    return json.dumps(own, sort_keys=True, default=str)


def digest(settings: Mapping[str, Any]) -> str:
    """Return what tells configurations apart that measure different things."""
    return hashlib.sha256(as_text(settings).encode()).hexdigest()[:12]


def stamp(table: DataFrame, text: str | None, run: str | None = None) -> DataFrame:
    """Let a table say what it was made with, and return it.

    Args:
        table: The table, which is changed.
        text: The settings by `as_text`; ``None`` leaves them unsaid.
        run: Name of the run that measured it; ``None`` leaves it unsaid.
    """
    told = {KEY: text, RUN: run}
    table.attrs = {name: value for name, value in table.attrs.items() if name not in told}
    table.attrs |= {name: value for name, value in told.items() if value is not None}
    return table


def made_with(table: DataFrame) -> dict[str, Any] | None:
    """Return the settings that a table says it was made with; ``None`` if it does not say any."""
    text = table.attrs.get(KEY)
    try:
        found = json.loads(text) if isinstance(text, str) else None
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def run_of(table: DataFrame) -> str | None:
    """Return the name of the run that measured a table; ``None`` if it does not say."""
    name = table.attrs.get(RUN)
    return name if isinstance(name, str) and name else None


def stamp_scored(
    scores: DataFrame,
    responses: DataFrame,
    now: Mapping[str, Any],
    by: Collection[str] = ("score",),
) -> DataFrame:
    """Let scores say what their responses were made with, and by which scoring, and return them.

    Args:
        scores: The scores, which are changed.
        responses: What was scored.
        now: Settings of this command.
        by: Names of those that scoring has used.
    """
    before = made_with(responses)
    if before is None:
        return stamp(scores, None, run_of(responses))
    scoring = {name: now[name] for name in by if name in now}
    others = {name: value for name, value in before.items() if name not in by}
    return stamp(scores, as_text({**others, **scoring}, by), run_of(responses))


def settings_of(table: DataFrame, now: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of a table's run: what it was made with, and for the rest those of now.

    Args:
        table: Responses or scores.
        now: Parameters of this command. Of a table that does not say what it was made with, they
            are all that is known.
    """
    before = made_with(table)
    if before is None:
        return dict(now)
    return {**{name: now[name] for name in now if name in NOT_MEASURED}, **before}
