"""What responses and scores were made with: each table carries those settings in its file.

Pandas keeps ``DataFrame.attrs`` within the Parquet file, so that a table that lies beside others,
or is summed up by a later command, still says which settings it is of.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from ttc_bench.types import DataFrame

NOT_MEASURED = (
    "aggregate", "decide", "report", "compare", "gate", "human_evaluation", "judge", "estimate",
    "train_reference", "preview", "min_valid_share",
)  # fmt: skip
"""Parameters that change no response and no score."""

KEY = "ttc_bench.measured_with"
"""Where a table has its settings. They are one text, for pandas copies them at each step."""


def as_text(settings: Mapping[str, Any]) -> str:
    """Return the parameters that are measured with as JSON, equal ones always as the same text."""
    measured = {name: value for name, value in settings.items() if name not in NOT_MEASURED}
    return json.dumps(measured, sort_keys=True, default=str)


def digest(text: str) -> str:
    """Return what tells configurations apart that measure different things, by `as_text`."""
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def stamp(table: DataFrame, text: str | None) -> DataFrame:
    """Let a table say what it was made with, and return it.

    Args:
        table: The table, which is changed.
        text: The settings by `as_text`; ``None`` leaves them unsaid.
    """
    table.attrs = {name: value for name, value in table.attrs.items() if name != KEY}
    if text is not None:
        table.attrs[KEY] = text
    return table


def stamp_of(table: DataFrame) -> str | None:
    """Return what a table says it was made with; ``None`` if an earlier version wrote it."""
    text = table.attrs.get(KEY)
    return text if isinstance(text, str) else None


def scored_anew(responses: DataFrame, now: str) -> str | None:
    """Return what scores are made with: their responses' settings, and those of scoring of now.

    Args:
        responses: The responses.
        now: Settings of this command, by `as_text`.
    """
    text = stamp_of(responses)
    if text is None or text == now:
        return text
    before, own = json.loads(text), json.loads(now)
    before.pop("score", None)
    return as_text({**before, **{name: own[name] for name in ("score",) if name in own}})


def settings_of(table: DataFrame, now: Mapping[str, Any]) -> dict[str, Any]:
    """Return all parameters of a table's run: what it was made with, and for the rest those of now.

    Args:
        table: Responses or scores.
        now: Parameters of this command. Of a table that does not say what it was made with, they
            are all that is known.
    """
    text = stamp_of(table)
    if text is None:
        return dict(now)
    return {**{k: v for k, v in now.items() if k in NOT_MEASURED}, **json.loads(text)}
