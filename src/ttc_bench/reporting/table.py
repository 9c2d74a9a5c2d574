"""What a run prints: the baseline and every variant beside it, by benchmark; the decision."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

from ttc_bench.reporting.budgets import ALL
from ttc_bench.reporting.decision import headline, lines
from ttc_bench.reporting.row_dicts import Row, full_name, group_key, row_dicts
from ttc_bench.reporting.sheet import Sheet, known, number
from ttc_bench.reporting.speeds import speeds_of
from ttc_bench.types import DataFrame

HEADINGS = (
    "policy.variant",
    "valid",
    "reward",
    "[95%]",
    "vs base",
    "[95%]",
    "verdict",
    "p50 s",
    "speed",
    "[95%]",
    "tokens",
    "GFLOP",
    "detail",
)
TEXT = ("policy.variant", "verdict", "detail")

NOTE = """\
Intervals of vs base and of speed hold for all variants at once. speed: times as fast as plain
decoding of the same jobs beside it. r: has replayed calls; times are of calls made in this run.
"""

FLOORS = (
    "Floors: {constant:.2f} one answer to everything, {constant_by_task:.2f} the best one of each"
    " task, {shuffled} the answer to another question of the task."
)

AT_FLOOR = " Not shown to be above them: {names}."

NO_BASELINE = "\n{benchmark}, model {model}: there is no baseline, so nothing is compared with it."

NOT_RUN = "Not run on {benchmark}, whose answers have no marker: {names}."

ONE_JOB = "\n{benchmark}, model {model}: one job allows no interval; nothing is decided by it."


def render(
    summary: DataFrame,
    intervals: DataFrame,
    speeds: DataFrame,
    floors: DataFrame,
    verdicts: DataFrame,
    decision: DataFrame,
) -> str:
    """Return the summary as text: by model a table per benchmark, and then the decision."""
    ratios, words = speeds_of(speeds), {group_key(r): r["verdict"] for r in row_dicts(verdicts)}
    bounds = {group_key(row): row for row in row_dicts(intervals) if row["metric"] == "reward"}
    absent = absent_lines(summary)
    parts = []
    for (model, benchmark), part in summary.groupby(["model", "benchmark"], sort=True):
        rows = sorted(row_dicts(part), key=lambda r: (r["policy"] != "baseline", r["policy"]))
        keys = [group_key(row) for row in rows]
        cells = [
            _cells(row, bounds.get(key, {}), ratios.get(key, {}), words.get(key))
            for row, key in zip(rows, keys, strict=True)
        ]
        table = Sheet(HEADINGS, cells).aligned(TEXT)
        if not any(row["policy"] == "baseline" for row in rows):
            parts.append(NO_BASELINE.format(benchmark=benchmark, model=model))
        if max(row["n"] for row in rows) == 1:
            parts.append(ONE_JOB.format(benchmark=benchmark, model=model))
        if line := absent.get((model, benchmark)):
            parts.append(f"\n{line}")
        parts.append(f"\n{benchmark}, model {model}\n{table}\n")
        if line := floor_line(floors, str(benchmark), rows, bounds):
            parts.append(f"{line}\n")
    return "\n".join([*parts, NOTE, *_decisions(decision, summary)])


def _decisions(decision: DataFrame, summary: DataFrame) -> Iterator[str]:
    """Yield the decision of each model, a line per aim, or why there is none."""
    models = summary.groupby("model", sort=True)
    for model, part in models:
        title = f"Decision, {model}:" if len(models) > 1 else "Decision:"
        told = lines(decision, model) or [headline(decision, model, None, part)]
        yield "\n".join([title, *(f"  {line}" for line in told), ""])


def floor_line(
    floors: DataFrame, benchmark: str, rows: Sequence[Row], bounds: Mapping[tuple[Any, ...], Row]
) -> str:
    """Return the floors of a benchmark in words, and the variants that may lie below them.

    Args:
        floors: See `ttc_bench.reporting.floors`.
        benchmark: Name of the benchmark.
        rows: Its rows of the summary.
        bounds: Mean rewards with their intervals, by `group_key`.
    """
    whole = [r for r in row_dicts(floors) if (r["benchmark"], r["task"]) == (benchmark, ALL)]
    if not whole:
        return ""
    floor = whole[0]
    top = max(value for value in (floor["constant_by_task"], floor["shuffled"]) if known(value))
    lows = {full_name(row): bounds.get(group_key(row), {}).get("mean_low") for row in rows}
    below = [name for name, low in lows.items() if known(low) and low <= top]
    line = FLOORS.format(**{**floor, "shuffled": number(floor["shuffled"], "{:.2f}")})
    return line + (AT_FLOOR.format(names=", ".join(below)) if below else "")


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


DETAILS: dict[str, tuple[str, Callable[[float], str]]] = {
    "acceptance_rate_mean": ("accept", lambda v: f"{v:.0%}"),
    "calls_mean": ("calls", lambda v: f"{v:.1f}"),
    "prompt_share_kept_mean": ("prompt", lambda v: f"{v:.0%}"),
    "kv_share_kept_mean": ("KV", lambda v: f"{v:.0%}"),
    "padding_share_mean": ("pad", lambda v: f"{v:.0%}"),
    "layers_per_token_mean": ("layers/tok", lambda v: f"{v:.1f}"),
}
"""What a policy changes; shown where it differs from a plain call."""

PLAIN = {
    "kv_share_kept_mean": 1.0,
    "prompt_share_kept_mean": 1.0,
    "padding_share_mean": 0.0,
    "calls_mean": 1.0,
}


def _cells(row: Row, reward: Row, speed: Row, verdict: Any) -> list[str]:
    is_baseline = row["policy"] == "baseline"
    return [
        full_name(row),
        f"{row['n_valid']}/{row['n']}{'r' if row['n_replayed'] else ' '}",
        number(reward.get("mean"), "{:.3f}"),
        _bounds(reward, "mean", "[{:.2f}, {:.2f}]"),
        "" if is_baseline else number(reward.get("difference"), "{:+.3f}"),
        "" if is_baseline else _bounds(reward, "difference", "[{:+.2f}, {:+.2f}]"),
        str(verdict) if known(verdict) else "",
        number(row["latency_s_p50"], "{:.3f}"),
        "" if is_baseline else number(speed.get("speed"), "{:.2f}x"),
        "" if is_baseline else _bounds(speed, "speed", "[{:.2f}, {:.2f}]"),
        number(row["total_tokens_mean"], "{:.0f}"),
        number(row["flops_mean"], "{:.2f}", 1e-9),
        _detail(row),
    ]


def _detail(row: Row) -> str:
    parts = []
    for column, (name, form) in DETAILS.items():
        value = row.get(column)
        if value is not None and known(value) and value != PLAIN.get(column):
            parts.append(f"{name} {form(value)}")
    failed = [f"failed: {row['failures']}"] if row["n_failed"] else []
    return ", ".join(parts[:1] + failed)


def _bounds(row: Row, name: str, form: str) -> str:
    ends = row.get(f"{name}_low"), row.get(f"{name}_high")
    return form.format(*ends) if all(map(known, ends)) else "-"
