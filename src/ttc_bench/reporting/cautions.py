"""What to know before the figures of a run are believed, in sentences."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from typing import Any

from ttc_bench.engines.completion import NOTED
from ttc_bench.reporting.row_dicts import full_name, row_dicts
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.types import DataFrame

FEW_JOBS = 3
"""Questions up to which equal samples may be chance."""


def cautions(all_scores: DataFrame) -> list[str]:
    """Return what all answers of a run are worth, whose samples do not vary, and what was odd.

    Args:
        all_scores: Scores of all responses.
    """
    return [
        unrewarded(all_scores),
        *_unjudged(all_scores),
        *_invariable(all_scores),
        *_noted(all_scores),
    ]


def unrewarded(all_scores: DataFrame) -> str:
    """Return how many answers are worth nothing, and how many could not be read at all."""
    valid = all_scores[all_scores["status"] == "ok"]
    zeros = int((valid["reward"] == 0).fillna(value=False).sum())
    unreadable = int((valid["format_compliance"] == 0).fillna(value=False).sum())
    return (
        f"Of {counted_as(len(valid), 'answer')}, {zeros} {'has' if zeros == 1 else 'have'} the"
        f" reward 0, and {unreadable} {'does' if unreadable == 1 else 'do'} not have the form that"
        " was asked for."
    )


def _unjudged(all_scores: DataFrame) -> Iterator[str]:
    """Yield why answers have no reward, and how many, the most frequent reason first."""
    if "null_reasons" not in all_scores.columns:
        return
    lacking = all_scores[(all_scores["status"] == "ok") & all_scores["reward"].isna()]
    reasons = Counter(
        reason
        for nulls in lacking["null_reasons"]
        for reason, names in json.loads(nulls).items()
        if "reward" in names
    )
    for reason, count in reasons.most_common():
        has = "has" if count == 1 else "have"
        yield f"{count} of {counted_as(len(all_scores), 'answer')} {has} no reward: {reason}."


def _invariable(all_scores: DataFrame) -> Iterator[str]:
    """Yield a sentence for each variant all of whose draws are equal, on every question."""
    if "samples" not in all_scores.columns:
        return
    drawn = all_scores[all_scores["samples"].notna()]
    by_variant = drawn.groupby(["model", "benchmark", "policy", "variant"], sort=True)
    for _, part in by_variant:
        pools = [json.loads(note) for note in part["samples"]]
        if len(pools) > FEW_JOBS and all(_are_copies(pool) for pool in pools):
            (row,) = row_dicts(part.head(1))
            yield (
                f"{full_name(row)} on {row['benchmark']}: the samples of each of {len(pools)}"
                " questions are copies of one another. The model is too sure, or its server"
                " ignores temperature and seed; agreement says nothing here."
            )


def _noted(all_scores: DataFrame) -> Iterator[str]:
    """Yield a sentence for each oddity of calls, with the responses that have it."""
    if "notes" not in all_scores.columns:
        return
    noted = all_scores[all_scores["notes"].notna()]
    names = noted["policy"] + "." + noted["variant"]
    variants: dict[str, list[str]] = {}
    for name, notes in zip(names, noted["notes"], strict=True):
        for fact in {note.partition(":")[0] for note in json.loads(notes)}:
            variants.setdefault(fact, []).append(name)
    for fact in sorted(variants):
        where = ", ".join(sorted(set(variants[fact])))
        what = NOTED.get(fact, f"have the note {fact}")
        count, of = len(variants[fact]), counted_as(len(all_scores), "response")
        those = "is one of those that " if count == 1 else ""
        yield f"{count} of {of} {those}{what} ({where})."


def _are_copies(pool: dict[str, Any]) -> bool:
    return len(pool["rewards"]) > 1 and pool.get("distinct") == 1
