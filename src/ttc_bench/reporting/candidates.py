"""Rows of the verdicts as what may be named, and their figures in words."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ttc_bench.reporting.row_dicts import Row, full_name
from ttc_bench.reporting.sheet import known
from ttc_bench.reporting.speeds import ENDS
from ttc_bench.reporting.verdicts import RATIOS, SPENT
from ttc_bench.statistics.decision import Candidate, CostWord, cost_word
from ttc_bench.statistics.speed import Ratio


def candidate(row: Row) -> Candidate:
    """Return a row of the verdicts as what may be named."""
    costs = {name: ratio_of(row, f"{name}_ratio") for name in SPENT}
    spends = {m: row[f"{m}_mean"] for m in ("latency_s", *SPENT) if known(row[f"{m}_mean"])}
    highs = {m: row[f"{m}_mean_high"] for m in spends}
    return Candidate(
        full_name(row),
        row["verdict"] if known(row["verdict"]) else "undecided",
        row["difference"] if known(row["difference"]) else 0.0,
        ratio_of(row, "speed"),
        {name: ratio for name, ratio in costs.items() if ratio is not None},
        spends,
        {m: float(high) if known(high) else math.inf for m, high in highs.items()},
        row["reward_low"] if known(row["reward_low"]) else -math.inf,
    )


def ratio_of(row: Row, name: str) -> Ratio | None:
    """Return a ratio of a row with its interval; ``None`` where it is not known."""
    # Verdicts that another version stored may lack one.
    figures: list[Any] = [row.get(f"{name}{end}") for end in ENDS]
    if not all(map(known, figures)):
        return None
    ratio, low, high = map(float, figures)
    return Ratio(ratio, low, high, 0)


def paid_cost(*baselines: Row) -> str:
    """Return the first of the costs that the first baseline pays at all which pays any."""
    paid = (name for row in baselines for name in SPENT if _is_paid(row[f"{name}_mean"]))
    return next(paid, "total_tokens")


def _is_paid(mean: Any) -> bool:
    return known(mean) and mean > 0


def times(row: Row, name: str) -> str:
    """Return a ratio with its interval, e.g. ``1.50 times [1.27, 1.60]``."""
    figures = [float(row[f"{name}{end}"]) for end in ENDS]
    if math.isinf(figures[0]):
        return "where the baseline pays nothing"
    form = f"{{:.{_places(figures)}f}}"
    return "{} times [{}, {}]".format(*map(form.format, figures))


def cost_words(row: Row) -> dict[str, CostWord]:
    """Return what is shown of each cost against the baseline's, by its name in words.

    Costs without a ratio that has an interval are not among them.
    """
    speed = ratio_of(row, "speed")
    ratios = {"seconds": speed and speed.inverse()}
    ratios |= {words: ratio_of(row, name) for name, words in RATIOS.items()}
    return {words: cost_word(ratio) for words, ratio in ratios.items() if ratio is not None}


def _places(ratios: Sequence[float]) -> int:
    """Return the decimals, from 2 to 6, with which no ratio reads as 0 or 1 that is neither."""
    return next(
        (
            places
            for places in range(2, 6)
            if all(r in (0, 1) or round(r, places) not in (0, 1) for r in ratios)
        ),
        6,
    )


def change(row: Row) -> str:
    """Return a difference with its interval, e.g. ``+0.125 [+0.042, +0.250]``."""
    if not known(row["difference"]):
        return "difference not known"
    if not known(row["difference_low"]):
        return f"{row['difference']:+.3f} [no interval]"
    return f"{row['difference']:+.3f} [{row['difference_low']:+.3f}, {row['difference_high']:+.3f}]"
