"""The decision: which variant for which aim, and what is known of each, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ttc_bench.reporting.budgets import COSTS
from ttc_bench.reporting.params import DecideParams
from ttc_bench.reporting.row_dicts import Row, full_name, row_dicts
from ttc_bench.reporting.sheet import known
from ttc_bench.reporting.verdicts import ENDS, SPENT, ratio_word, word_of
from ttc_bench.statistics.decision import EQUAL, Candidate, best, best_within, cheapest, fastest
from ttc_bench.statistics.speed import Ratio
from ttc_bench.types import BASELINE, GROUP, DataFrame

EVERYWHERE = "all"
"""Stands for all benchmarks in the column ``benchmark`` of the decision."""

NOTHING = "nothing yet"

COLUMNS = ("model", "benchmark", "aim", "policy", "variant", "reason")
"""Columns of the decision, all text; policy and variant are null where nothing is named."""

BUDGETS = {
    "budget_s": ("latency_s", "latency_s"),
    "budget_tokens": ("total_tokens", "total_tokens"),
    "budget_flops": ("flops", "flops"),
    "budget_usd": ("usd", "cost_usd"),
}
"""The metric that a budget is of, and the name of its cost in `COSTS`."""


@dataclass(frozen=True)
class Aim:
    """What someone may want, and which variant the data name for it.

    Attributes:
        label: The aim in words.
        choose: Returns the variant, from the candidates and the baseline.
        reason: Returns why, in words, from the row of the verdicts that is named.
    """

    label: str
    choose: Callable[[Sequence[Candidate], Candidate], Candidate | None]
    reason: Callable[[Row], str]


def decide(verdicts: DataFrame, params: DecideParams) -> DataFrame:
    """Return a row per model, benchmark and aim, with the variant that is named for it, if any.

    Where there are several benchmarks, `EVERYWHERE` is one more: what holds there holds on each of
    them, and figures are means of equal weights (of ratios, the geometric ones). Columns:
    `COLUMNS`.

    Args:
        verdicts: See `ttc_bench.reporting.verdicts`.
        params: Budgets.
    """
    import pandas as pd

    rows: list[tuple[str | None, ...]] = []
    for model, of_model in verdicts.groupby("model", sort=True):
        parts: dict[str, Sequence[Row]] = {
            str(name): row_dicts(part) for name, part in of_model.groupby("benchmark")
        }
        if len(parts) > 1:
            parts[EVERYWHERE] = _everywhere(list(parts.values()))
        for benchmark, part in parts.items():
            rows += [(str(model), benchmark, *row) for row in _of_benchmark(part, params)]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype("string")


def _of_benchmark(rows: Sequence[Row], params: DecideParams) -> Iterator[tuple[str | None, ...]]:
    by_name = {full_name(row): row for row in rows}
    baseline = by_name.get(".".join(BASELINE))
    if baseline is None or len(rows) == 1:
        return
    candidates = [candidate(row) for row in rows if row is not baseline]
    for aim in aims(baseline, params):
        choice = aim.choose(candidates, candidate(baseline))
        if choice is None:
            yield aim.label, None, None, _lack(rows)
        else:
            row = by_name[choice.name]
            yield aim.label, row["policy"], row["variant"], aim.reason(row)


def _everywhere(parts: Sequence[Sequence[Row]]) -> list[Row]:
    """Return the verdicts that hold on every benchmark, of the variants that ran on all."""
    by_name = [{full_name(row): row for row in part} for part in parts]
    shared = [name for name in by_name[0] if all(name in part for part in by_name)]
    return [_together([part[name] for part in by_name]) for name in shared]


def _together(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the weakest verdict, and ratios whose intervals hold those of all benchmarks."""
    words = {row["verdict"] for row in rows}
    equal = words <= set(EQUAL)
    word = words.pop() if len(words) == 1 else "as good" if equal else "undecided"
    columns = [name for name in rows[0] if name not in (*GROUP, "verdict", "n_pairs")]
    merged = {name: _merged(name, [row[name] for row in rows]) for name in columns}
    pairs = [row["n_pairs"] for row in rows]
    n_pairs = sum(pairs) if all(map(known, pairs)) else None
    identity = {name: rows[0][name] for name in GROUP}
    return {**identity, **merged, "verdict": word, "n_pairs": n_pairs}


def _merged(column: str, values: Sequence[Any]) -> float | None:
    if not all(map(known, values)):
        return None
    if column == "lossless":
        return all(values)
    if column.endswith(("_low", "_high")):
        return float((min if column.endswith("_low") else max)(values))
    if column.startswith("speed") or column.endswith("_ratio"):
        return math.exp(sum(map(math.log, values)) / len(values)) if min(values) > 0 else None
    return float(sum(values) / len(values))


def aims(baseline: Row, params: DecideParams) -> Iterator[Aim]:
    """Yield the aims of a benchmark: three that always are, and one for each budget."""
    # Of the costs, the first that the baseline pays at all.
    cost = next((name for name in SPENT if _is_paid(baseline[f"{name}_mean"])), "total_tokens")
    yield Aim("fastest at equal quality", lambda all_, _: fastest(all_), _faster)
    yield Aim(
        f"cheapest at equal quality, by {SPENT[cost]}",
        lambda all_, _: cheapest(all_, cost),
        lambda row: f"{_times(row, f'{cost}_ratio')} the {SPENT[cost]}, {word_of(row)}",
    )
    yield Aim("best at any price", lambda all_, _: best(all_), change)
    for name, (metric, label) in BUDGETS.items():
        budget = getattr(params, name)
        if budget is not None:
            yield _within(metric, label, budget)


def _within(metric: str, label: str, budget: float) -> Aim:
    text = COSTS[label].form.format(budget * COSTS[label].factor)
    return Aim(
        f"best within {text} a response",
        lambda all_, baseline: best_within(all_, baseline, metric, budget),
        lambda row: (
            f"mean {COSTS[label].form.format(row[f'{metric}_mean'] * COSTS[label].factor)}"
            + (f", {word_of(row)}" if known(row["verdict"]) else "")
        ),
    )


def _is_paid(mean: Any) -> bool:
    return known(mean) and mean > 0


def candidate(row: Row) -> Candidate:
    """Return a row of the verdicts as what may be named."""
    costs = {name: _ratio(row, f"{name}_ratio") for name in SPENT}
    spends = {m: row[f"{m}_mean"] for m in ("latency_s", *SPENT) if known(row[f"{m}_mean"])}
    return Candidate(
        full_name(row),
        row["verdict"] if known(row["verdict"]) else "undecided",
        row["difference"] if known(row["difference"]) else 0.0,
        _ratio(row, "speed"),
        {name: ratio for name, ratio in costs.items() if ratio is not None},
        spends,
    )


def _ratio(row: Row, name: str) -> Ratio | None:
    ratio, low, high = (row[f"{name}{end}"] for end in ("", "_low", "_high"))
    if not all(map(known, (ratio, low, high))):
        return None
    return Ratio(float(ratio), float(low), float(high), 0)


def _lack(rows: Sequence[Row]) -> str:
    """Return why nothing is named: no variant is shown to be no worse, or none is for less."""
    if not any(known(row["verdict"]) and row["verdict"] != "undecided" for row in rows):
        needs = [int(row["n_needed"]) for row in rows if known(row["n_needed"])]
        if needs:
            margin = next(row["margin"] for row in rows if known(row["n_needed"]))
            return f"from {min(needs)} questions on a difference of {margin:g} would show"
    return ""


def _faster(row: Row) -> str:
    return f"{_times(row, 'speed')} as fast, {word_of(row)}"


def _times(row: Row, name: str) -> str:
    return "{:.2f} times [{:.2f}, {:.2f}]".format(
        *(row[f"{name}{e}"] for e in ("", "_low", "_high"))
    )


def change(row: Row) -> str:
    """Return a difference with its interval, e.g. ``+0.125 [+0.042, +0.250]``."""
    if not known(row["difference"]):
        return "difference not known"
    if not known(row["difference_low"]):
        return f"{row['difference']:+.3f} [no interval]"
    return f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"


def lines(decision: DataFrame, model: Any) -> list[str]:
    """Return the decision of a model as text, a line per aim with all benchmarks on it."""
    own = decision[decision["model"] == model]
    return [
        f"{_upper(str(aim))}: {_told(row_dicts(part))}."
        for aim, part in own.groupby("aim", sort=False)
    ]


def _told(rows: Sequence[Row]) -> str:
    """Return what is named for an aim on each benchmark, or once what is named on all."""
    names = {full_name(row) if known(row["policy"]) else NOTHING for row in rows}
    if names == {NOTHING}:
        reasons = [reason for reason in dict.fromkeys(row["reason"] for row in rows) if reason]
        return NOTHING + (f" ({'; '.join(reasons)})" if reasons else "")
    if len(names) == 1:
        return f"{names.pop()} ({rows[-1]['reason']})"
    each = (
        f"{row['benchmark']}: {full_name(row)} ({row['reason']})"
        if known(row["policy"])
        else f"{row['benchmark']}: {NOTHING}"
        for row in rows
    )
    return "; ".join(each)


def headline(decision: DataFrame, model: Any, benchmark: Any, summary: DataFrame) -> str:
    """Return the decision of one model and benchmark in a sentence, or why there is none."""
    if not int(summary["n_valid"].sum()):
        return "No response is valid, so nothing can be decided."
    own = decision[(decision["model"] == model) & (decision["benchmark"] == benchmark)]
    if own.empty:
        has_baseline = (summary["policy"] == BASELINE[0]).any()
        return (
            "Only the baseline was run: there is nothing to decide."
            if has_baseline
            else "There is no baseline, so no variant can be called better or worse."
        )
    named = [row for row in row_dicts(own) if known(row["policy"])]
    if not named:
        return "No variant is shown to be better, or as good for less."
    return _upper("; ".join(f"{row['aim']}: {full_name(row)}" for row in named)) + "."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def sentences(verdicts: DataFrame) -> list[str]:
    """Return what is known of each variant of one model and benchmark against the baseline."""
    order = ("identical", "better", "as good", "worse", "undecided")
    rows = [row for row in row_dicts(verdicts) if known(row["verdict"])]
    ranked = sorted(rows, key=lambda r: (order.index(r["verdict"]), -_gain(r)))
    return [_sentence(row) for row in ranked]


def _gain(row: Row) -> float:
    return float(row["difference"]) if known(row["difference"]) else -math.inf


def _sentence(row: Row) -> str:
    line = f"{full_name(row)}: {word_of(row)}, reward {change(row)}"
    if known(row["n_needed"]):
        line += (
            f"; about {int(row['n_needed'])} questions would show a difference of"
            f" {row['margin']:g} at the disagreement seen"
        )
    speed = _ratio(row, "speed")
    if speed and (speed.low > 1 or speed.high < 1):
        line += f"; {_times(row, 'speed')} as fast"
    for name, words in SPENT.items():
        word = ratio_word(*(row[f"{name}_ratio{end}"] for end in ENDS))
        if word != "undecided":
            line += f"; {word} by {words}, {_times(row, f'{name}_ratio')}"
    return line + "."
