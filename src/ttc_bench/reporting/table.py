"""What a run prints: the baseline and every variant beside it, by benchmark; the decision."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Iterator, Sequence

from ttc_bench.reporting.budgets import ALL
from ttc_bench.reporting.decision import headline, lines
from ttc_bench.reporting.params import Order
from ttc_bench.reporting.privacy import TOLD
from ttc_bench.reporting.row_dicts import Row, full_name, group_key, row_dicts
from ttc_bench.reporting.sheet import counted_as, known, wrapped
from ttc_bench.reporting.speeds import speeds_of
from ttc_bench.reporting.table_columns import Column, Entry, fitting, ordered, sheet, telling
from ttc_bench.types import DataFrame

GLOSSES = {
    "speed": "speed is against plain decoding of the same questions, timed beside it: more is"
    " faster",
    "TTFT": "TTFT is the time to the first token over plain decoding's: less is sooner",
    "same": "same is the share of answers that are the baseline's",
}
"""What columns mean, by heading; those that are not shown need no word."""

REPLAYED = (
    "r: some calls were replayed from the journal of an earlier run, which have no time; times and"
    " speed are of the others."
)

LEFT_OUT = "All columns, {n} more than fit here, are in summary.txt."

FAILED = "{name}: {n_failed} of {n} failed: {failures}."

FLOORS = {
    "constant": "{:.2f} by always the same answer",
    "constant_by_task": "{:.2f} by the best one for each type",
    "shuffled": "{:.2f} by the answer to another question of the type",
}
"""What scores without a look at the question, by column of the floors."""

AT_FLOOR = " Not shown to be above that: {names}."

NO_BASELINE = "{title}: there is no baseline, so nothing is compared with it."

NOT_RUN = "Not run on {benchmark} (without markers in its answers, or not asked): {names}."

ONE_JOB = "{title}: one job allows no interval; nothing is decided by it."


def render(
    summary: DataFrame,
    intervals: DataFrame,
    speeds: DataFrame,
    floors: DataFrame,
    verdicts: DataFrame,
    decision: DataFrame,
    cautions: Iterable[str] = (),
    *,
    order: Order = "policy",
    width: int | None = None,
) -> str:
    """Return the summary as text: by model a table per benchmark, and then the decision.

    Args:
        summary: One row per model, benchmark, policy and variant.
        intervals: Means and differences with their intervals.
        speeds: See `ttc_bench.reporting.speeds`.
        floors: See `ttc_bench.reporting.floors`.
        verdicts: See `ttc_bench.reporting.verdicts`.
        decision: See `ttc_bench.reporting.decision`.
        cautions: What to know before the figures are believed.
        order: What the rows are sorted by.
        width: Most characters of a line: of the columns the important ones are shown, as far as
            they fit, and sentences are wrapped. ``None`` shows all.
    """
    groups = entries_of(summary, intervals, speeds, verdicts)
    everything = [entry for entries in groups.values() for entry in entries]
    columns = fitting(everything, width)
    absent = absent_lines(summary)
    parts = []
    for (model, benchmark), entries in groups.items():
        title = f"{benchmark}, model {model}"
        before = [*_warnings(title, entries), absent.get((model, benchmark), "")]
        behind = [
            *_failures(entries),
            coverage_line(floors, str(benchmark)),
            floor_line(floors, str(benchmark), entries),
            refusal_line(intervals, benchmark),
        ]
        table = f"{title}\n{sheet(ordered(entries, order), columns)}"
        parts += [_lines(before, width), table, _lines(behind, width)]
    left_out = len(telling(everything)) - len(columns)
    parts += [_lines((*cautions, *notes(everything, columns, left_out)), width)]
    parts += _decisions(decision, summary, width)
    return "\n" + "\n\n".join(part for part in parts if part) + "\n"


def _lines(sentences: Iterable[str], width: int | None) -> str:
    return "\n".join(wrapped(line, width) for line in sentences if line)


def notes(entries: Sequence[Entry], columns: Sequence[Column], left_out: int) -> Iterator[str]:
    """Yield how to read the table; what is not in it needs no word."""
    headings = {column.heading for column in columns}
    of = {"vs base": "differences", "TTFT": "TTFT", "speed": "speeds"}
    bounded = [plural for heading, plural in of.items() if heading in headings]
    listed = ", ".join(bounded[:-1]) + (" and " if bounded[1:] else "") + "".join(bounded[-1:])
    told = [f"Intervals of {listed} hold for all variants at once"] if bounded else []
    told += [gloss for heading, gloss in GLOSSES.items() if heading in headings]
    if told:
        yield f"{'; '.join(told)}."
    if any(entry.row["n_replayed"] for entry in entries):
        yield REPLAYED
    if left_out:
        yield LEFT_OUT.format(n=left_out)


def entries_of(
    summary: DataFrame, intervals: DataFrame, speeds: DataFrame, verdicts: DataFrame
) -> dict[tuple[Hashable, Hashable], list[Entry]]:
    """Return what is known of each variant, by model and benchmark."""
    ratios, ruled = speeds_of(speeds), {group_key(row): row for row in row_dicts(verdicts)}
    bounds = {group_key(row): row for row in row_dicts(intervals) if row["metric"] == "reward"}
    groups: dict[tuple[Hashable, Hashable], list[Entry]] = {}
    for row in row_dicts(summary.sort_values(["model", "benchmark"], kind="stable")):
        key = group_key(row)
        verdict = ruled.get(key, {})
        told = verdict.get("verdict"), verdict.get("same_share")
        entry = Entry(row, bounds.get(key, {}), ratios.get(key, {}), *told)
        groups.setdefault((row["model"], row["benchmark"]), []).append(entry)
    return groups


def _warnings(title: str, entries: Sequence[Entry]) -> Iterator[str]:
    """Yield why nothing is compared, or nothing is decided."""
    if not any(entry.is_baseline for entry in entries):
        yield NO_BASELINE.format(title=title)
    if max(entry.row["n"] for entry in entries) == 1:
        yield ONE_JOB.format(title=title)


def _failures(entries: Sequence[Entry]) -> Iterator[str]:
    """Yield a line for each variant of which responses failed, with the reasons."""
    for row in (entry.row for entry in entries):
        if row["n_failed"]:
            yield FAILED.format(name=full_name(row), **row)


def _decisions(decision: DataFrame, summary: DataFrame, width: int | None) -> Iterator[str]:
    """Yield the decision of each model, a line per aim, or why there is none."""
    models = summary.groupby("model", sort=True)
    for model, part in models:
        title = f"Decision, {model}:" if len(models) > 1 else "Decision:"
        told = lines(decision, model) or [headline(decision, model, None, part)]
        yield "\n".join([title, *(wrapped(f"  {line}", width, "    ") for line in told)])


def coverage_line(floors: DataFrame, benchmark: str) -> str:
    """Return what of its source a benchmark covers; nothing where the jobs do not tell."""
    rows = (r for r in row_dicts(floors) if (r["benchmark"], r["task"]) == (benchmark, ALL))
    return next((_covered(row) for row in rows if known(row["source_jobs"])), "")


def _covered(row: Row) -> str:
    n, of, types, all_types = (
        int(row[name]) for name in ("n_jobs", "source_jobs", "n_tasks", "source_tasks")
    )
    questions = f"All {counted_as(n, 'question')}" if n == of else f"{n} of the {of} questions"
    which = "its" if types == all_types else f"{types} of its"
    return f"{questions} of the source, from {which} {counted_as(all_types, 'type')}."


def floor_line(floors: DataFrame, benchmark: str, entries: Sequence[Entry]) -> str:
    """Return the floors of a benchmark in words, and the variants that may lie below them.

    Args:
        floors: See `ttc_bench.reporting.floors`.
        benchmark: Name of the benchmark.
        entries: What is known of its variants.
    """
    whole = [r for r in row_dicts(floors) if (r["benchmark"], r["task"]) == (benchmark, ALL)]
    if not whole:
        return ""
    floor = whole[0]
    if not known(floor["constant"]):
        return ""
    top = max(floor[name] for name in FLOORS if known(floor[name]))
    lows = {full_name(entry.row): entry.reward.get("mean_low") for entry in entries}
    below = [name for name, low in lows.items() if known(low) and low <= top]
    told = (form.format(floor[name]) for name, form in FLOORS.items() if known(floor[name]))
    line = f"Without a look at the question one scores {', '.join(told)}."
    return line + (AT_FLOOR.format(names=", ".join(below)) if below else "")


def refusal_line(intervals: DataFrame, benchmark: Hashable) -> str:
    """Return who says whether answers to a benchmark refuse; nothing where none should."""
    figures = set(intervals["metric"][intervals["benchmark"] == benchmark])
    told = (text for figure, text in TOLD.items() if figure in figures)
    return next(told, "").format(benchmark=benchmark)


def not_run(summary: DataFrame, model: Hashable, benchmark: Hashable) -> list[str]:
    """Return the variants that ran on other benchmarks of the model, but not on this one."""
    names = summary["policy"] + "." + summary["variant"]
    own = summary["model"] == model
    here = own & (summary["benchmark"] == benchmark)
    return sorted(set(names[own]) - set(names[here]))


def absent_lines(summary: DataFrame) -> dict[tuple[Hashable, Hashable], str]:
    """Return a line for each model and benchmark that lacks variants which ran on another one."""
    lines: dict[tuple[Hashable, Hashable], str] = {}
    for (model, benchmark), _ in summary.groupby(["model", "benchmark"], sort=True):
        if names := not_run(summary, model, benchmark):
            line = NOT_RUN.format(benchmark=benchmark, names=", ".join(names))
            lines[model, benchmark] = line
    return lines
