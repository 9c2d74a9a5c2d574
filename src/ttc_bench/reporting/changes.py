"""What changed between two runs, as text and as one HTML file."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, get_args

from ttc_bench.reporting.candidates import change
from ttc_bench.reporting.html import CORRECTED, environment, shown_plot
from ttc_bench.reporting.pairing import RUN_PAIR
from ttc_bench.reporting.plots.changes_plot import CHANGES_PLOT
from ttc_bench.reporting.row_dicts import Row, full_name, row_dicts
from ttc_bench.reporting.run_choice import KeptRun
from ttc_bench.reporting.sheet import (
    Sheet,
    cell,
    counted_as,
    known,
    number,
    plain_sheet,
    wrapped,
)
from ttc_bench.reporting.verdicts import word_of
from ttc_bench.statistics.decision import Word
from ttc_bench.types import DataFrame

MOST_SETTINGS = 20
"""Changed settings that the terminal shows."""

SECONDS = "seconds, before | after"

HEADINGS = (
    "policy.variant",
    "pairs",
    "before",
    "after",
    "change of reward",
    CORRECTED,
    "up",
    "down",
    "verdict",
    SECONDS,
    "tokens",
    "FLOPs",
    "US$",
)
LEFT = ("policy.variant", "verdict")

DROPPED = (SECONDS, CORRECTED, "before", "down", "up", "after", "tokens", "pairs", "FLOPs", "US$")
"""Columns that a terminal has no room for, the first of them first."""

LEFT_OUT = "Columns that do not fit here are in changes.txt."

REPLAYED = (
    " Of {pairs} {replayed} {have} a side that was replayed from the journal: where the other side"
    " is the same stored call, an answer is compared with itself."
)

TIMES = ("mean_before", "mean_after")

COSTS = ("total_tokens", "flops", "usd")
"""Metrics of the last columns."""

NOTE = """\
pairs: questions that both runs asked; before, after: mean reward over these, 0 where one failed.
change: after minus before, with intervals that hold for all variants at once. p: chance of so
large a change where there is none, corrected for the number of variants. up, down: questions with
a higher, a lower reward. tokens, FLOPs, US$: change of what was paid, in per cent; * where its
interval, too, says cheaper or dearer. seconds: both means, each of the machine and day named above,
so that they are not compared; speeds beside a control, and times to first token, are in the
reports of the runs.
"""


def render(
    pairs: Iterable[tuple[KeptRun, KeptRun]],
    changes: DataFrame,
    settings: DataFrame,
    not_compared: DataFrame,
    width: int | None = None,
) -> str:
    """Return what changed as text: the runs, their settings, a table per benchmark, what is left.

    Args:
        pairs: Before and after, by model.
        changes: One row per variant and metric.
        settings: Settings that differ.
        not_compared: What only one of the runs has.
        width: Most characters of a line, for which tables lose columns; ``None`` keeps all.
    """
    parts = [f"{side}: {text}" for pair in pairs for side, text in described(pair)]
    parts.append(f"\n{settings_text(settings, 'see changes.html')}")
    parts += [f"\n{line}" for line in headlines(changes)]
    parts = [_within(part, width) for part in parts]
    for key, part in changes.groupby(RUN_PAIR, sort=True):
        parts.append(f"\n{title(key)}\n{_fitting(changes_sheet(part), width)}")
    if len(not_compared):
        parts.append("\nNot compared:")
        parts += [_within(f"  {line}", width) for line in left_out(not_compared)]
    return "\n".join([*parts, "", NOTE])


def _within(text: str, width: int | None) -> str:
    return "\n".join(wrapped(line, width, "    ") for line in text.split("\n"))


def _fitting(sheet: Sheet, width: int | None) -> str:
    """Return a table without the columns for which a line has no room, and that it is so."""
    text = sheet.aligned(LEFT)
    for name in ("", *DROPPED):
        if width is None or max(map(len, text.splitlines())) <= width:
            break
        sheet = sheet.telling()
        others = [place for place, heading in enumerate(sheet.headings) if heading != name]
        columns = [sheet.headings[place] for place in others]
        sheet = Sheet(columns, [[row[place] for place in others] for row in sheet.rows])
        text = f"{sheet.aligned(LEFT)}\n{LEFT_OUT}"
    return text


def described(pair: tuple[KeptRun, KeptRun]) -> list[tuple[str, str]]:
    """Return one line per side: run, model, configuration, commit and time."""
    return [
        (
            side,
            f"run {one.run}, model {one.model}, configuration {one.config},"
            f" commit {one.commit[:12]}, {one.recorded_at[:19]} UTC on {one.host} ({one.device})",
        )
        for side, one in zip(("before", "after "), pair, strict=True)
    ]


def title(key: Sequence[Any]) -> str:
    """Return the heading of a model pair and benchmark."""
    before, after, benchmark = key
    return f"{benchmark}, model {before}" + ("" if before == after else f" -> {after}")


def settings_text(settings: DataFrame, rest_at: str) -> str:
    """Return the settings that differ as text, or that none does.

    Args:
        settings: Settings that differ.
        rest_at: Where those stand that are too many to be told here, in words.
    """
    if not len(settings):
        return "No setting changed, nor code, nor versions."
    distinct = settings.drop_duplicates(["setting", "before", "after"])
    lines = [f"  {r['setting']}: {r['before']} -> {r['after']}" for r in row_dicts(distinct)]
    more = len(lines) - MOST_SETTINGS
    rest = [f"  and {more} more, {rest_at}"] if more > 0 else []
    return "\n".join(["Changed settings:", *lines[:MOST_SETTINGS], *rest])


def headlines(changes: DataFrame) -> list[str]:
    """Return what changed in one sentence per model pair and benchmark."""
    if not len(changes):
        return [
            "Nothing can be compared: no variant was run on the same question by both, see below."
        ]
    lines = []
    for key, part in changes[changes["metric"] == "reward"].groupby(RUN_PAIR, sort=True):
        rows = row_dicts(part)
        count = Counter(str(row["verdict"]) for row in rows)
        text = ", ".join(f"{count[word]} {word}" for word in get_args(Word) if count[word])
        up, down, pairs = (int(part[name].sum()) for name in ("n_up", "n_down", "n_pairs"))
        line = f"{title(key)}: of {counted_as(len(rows), 'variant')} {text};"
        line += f" of {counted_as(pairs, 'reward')} {up} rose and {down} fell."
        if replayed := int(part["n_replayed"].sum()):
            have = "has" if replayed == 1 else "have"
            line += REPLAYED.format(pairs=counted_as(pairs, "pair"), replayed=replayed, have=have)
        decided = [row for row in rows if row["verdict"] in ("better", "worse")]
        if decided:
            most = max(decided, key=lambda row: abs(row["difference"]))
            line += f" The largest change: {full_name(most)}, {change(most)}."
        lines.append(line)
    return lines


def changes_sheet(part: DataFrame) -> Sheet:
    """Return one row per variant of one model pair and benchmark."""
    by_name: dict[str, dict[str, Row]] = {}
    for row in row_dicts(part):
        by_name.setdefault(full_name(row), {})[row["metric"]] = row
    return Sheet(HEADINGS, [_cells(name, rows) for name, rows in by_name.items()])


def _cells(name: str, rows: Mapping[str, Row]) -> list[str]:
    reward = rows["reward"]
    return [
        name,
        cell(reward["n_pairs"]),
        number(reward["mean_before"], "{:.3f}"),
        number(reward["mean_after"], "{:.3f}"),
        change(reward) if known(reward["difference"]) else "-",
        number(reward["p_adjusted"], "{:.3f}"),
        cell(reward["n_up"]),
        cell(reward["n_down"]),
        verdict(reward),
        "{} | {}".format(*(number(rows.get("latency_s", {}).get(n), "{:.3f}") for n in TIMES)),
        *(percent(rows.get(metric)) for metric in COSTS),
    ]


def verdict(row: Row) -> str:
    """Return the verdict, and for an undecided one the pairs that would show the margin."""
    if row["verdict"] == "undecided" and known(row["n_needed"]):
        return f"undecided, {row['margin']:g} from about {int(row['n_needed'])} pairs"
    if row["verdict"] == "identical":
        return f"identical, up to {row['differ_high']:.0%} may differ"
    return word_of(row)


def percent(row: Row | None) -> str:
    """Return the change of a cost in per cent, with a star where its interval decides it."""
    if row is None or not known(row["ratio"]):
        return "-"
    if math.isinf(row["ratio"]):
        return f"from 0{'*' if row['verdict'] != 'undecided' else ' '}"
    return f"{100 * (row['ratio'] - 1):+.1f}%{'*' if row['verdict'] != 'undecided' else ' '}"


def left_out(not_compared: DataFrame) -> list[str]:
    """Return one line per benchmark and reason: how many questions of which variants."""
    lines = []
    for (benchmark, reason), part in not_compared.groupby(["benchmark", "reason"], sort=True):
        names = [full_name(row) for row in row_dicts(part)]
        shown = ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
        most = int(part["n_questions"].max())
        lines.append(f"{benchmark}, {reason}: {shown} ({counted_as(most, 'question')})")
    return lines


def render_html(
    pairs: Iterable[tuple[KeptRun, KeptRun]],
    changes: DataFrame,
    tables: Mapping[str, DataFrame],
    still: bytes,
) -> str:
    """Return what changed as HTML with everything inlined.

    Args:
        pairs: Before and after, by model.
        changes: One row per variant and metric.
        tables: ``answers``, ``settings`` and ``not_compared``.
        still: The plot of the changes as PNG.
    """
    return (
        environment()
        .get_template("changes.html.j2")
        .render(
            runs=[line for pair in pairs for line in described(pair)],
            headlines=headlines(changes),
            settings=plain_sheet(tables["settings"]),
            sheets=[(title(k), changes_sheet(p)) for k, p in changes.groupby(RUN_PAIR, sort=True)],
            plot=shown_plot(CHANGES_PLOT, {"run_changes": changes}, still),
            left_out=left_out(tables["not_compared"]),
            details=[
                ("Every metric", plain_sheet(changes)),
                ("Answers that changed", plain_sheet(tables["answers"])),
            ],
            note=NOTE,
        )
    )
