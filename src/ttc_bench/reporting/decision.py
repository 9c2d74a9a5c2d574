"""The decision in plain sentences: what each budget buys, and what is not decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ttc_bench.reporting.budgets import ALL, COSTS
from ttc_bench.reporting.row_dicts import row_dicts
from ttc_bench.types import BASELINE, DataFrame

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Decision:
    """What the numbers of one model and benchmark allow one to say.

    Attributes:
        model: Name of the model.
        benchmark: Name of the benchmark.
        headline: The answer in one sentence.
        sentences: What each group of variants gives, against the baseline.
        budgets: One sentence per budget, by the first cost that is known.
    """

    model: str
    benchmark: str
    headline: str
    sentences: Sequence[str]
    budgets: Sequence[str]


def decide(choices: DataFrame, comparisons: DataFrame, summary: DataFrame) -> list[Decision]:
    """Return a decision per model and benchmark of the summary.

    A variant counts as better or worse only where the paired comparison with the baseline says so
    after correction for the number of comparisons; where the interval crosses 0 it is undecided.
    """
    found = []
    for (model, benchmark), part in summary.groupby(["model", "benchmark"], sort=True):
        key = {"model": model, "benchmark": benchmark}
        rows = [r for r in row_dicts(comparisons) if all(r[k] == v for k, v in key.items())]
        versus = [r for r in rows if _name(r, "b") == BASELINE]
        reward = {_name(r, "a"): r for r in versus if r["metric"] == "reward"}
        cost = {(_name(r, "a"), r["metric"]): r for r in versus}
        own = choices[(choices["model"] == model) & (choices["benchmark"] == benchmark)]
        headline = _headline(reward, part)
        sentences = _sentences(reward, cost)
        found.append(
            Decision(str(model), str(benchmark), headline, sentences, _budgets(own, reward))
        )
    return found


def _name(row: Row, side: str) -> tuple[str, str]:
    return row[f"policy_{side}"], row[f"variant_{side}"]


def _headline(reward: Mapping[tuple[str, str], Row], summary: DataFrame) -> str:
    if not int(summary["n_valid"].sum()):
        return "No response is valid, so nothing can be decided."
    if not reward:
        has_baseline = (summary["policy"] == BASELINE[0]).any()
        return (
            "Only the baseline was run: there is nothing to decide."
            if has_baseline
            else "There is no baseline, so no variant can be called better or worse."
        )
    better = [row for row in reward.values() if row["verdict"] == "better"]
    if better:
        best = max(better, key=lambda row: row["difference"])
        return f"{'.'.join(_name(best, 'a'))} answers better than the baseline: {change(best)}."
    n = max(int(row["n_pairs"]) for row in reward.values())
    return f"No variant is shown to answer better than the baseline on {n} questions."


def _sentences(
    reward: Mapping[tuple[str, str], Row], cost: Mapping[tuple[tuple[str, str], str], Row]
) -> list[str]:
    by_verdict: dict[str, list[Row]] = {}
    for row in reward.values():
        by_verdict.setdefault(str(row["verdict"]), []).append(row)
    lines = []
    for verdict in ("better", "equal", "worse", "undecided"):
        for row in sorted(by_verdict.get(verdict, ()), key=lambda r: -_known(r["difference"])):
            lines.append(_sentence(verdict, row, cost))
    return lines


def _sentence(
    verdict: str, row: Row, cost: Mapping[tuple[tuple[str, str], str], Row]
) -> str:  # fmt: skip
    name = _name(row, "a")
    words = {"better": "Better", "equal": "Equal", "worse": "Worse", "undecided": "Undecided"}
    line = f"{words[verdict]}: {'.'.join(name)}, reward {change(row)}"
    if verdict == "undecided" and pd.notna(row["n_needed"]):
        line += f"; about {int(row['n_needed'])} questions would be needed to decide"
    for metric, text in (("flops", "compute"), ("latency_s", "time")):
        other = cost.get((name, metric))
        if other is not None and other["verdict"] in ("better", "worse"):
            # A cost is better when there is less of it.
            line += f"; {'less' if other['verdict'] == 'better' else 'more'} {text}"
    return line + "."


def _known(value: Any) -> float:
    return float(value) if pd.notna(value) else 0.0


def change(row: Row) -> str:
    """Return a difference with its interval, e.g. ``+0.125 [+0.042, +0.250]``."""
    if pd.isna(row["difference"]):
        return "difference not known"
    if pd.isna(row["difference_low"]):
        return f"{row['difference']:+.3f} [no interval]"
    return f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"


def _budgets(choices: DataFrame, reward: Mapping[tuple[str, str], Row]) -> list[str]:
    whole = choices[choices["level"] == ALL]
    known = [name for name in COSTS if (whole["cost_metric"] == name).any()]
    lines = []
    for name in known[:2]:
        cost = COSTS[name]
        for row in row_dicts(whole[whole["cost_metric"] == name].sort_values("budget")):
            label = (row["policy"], row["variant"])
            line = (
                f"From {cost.form.format(row['budget'] * cost.factor)} a response: "
                f"{'.'.join(label)}, mean reward {row['quality']:.3f}"
            )
            if label in reward:
                line += f"; against the baseline {change(reward[label])}"
                line += f", {reward[label]['verdict']}"
            lines.append(line + ".")
    return lines
