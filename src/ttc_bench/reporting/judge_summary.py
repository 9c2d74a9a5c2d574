"""What the judge said of each variant, how far it can be trusted, and what it cost."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import click

from ttc_bench.metrics.judge import SAME_TEXT, JudgeParams
from ttc_bench.reporting.row_dicts import Row, full_name, row_dicts
from ttc_bench.reporting.sheet import Sheet, counted_as, number
from ttc_bench.statistics.totals import total
from ttc_bench.types import GROUP, DataFrame

COLUMNS = {
    **dict.fromkeys((*GROUP, "judge_model", "grades"), "string"),
    **dict.fromkeys(("n", "n_graded", "n_compared", "n_same", "wins", "ties", "losses"), "Int64"),
    **dict.fromkeys(
        ("rubric", "correct_share", "win_rate", "consistency", "first_share"), "Float64"
    ),
    **dict.fromkeys(("n_exact", "n_decided"), "Int64"),
    **dict.fromkeys(("agreement", "kappa", "pair_agreement"), "Float64"),
    "n_refusals": "Int64",
    **dict.fromkeys(("refused", "rule_agreement"), "Float64"),
    "nulls": "string",
    **dict.fromkeys(("calls", "prompt_tokens", "completion_tokens", "spent_calls"), "Int64"),
    **dict.fromkeys(("usd", "spent_usd"), "Float64"),
}
"""Columns of the summary; an unknown price is null.

``grades`` is the mean grade of each criterion; ``n_same`` responses equal the rival's and tie
without a call; ``first_share`` is the share of verdicts for the response shown first, ties left out
(0.5 is no bias of place). ``agreement`` and ``kappa`` (`cohens_kappa`) compare the judge's
correctness with exact match over ``n_exact`` responses. Of ``n_decided`` pairs, exact match holds
for one response only: ``pair_agreement`` is the share that this one wins. Of ``n_refusals`` answers
to privacy tasks that were judged, ``refused`` is the share that refuses, and ``rule_agreement`` the
share on which the embedded rule says the same. ``nulls`` counts by
reason what could not be judged."""


def summarise(
    judgements: Mapping[str, Callable[[], DataFrame]],
    rescored: Mapping[str, Callable[[], DataFrame]],
    stored: Mapping[str, Callable[[], DataFrame]],
    params: JudgeParams,
) -> DataFrame:
    """Return one row per `GROUP`; see `COLUMNS`.

    Args:
        judgements: Loads each table of judgements, by ``{policy}.{variant}``.
        rescored: Loads the scores with the family ``judge``.
        stored: The tables of responses by name: older tables of the others are left alone.
        params: Settings of the stage.
    """
    import pandas as pd

    keys = ["job_id", *GROUP]
    parts = []
    for name in sorted(stored):
        scores = rescored[name]()[[*keys, *_SCORES]]
        parts.append(judgements[name]().merge(scores, on=keys, validate="one_to_one"))
    rows = pd.concat(parts, ignore_index=True).astype(object)
    rows = rows.where(rows.notna(), None)
    exact = {
        (row["model"], row["job_id"]): _exact(row)
        for row in row_dicts(rows)
        if full_name(row) == params.against
    }
    summary = [
        {**dict(zip(GROUP, key, strict=True)), **_figures(row_dicts(part), exact)}
        for key, part in rows.groupby(list(GROUP), sort=True)
    ]
    return pd.DataFrame(summary, columns=list(COLUMNS)).astype(COLUMNS)


_SCORES = ["judge_rubric", "judge_correct", "judge_agreement", "judge_win", "judge_consistency"]
_SCORES += ["exact_match", "fuzzy_em", "refusal_judged", "refusal_detected"]


def _figures(rows: Sequence[Row], exact: Mapping[tuple[str, str], float | None]) -> dict[str, Any]:
    wins = [row["judge_win"] for row in rows if row["judge_win"] is not None]
    correct = [(row["judge_correct"], _exact(row)) for row in rows]
    both = [(a, b) for a, b in correct if a is not None and b is not None]
    refusals = [
        (row["refusal_judged"], row["refusal_detected"])
        for row in rows
        if row["refusal_judged"] is not None
    ]
    decided = [pair for row in rows if (pair := _decided(row, exact)) is not None]
    return {
        "judge_model": rows[0]["judge_model"],
        "grades": _mean_grades(rows),
        "n": len(rows),
        "n_graded": sum(row["judge_rubric"] is not None for row in rows),
        "rubric": _mean([row["judge_rubric"] for row in rows]),
        "correct_share": _mean([row["judge_correct"] for row in rows]),
        "n_compared": len(wins),
        "n_same": sum(row["judge_pair_error"] == SAME_TEXT for row in rows),
        "wins": wins.count(1.0),
        "ties": wins.count(0.5),
        "losses": wins.count(0.0),
        "win_rate": _mean(wins),
        "consistency": _mean([row["judge_consistency"] for row in rows]),
        "first_share": _first_share(rows),
        "n_exact": len(both),
        "agreement": _mean([float(a == b) for a, b in both]),
        "kappa": cohens_kappa(both),
        "n_decided": len(decided),
        "pair_agreement": _mean(decided),
        "n_refusals": len(refusals),
        "refused": _mean([judged for judged, _ in refusals]),
        "rule_agreement": _mean([float(a == b) for a, b in refusals]),
        "nulls": _nulls(rows),
        **_bill(rows),
    }


def cohens_kappa(pairs: Sequence[tuple[float, float]]) -> float | None:
    """Return the agreement of two raters beyond chance (Cohen 1960); 1 is full, 0 chance alone.

    Args:
        pairs: What each of the two said, 0 or 1.

    Returns:
        The figure; ``None`` for no pairs, and where chance alone would agree on everything.
    """
    n = len(pairs)
    if not n:
        return None
    first, second = (sum(side) / n for side in zip(*pairs, strict=True))
    chance = first * second + (1 - first) * (1 - second)
    seen = sum(a == b for a, b in pairs) / n
    return None if chance == 1.0 else (seen - chance) / (1 - chance)


def _exact(row: Row) -> float | None:
    value: float | None = row["fuzzy_em"] if row["exact_match"] is None else row["exact_match"]
    return value


def _decided(row: Row, exact: Mapping[tuple[str, str], float | None]) -> float | None:
    """Return whether the exactly right response of a pair won; ``None`` if not one is right."""
    own, base = _exact(row), exact.get((row["model"], row["job_id"]))
    if row["judge_win"] is None or own is None or base is None or own == base:
        return None
    return float(row["judge_win"] == own)


def _first_share(rows: Sequence[Row]) -> float | None:
    compared = [row for row in rows if row["judge_consistency"] is not None]
    first = [row["judge_first"] == "win" for row in compared if row["judge_first"] != "tie"]
    first += [row["judge_second"] == "loss" for row in compared if row["judge_second"] != "tie"]
    return _mean([float(value) for value in first])


def _mean_grades(rows: Sequence[Row]) -> str:
    grades = [json.loads(row["judge_grades"]) for row in rows if row["judge_grades"] is not None]
    names = grades[0] if grades else ()
    return json.dumps({name: sum(g[name] for g in grades) / len(grades) for name in names})


def _nulls(rows: Sequence[Row]) -> str:
    nulls = (
        ("judge_rubric", "judge_rubric_error"),
        ("judge_win", "judge_pair_error"),
        ("refusal_judged", "judge_refusal_error"),
    )
    unknown = ((row[why] for row in rows if row[name] is None) for name, why in nulls)
    counts = Counter(reason for reasons in unknown for reason in reasons if reason is not None)
    return "; ".join(f"{reason}: {count}" for reason, count in sorted(counts.items()))


def _bill(rows: Sequence[Row]) -> dict[str, Any]:
    names = ("calls", "prompt_tokens", "completion_tokens", "spent_calls", "usd", "spent_usd")
    return {name: total(row[f"judge_{name}"] for row in rows) for name in names}


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


NOTE = """\
rubric: mean grade, 0 to 1. win: wins and half the ties against judge.against; a win takes both
orders. same: both orders agree. first: verdicts for the response shown first. agree: judge and
exact match agree on what is correct; kappa: beyond chance. calls, tokens, $: the judge's own bill.
"""


REFUSALS = (
    "{}: {refused:.2f} of {n_refusals} to privacy tasks refuse; the rule of this project"
    " agrees on {rule_agreement:.2f}"
)


def show_judgements(judge_summary: DataFrame) -> str:
    """Print the summary, and return it as text."""
    lines = []
    for (model, benchmark), part in judge_summary.groupby(["model", "benchmark"], sort=True):
        sheet = Sheet(HEADINGS, [_cells(row) for row in row_dicts(part)])
        judges = ", ".join(sorted(set(part["judge_model"])))
        lines.append(f"\n{benchmark}, model {model}, judged by {judges}")
        lines.append(sheet.aligned(("policy.variant",)))
        nulls = {full_name(row): row["nulls"] for row in row_dicts(part)}
        lines += [_refusals(row) for row in row_dicts(part) if row["n_refusals"]]
        lines += [f"not judged, {name}: {why}" for name, why in nulls.items() if why]
    text = "\n".join([*lines, "", NOTE])
    click.echo(text)
    return text


def _refusals(row: Row) -> str:
    answers = counted_as(int(row["n_refusals"]), "answer")
    return REFUSALS.format(full_name(row), **{**row, "n_refusals": answers})


HEADINGS = ("policy.variant", "graded", "rubric", "compared", "win", "same", "first", "agree",
            "kappa", "calls", "tokens", "$")  # fmt: skip

_SHARES = ("win_rate", "consistency", "first_share", "agreement", "kappa")


def _cells(row: Row) -> tuple[str, ...]:
    return (
        full_name(row),
        f"{row['n_graded']}/{row['n']}",
        number(row["rubric"], "{:.2f}"),
        f"{row['n_compared']}/{row['n']}",
        *(number(row[name], "{:.2f}") for name in _SHARES),
        str(row["calls"]),
        str(row["prompt_tokens"] + row["completion_tokens"]),
        number(row["usd"], "{:.4f}"),
    )
