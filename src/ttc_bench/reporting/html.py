"""The report of a run: one HTML file that needs nothing else to be opened."""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ttc_bench.reporting.budgets import budget_sheet, pareto_places
from ttc_bench.reporting.candidates import change
from ttc_bench.reporting.cautions import cautions
from ttc_bench.reporting.decision import EVERYWHERE, headline, lines, sentences
from ttc_bench.reporting.drawing.words import finding
from ttc_bench.reporting.plots import Plot, plots
from ttc_bench.reporting.row_dicts import Row, full_name, group_key, row_dicts
from ttc_bench.reporting.sheet import Sheet, cell, known, number, plain_sheet
from ttc_bench.reporting.table import absent_lines, entries_of, refusal_line
from ttc_bench.reporting.table_columns import Entry, same, speed, ttft, valid
from ttc_bench.types import BASELINE, DataFrame

if TYPE_CHECKING:
    from jinja2 import Environment

CORRECTED = "p (corrected)"
"""Heading of p-values that are corrected for the number of comparisons."""

PEOPLE = {
    "human_strengths": "Strengths by the pairs that people judged",
    "human_grades": "Mean grades",
    "human_agreement": "How far they agree: with each other, the reward and a judge model",
}
"""Tables of what people said, by name; empty where nobody was asked."""


def render(
    tables: Mapping[str, DataFrame],
    stills: Mapping[str, bytes],
    facts: Mapping[str, Any],
    parameters: str,
) -> str:
    """Return the report as HTML with everything inlined.

    Args:
        tables: Tables of the aggregate stage by their name in the catalog, ``all_scores`` too.
        stills: PNG files by the name of the plot.
        facts: Run, commit, seeds, versions and the like, by heading; see `provenance.facts`.
        parameters: All parameters as text.
    """
    summary = tables["bench_summary"]
    return (
        environment()
        .get_template("report.html.j2")
        .render(
            decisions=list(_decisions(tables)),
            summaries=[
                (f"{benchmark}, model {model}", summary_sheet(part, tables).telling())
                for (model, benchmark), part in summary.groupby(["model", "benchmark"], sort=True)
            ],
            plots=[shown_plot(plot, tables, stills[plot.name]) for plot in plots()],
            absent=[*absent_lines(summary).values(), *_refusal_lines(tables["intervals"])],
            people=list(_people(tables)),
            failures=plain_sheet(tables["failures"]),
            cautions=cautions(tables["all_scores"]),
            details=[
                ("Every variant against the baseline", plain_sheet(tables["verdicts"])),
                ("Every pair of variants", comparison_sheet(tables["comparisons"])),
                (
                    "Times of every pair of variants (cheaper or dearer by seconds, by TTFT)",
                    plain_sheet(tables["speeds"]),
                ),
                ("Floors: what answering without looking scores", plain_sheet(tables["floors"])),
                ("Frontier by difficulty and cost", plain_sheet(tables["frontier"])),
                ("Best choice by budget", plain_sheet(tables["choices"])),
                ("Scaling curves", plain_sheet(tables["scaling"])),
            ],
            facts=facts,
            parameters=parameters,
        )
    )


def _people(tables: Mapping[str, DataFrame]) -> Iterator[tuple[str, Sheet]]:
    """Yield what people said of the models of this run, with what it is."""
    models = set(tables["all_scores"]["model"])
    for name, title in PEOPLE.items():
        table = tables.get(name)
        if table is not None and len(table) and table["model"].isin(models).any():
            yield title, plain_sheet(table[table["model"].isin(models)])


def _refusal_lines(intervals: DataFrame) -> Iterator[str]:
    """Yield who says whether answers refuse, of each benchmark with privacy tasks."""
    for benchmark in sorted(set(intervals["benchmark"])):
        if line := refusal_line(intervals, benchmark):
            yield line


def shown_plot(plot: Plot, tables: Mapping[str, DataFrame], still: bytes) -> dict[str, Any]:
    """Return a plot as a report shows it: no picture of nothing, and words for each picture."""
    figure = plot.describe(*(tables[name] for name in plot.tables))
    return {
        "title": plot.title,
        "caption": plot.caption,
        "finding": finding(figure),
        "png": None if figure.is_empty else base64.b64encode(still).decode(),
    }


def _decisions(tables: Mapping[str, DataFrame]) -> Iterator[dict[str, Any]]:
    """Yield the decision of each model, and what it rests on."""
    summary, decision = tables["bench_summary"], tables["decision"]
    models = summary.groupby("model", sort=True)
    for model, of_model in models:
        yield {
            "title": f"Model {model}" if len(models) > 1 else "",
            "headlines": _headlines(decision, model, of_model),
            "aims": lines(decision, model),
            "parts": [
                {
                    "benchmark": benchmark,
                    "headline": headline(decision, model, benchmark, part),
                    "budgets": budget_sheet(_where(tables["choices"], model, benchmark)),
                    "sentences": sentences(_where(tables["verdicts"], model, benchmark)),
                }
                for benchmark, part in of_model.groupby("benchmark", sort=True)
            ],
        }


def _headlines(decision: DataFrame, model: Any, summary: DataFrame) -> list[str]:
    """Return what holds on all benchmarks; where nothing does, what holds on each."""
    own = decision[decision["model"] == model]
    named = own[own["policy"].notna()]
    benchmarks = summary.groupby("benchmark", sort=True)
    if len(benchmarks) > 1 and (named.empty or (named["benchmark"] == EVERYWHERE).any()):
        return [headline(decision, model, EVERYWHERE, summary)]
    return [
        (f"{name}: " if len(benchmarks) > 1 else "") + headline(decision, model, name, part)
        for name, part in benchmarks
    ]


def _where(table: DataFrame, model: Any, benchmark: Any) -> DataFrame:
    own: DataFrame = table[(table["model"] == model) & (table["benchmark"] == benchmark)]
    return own


def environment() -> Environment:
    """Return the environment of the templates: all text is escaped, nothing may be missing."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    return Environment(
        loader=PackageLoader("ttc_bench.reporting"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def summary_sheet(summary: DataFrame, tables: Mapping[str, DataFrame]) -> Sheet:
    """Return one row per variant of one model and benchmark; the baseline comes first."""
    bounds = {group_key(r): r for r in row_dicts(tables["intervals"]) if r["metric"] == "reward"}
    versus = {
        (r["model"], r["benchmark"], r["policy_a"], r["variant_a"]): r
        for r in row_dicts(tables["comparisons"])
        if r["metric"] == "reward" and (r["policy_b"], r["variant_b"]) == BASELINE
    }
    parts = (tables[name] for name in ("intervals", "speeds", "verdicts"))
    entries = [entry for own in entries_of(summary, *parts).values() for entry in own]
    places = pareto_places(tables["frontier"])
    entries.sort(key=lambda entry: (not entry.is_baseline, group_key(entry.row)))
    headings = ("policy.variant", "verdict", "valid", "reward", "against baseline", CORRECTED)
    more = (
        "speed",
        "TTFT",
        "same",
        "timed",
        "p50 (s)",
        "p95 (s)",
        "tokens",
        "GFLOP",
        "US$",
        "Pareto-optimal by",
    )
    cells = [
        [
            full_name(entry.row),
            str(entry.verdict) if known(entry.verdict) else "-",
            *_quality(entry, bounds.get(group_key(entry.row)), versus.get(group_key(entry.row))),
            *(text(entry) or "-" for text in (speed, ttft, same)),
            cell(entry.row["n_valid"] - entry.row["latency_s_nulls"]),
            *_costs(entry.row),
            places.get(group_key(entry.row), "-"),
        ]
        for entry in entries
    ]
    return Sheet((*headings, *more), cells)


def _quality(entry: Entry, bound: Row | None, versus: Row | None) -> list[str]:
    reward = "-"
    if bound is not None:
        reward = cell(bound["mean"])
        if known(bound["mean_low"]):
            reward += f" [{bound['mean_low']:.3f}, {bound['mean_high']:.3f}]"
    return [
        valid(entry).strip(),
        reward,
        change(versus) if versus else "-",
        cell(versus["p_adjusted"]) if versus else "-",
    ]


def _costs(row: Row) -> list[str]:
    return [
        *(cell(row[name]) for name in ("latency_s_p50", "latency_s_p95", "total_tokens_mean")),
        number(row["flops_mean"], factor=1e-9),
        cell(row["usd_mean"]),
    ]


def comparison_sheet(comparisons: DataFrame) -> Sheet:
    """Return the comparisons of rewards of all pairs, a against b."""
    headings = ("a", "b", "verdict", "pairs", "a - b", CORRECTED, "test", "needed", "model",
                "benchmark")  # fmt: skip
    rows = [
        [
            full_name(r, "_a"),
            full_name(r, "_b"),
            str(r["verdict"]),
            cell(r["n_pairs"]),
            change(r),
            cell(r["p_adjusted"]),
            cell(r["test"]),
            cell(r["n_needed"]),
            str(r["model"]),
            str(r["benchmark"]),
        ]
        for r in row_dicts(comparisons)
        if r["metric"] == "reward"
    ]
    return Sheet(headings, rows)
