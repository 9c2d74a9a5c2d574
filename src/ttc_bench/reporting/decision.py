"""The decision in plain sentences: what each budget buys, and what is not decided."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ttc_bench.reporting.budgets import ALL, COSTS
from ttc_bench.reporting.row_dicts import Row, full_name, row_dicts
from ttc_bench.reporting.sheet import known
from ttc_bench.reporting.speeds import speeds_of
from ttc_bench.types import BASELINE, DataFrame


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


def decide(
    choices: DataFrame, comparisons: DataFrame, speeds: DataFrame, summary: DataFrame
) -> list[Decision]:
    """Return a decision per model and benchmark of the summary.

    A variant counts as better or worse only where the paired comparison with the baseline says so
    after correction for the number of comparisons; where the interval crosses 0 it is undecided.
    """
    decisions = []
    for (model, benchmark), part in summary.groupby(["model", "benchmark"], sort=True):
        pairs, times, budgets = (
            table[(table["model"] == model) & (table["benchmark"] == benchmark)]
            for table in (comparisons, speeds, choices)
        )
        versus = [row for row in row_dicts(pairs) if full_name(row, "_b") == ".".join(BASELINE)]
        reward = {full_name(row, "_a"): row for row in versus if row["metric"] == "reward"}
        costs = {
            **{(full_name(row, "_a"), row["metric"]): row for row in versus},
            **{(full_name(r, "_a"), "speed"): r for r in speeds_of(times).values()},
        }
        decisions.append(
            Decision(
                str(model),
                str(benchmark),
                _headline(reward, part),
                _sentences(reward, costs),
                _budgets(budgets, reward),
            )
        )
    return decisions


def _headline(reward: Mapping[str, Row], summary: DataFrame) -> str:
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
        return f"{full_name(best, '_a')} answers better than the baseline: {change(best)}."
    n = max(int(row["n_pairs"]) for row in reward.values())
    return f"No variant is shown to answer better than the baseline on {n} questions."


def _sentences(reward: Mapping[str, Row], cost: Mapping[tuple[str, str], Row]) -> list[str]:
    lines = []
    for verdict in ("better", "equal", "worse", "undecided"):
        rows = [row for row in reward.values() if row["verdict"] == verdict]
        lines += [_sentence(verdict, row, cost) for row in sorted(rows, key=_loss)]
    return lines


def _loss(row: Row) -> float:
    return -float(row["difference"]) if known(row["difference"]) else 0.0


def _sentence(
    verdict: str, row: Row, cost: Mapping[tuple[str, str], Row]
) -> str:  # fmt: skip
    name = full_name(row, "_a")
    line = f"{verdict.capitalize()}: {name}, reward {change(row)}"
    if verdict == "undecided" and known(row["n_needed"]):
        line += f"; about {int(row['n_needed'])} questions would be needed to decide"
    compute, speed = cost.get((name, "flops"), {}), cost.get((name, "speed"), {})
    if compute.get("verdict") in ("better", "worse"):
        # A cost is better when there is less of it.
        line += f"; {'less' if compute['verdict'] == 'better' else 'more'} compute"
    if speed.get("verdict") in ("faster", "slower"):
        line += "; {speed:.2f} times as fast [{speed_low:.2f}, {speed_high:.2f}]".format(**speed)
    return line + "."


def change(row: Row) -> str:
    """Return a difference with its interval, e.g. ``+0.125 [+0.042, +0.250]``."""
    if not known(row["difference"]):
        return "difference not known"
    if not known(row["difference_low"]):
        return f"{row['difference']:+.3f} [no interval]"
    return f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"


def _budgets(choices: DataFrame, reward: Mapping[str, Row]) -> list[str]:
    whole = choices[choices["level"] == ALL]
    metrics = [name for name in COSTS if (whole["cost_metric"] == name).any()]
    lines = []
    for metric in metrics[:2]:
        cost = COSTS[metric]
        for row in row_dicts(whole[whole["cost_metric"] == metric].sort_values("budget")):
            name = full_name(row)
            line = (
                f"From {cost.form.format(row['budget'] * cost.factor)} a response: "
                f"{name}, mean reward {row['quality']:.3f}"
            )
            if name in reward:
                line += f"; against the baseline {change(reward[name])}"
                line += f", {reward[name]['verdict']}"
            lines.append(line + ".")
    return lines
