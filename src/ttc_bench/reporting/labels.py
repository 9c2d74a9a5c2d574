"""How columns are called where people read them, what they mean, and how they are rounded.

A metric is called by its name in words, with its unit, and means what the catalogue says.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from ttc_bench.reporting.pairing import spec_of
from ttc_bench.reporting.sheet import known

PARTS = {
    "_low": ("lower end", "Lower end of: "),
    "_high": ("upper end", "Upper end of: "),
    "_first": ("first", "Of the first variant: "),
    "_second": ("second", "Of the second variant: "),
}
"""What stands behind the name of a metric, in words, and what comes before its definition."""

WORDS = {
    "ttft": "TTFT", "itl": "ITL", "tpot": "TPOT", "flops": "FLOPs", "usd": "US$", "kv": "KV",
    "rss": "RSS", "cpu": "CPU", "gpu": "GPU", "f1": "F1", "em": "EM", "bleu": "BLEU",
    "rouge": "ROUGE", "rouge1": "ROUGE-1", "rouge2": "ROUGE-2", "chrf": "chrF", "ece": "ECE",
    "ids": "IDs", "bert": "BERT", "logprob": "log-probability", "id": "ID", "l": "L",
}  # fmt: skip
"""Words that are written otherwise than in small letters."""

UNITS = {"s": "s", "bytes": "bytes", "j": "J"}
"""Units that end a name, as they are written behind it."""

OTHERS = {
    "n": ("Responses", "Responses, failed ones included."),
    "n_valid": ("Valid", "Responses that did not fail."),
    "job_id": ("Question", "The id of the question."),
    "asked": ("What was asked", "How the question begins."),
    "n_before": ("Known before", "Questions of which the metric is known before."),
    "n_after": ("Known after", "Questions of which the metric is known after."),
    "n_pairs": ("Pairs", "Questions of which it is known on both sides."),
    "mean_before": ("Mean before", "Mean over the pairs, before."),
    "mean_after": ("Mean after", "Mean over the pairs, after."),
    "difference": ("Difference", "Mean after minus mean before."),
    "difference_low": ("Difference, lower end", "Holds at once for all variants."),
    "difference_high": ("Difference, upper end", "Holds at once for all variants."),
    "alone_low": ("Alone, lower end", "Of the interval of the difference of this variant alone."),
    "alone_high": ("Alone, upper end", "Of the interval of the difference of this variant alone."),
    "ratio": ("Ratio", "What was paid after, of what was paid before."),
    "ratio_low": ("Ratio, lower end", "Of the interval of the ratio."),
    "ratio_high": ("Ratio, upper end", "Of the interval of the ratio."),
    "p_adjusted": ("p, of all", "Corrected for all variants."),
    "differ_high": ("May differ", "Share of other questions whose answers may differ, at most."),
    "margin": ("Margin", "The difference that is too small to matter."),
    "n_needed": ("Needed", "Questions that would show a difference of the margin."),
    "n_up": ("Up", "Questions on which the metric rose."),
    "n_down": ("Down", "Questions on which the metric fell."),
    "n_replayed": ("Replayed", "Questions of which a side has a call from the journal."),
    "votes": ("Votes", "Candidates with the same answer."),
    "attempts": ("Tries", "How often it was asked, failed tries included."),
    "replayed": ("Replayed", "Whether it comes from the journal."),
}
"""Columns that are no metrics: what they are called, and mean."""


def label(column: str) -> str:
    """Return what a column is called where people read it."""
    if column in OTHERS:
        return OTHERS[column][0]
    name, part = _parted(column)
    words = name.split("_")
    unit = UNITS.get(words[-1]) if len(words) > 1 else None
    if unit and not name.endswith("_per_s"):
        words = words[:-1]
    else:
        unit = None
    text = " ".join(WORDS.get(word, word) for word in words).replace(" per ", "/")
    text = text.replace("pass at ", "pass@")
    if words[0] not in WORDS:
        text = text[:1].upper() + text[1:]
    return f"{text}{f' ({unit})' if unit else ''}{f', {PARTS[part][0]}' if part else ''}"


def definition(column: str) -> str:
    """Return what a column means: for a metric, or a part of one, what the catalogue says."""
    if column in OTHERS:
        return OTHERS[column][1]
    name, part = _parted(column)
    try:
        spec = spec_of(name)
    except StopIteration:
        return ""
    better = {True: " Higher is better.", False: " Lower is better.", None: ""}
    lead = PARTS[part][1] if part else ""
    unit = "" if spec.unit == "1" else f" Unit: {spec.unit}."
    return f"{lead}{spec.definition}{unit}{better[spec.higher_is_better]}"


def _parted(column: str) -> tuple[str, str]:
    """Return the name of a metric in that of a column, and what stands behind it."""
    end = next((end for end in PARTS if column.endswith(end)), "")
    return column.removesuffix(end), end


def rounding(values: Iterable[Any]) -> str | None:
    """Return the printf format that shows the largest of some numbers to four figures.

    Shares and rewards, which are at most 1, have three places; what is a million and more is
    written with its power of ten.

    Args:
        values: Numbers; what is not known does not count.

    Returns:
        The format; ``None`` where all are whole or there is none.
    """
    sizes = [abs(float(value)) for value in values if known(value)]
    if not sizes or not math.isfinite(most := max(sizes)):
        return None
    if most >= 1e6:
        return "%.4g"
    if all(size.is_integer() for size in sizes):
        return "%d"
    if most <= 1:
        return "%.3f" if most >= 0.1 else "%.3g"
    return f"%.{max(0, 3 - math.floor(math.log10(most)))}f"


def natural(text: str) -> str:
    """Return a text that sorts as people count: 2 before 10. Fractions sort as they are."""
    return re.sub(r"(?<![.\d])\d+", lambda number: number[0].zfill(20), text)
