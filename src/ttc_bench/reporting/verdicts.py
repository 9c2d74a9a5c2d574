"""Every variant against the baseline, in the words of a decision and in ratios of costs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ttc_bench.reporting.pairing import (
    Layout,
    Name,
    are_identical,
    range_of,
    same_share,
)
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.row_dicts import Row, typed_table
from ttc_bench.reporting.sheet import known
from ttc_bench.reporting.speeds import ENDS, TIMED, speeds_of
from ttc_bench.statistics import (
    Comparison,
    compare,
    level_of_each,
    mean_intervals,
    pairs_needed,
)
from ttc_bench.statistics.decision import (
    CostWord,
    Quality,
    cost_word,
    quality,
)
from ttc_bench.statistics.ratios import ratios_of_totals
from ttc_bench.statistics.speed import Ratio
from ttc_bench.types import BASELINE, GROUP, DataFrame

SPENT = {"usd": "dollars", "flops": "FLOPs", "total_tokens": "tokens"}
"""Costs of a response by their metric, in words. Times are not among them: a ratio of times needs a
control beside it, see `speeds`; energy is read for a whole variant at once, and has no interval:
its ratio would be no verdict."""

RATIOS = {
    "ttft_ratio": "time to first token",
    **{f"{n}_ratio": words for n, words in SPENT.items()},
}
"""Ratios of a variant's costs to the baseline's, and the cost in words; that of seconds is the
inverse of ``speed``."""

COLUMNS = {
    **dict.fromkeys(GROUP, "string"),
    "verdict": "string",
    "n_pairs": "Int64",
    "n_answered": "Int64",
    **{f"difference{end}": "Float64" for end in ENDS},
    "alone_low": "Float64",
    "alone_high": "Float64",
    "differ_high": "Float64",
    "same_share": "Float64",
    "lossless": "boolean",
    "margin": "Float64",
    "n_needed": "Int64",
    **{f"{name}{end}": "Float64" for name in ("speed", *RATIOS) for end in ENDS},
    **{f"{name}_mean{end}": "Float64" for name in ("latency_s", *SPENT) for end in ENDS},
    **{f"reward_{part}": "Float64" for part in ("mean", "low", "high")},
    "n_questions": "Int64",
}
"""``verdict``: see `ttc_bench.statistics.decision.quality`. ``n_answered``: pairs of which a side
has an answer, which alone can show that a variant is as good; where there is no pair, answers.
``difference`` is of the reward, its ends hold at once for all variants; ``alone_low`` and
``alone_high`` are the variant's own. ``differ_high``: share of further answers that may differ
where none did; ``same_share``: share of answers that are the baseline's, letter by letter;
``lossless``: whether all are by construction. ``n_needed``: questions that would show a difference
of ``margin`` at the disagreement seen. Ratios are over the baseline's, null where a bill has a gap;
``*_mean`` are the variant's own, with intervals that hold at once for all variants, the baseline
among them, and of too few reach from the least to the largest; ``reward_low`` and ``reward_high``
are the interval of the mean reward on ``n_questions``, 0 where a response failed."""


def verdicts(all_scores: DataFrame, speeds: DataFrame, params: AggregateParams) -> DataFrame:
    """Return a row per variant of each model and benchmark, the baseline's included.

    Args:
        all_scores: Scores of the run.
        speeds: See `ttc_bench.reporting.speeds`.
        params: How sure to be.
    """
    ratios, rows = speeds_of(speeds), []
    for (model, benchmark), part in all_scores.groupby(["model", "benchmark"], sort=True):
        for name, row in _of_benchmark(part, params):
            key = (model, benchmark, *name)
            own = ratios.get(key, {})
            timed = {f"{n}{end}": own.get(f"{n}{end}") for n in TIMED for end in ENDS}
            rows.append({**dict(zip(GROUP, key, strict=True)), **row, **timed})
    return typed_table(rows, COLUMNS)


def _of_benchmark(
    part: DataFrame, params: AggregateParams
) -> Iterator[tuple[Name, dict[str, Any]]]:
    """Yield every variant with its row; where there is no baseline, with its means alone."""
    layout = Layout(part, params.min_clusters)
    names = sorted(layout.names)
    lossless, rewards = lossless_variants(part), _rewards(layout, params)
    means = _means(layout, params)
    answers = {name: int(flags.sum()) for name, flags in layout.answered().items()}
    pairs = [(name, BASELINE) for name in names if name != BASELINE and BASELINE in names]
    rows = dict(zip((name for name, _ in pairs), verdicts_of(layout, pairs, params), strict=True))
    for name in names:
        own = {**means[name], **rewards[name], "lossless": name in lossless}
        yield name, {"n_answered": answers[name], **rows.get(name, {}), **own}


def verdicts_of(
    layout: Layout, pairs: Sequence[tuple[Name, Name]], params: AggregateParams
) -> list[dict[str, Any]]:
    """Return what is known of each pair, first against second, with the keys of `COLUMNS`.

    The pairs are one family: their intervals hold at once. Beside them stands ``p_adjusted``, the
    p-value of the difference corrected for the family.

    Args:
        layout: Scores of one model and benchmark.
        pairs: Which (policy, variant) are compared.
        params: How sure to be.
    """
    import numpy as np

    if not pairs:
        return []
    codes, settings = layout.codes, params.comparing()
    rewards, ratios = layout.values("reward"), _ratios(layout, pairs, params)
    answers = layout.answers()
    first, second = (np.column_stack([rewards[pair[side]] for pair in pairs]) for side in (0, 1))
    answered = layout.answered_by_either(pairs)
    heard = np.where(answered, first, np.nan)
    families = [compare(own, second, codes, settings, 1.0) for own in (first, heard)]
    rows = []
    for place, (versus, spread) in enumerate(zip(*families, strict=True)):
        pair, same = pairs[place], are_identical(answers, *pairs[place])
        verdict = quality(heard[:, place], second[:, place], same, versus, settings, codes)
        difference = _difference(versus, params)
        if verdict.word == "undecided":
            needed = pairs_needed(spread, 1.0, settings, versus.n_pairs)
            difference["n_needed"] = needed
        told = {
            **_told(verdict),
            "n_answered": int(answered[:, place].sum()),
            "same_share": same_share(answers, *pair),
        }
        rows.append({**told, **difference, **ratios[place]})
    return rows


def _told(verdict: Quality) -> dict[str, Any]:
    return {
        "verdict": verdict.word,
        "differ_high": verdict.differ_high if verdict.word == "identical" else None,
        "alone_low": verdict.alone[0],
        "alone_high": verdict.alone[1],
    }


def _difference(versus: Comparison, params: AggregateParams) -> dict[str, Any]:
    return {
        "n_pairs": versus.n_pairs,
        "difference": versus.difference,
        "difference_low": versus.low,
        "difference_high": versus.high,
        "p_adjusted": versus.p_adjusted,
        "margin": params.equal_within,
        "n_needed": None,
    }


def _ratios(
    layout: Layout, pairs: Sequence[tuple[Name, Name]], params: AggregateParams
) -> list[dict[str, float]]:
    """Return ratio and ends by cost for each pair, over the jobs that both sides answered.

    NaN where the bill of an answer has a gap. Of each cost, the intervals hold at once.
    """
    import numpy as np

    rows: list[dict[str, float]] = [{} for _ in pairs]
    for metric in SPENT:
        spent = layout.values(metric)
        own, base = (np.column_stack([spent[pair[side]] for pair in pairs]) for side in (0, 1))
        compared = int(((~np.isnan(own + base)).sum(axis=0) > 1).sum())
        level = level_of_each(params.confidence, compared)
        for row, ratio in zip(rows, ratios_of_totals(own, base, layout.codes, level), strict=True):
            ends = zip(ENDS, (ratio.ratio, ratio.low, ratio.high), strict=True)
            row.update({f"{metric}_ratio{end}": value for end, value in ends})
    return rows


def lossless_variants(part: DataFrame) -> set[Name]:
    """Return the variants all of whose answers are the baseline's by construction."""
    if "lossless" not in part:
        return set()
    flags = part.assign(lossless=part["lossless"].astype("boolean").fillna(value=False))
    every = flags.groupby(["policy", "variant"])["lossless"].all()
    return {(str(policy), str(variant)) for policy, variant in every.index[every]}


def _rewards(layout: Layout, params: AggregateParams) -> dict[Name, dict[str, Any]]:
    """Return the mean reward of each variant with its own interval."""
    import numpy as np

    rewards = layout.values("reward")
    values = np.column_stack(list(rewards.values()))
    ends = mean_intervals(values, layout.codes, params.confidence, range_of("reward"))
    counts = (~np.isnan(values)).sum(axis=0)
    columns = ("reward_mean", "reward_low", "reward_high", "n_questions")
    return {
        name: dict(zip(columns, figures, strict=True))
        for name, *figures in zip(rewards, *ends, counts, strict=True)
    }


def _means(layout: Layout, params: AggregateParams) -> dict[Name, dict[str, Any]]:
    """Return the mean costs of each variant; null where a response that has an answer lacks one.

    Times are of the answers that were timed. Where these are too few for an interval, it reaches
    from the least to the largest, so that each of them is within a budget, and not their mean.
    """
    import numpy as np

    means: dict[Name, dict[str, Any]] = {}
    for metric in ("latency_s", *SPENT):
        spent = layout.values(metric)
        values = np.column_stack(list(spent.values()))
        told = int((~np.isnan(values)).any(axis=0).sum())
        level, ends = level_of_each(params.confidence, told), range_of(metric)
        mean, low, high = mean_intervals(values, layout.codes, level, ends)
        least, most = np.fmin.reduce(values), np.fmax.reduce(values)
        low = np.where(np.isnan(low), least, low)
        high = np.where(np.isnan(high), most, high)
        # What rounding adds to the mean of equal costs would lie beyond them.
        for name, *figures in zip(spent, np.clip(mean, least, most), low, high, strict=True):
            columns = (f"{metric}_mean{end}" for end in ENDS)
            means.setdefault(name, {}).update(zip(columns, figures, strict=True))
    return means


def ratio_word(ratio: Any, low: Any, high: Any) -> CostWord:
    """Return ``cheaper`` or ``dearer`` where the interval of a ratio of costs shows it."""
    if not all(map(known, (ratio, low, high))):
        return "undecided"
    return cost_word(Ratio(float(ratio), float(low), float(high), 0))


def word_of(row: Row) -> str:
    """Return the verdict of a row in words, with what it rests on."""
    if row["verdict"] == "identical":
        these = "this one" if row["n_pairs"] == 1 else f"these {row['n_pairs']}"
        if row.get("lossless"):
            return f"identical on {these}, lossless by construction"
        return f"identical on {these}; up to {row['differ_high']:.0%} of others may differ"
    if row["verdict"] == "as good":
        within = f" within {row['margin']:g}" if known(row["margin"]) else " or better"
        return f"as good{within}{LOSING if is_lower(row) else ''}"
    return f"{row['verdict']}, as {UNANSWERED}" if is_unanswered(row) else str(row["verdict"])


def weights(row: Row) -> str:
    """Return what the figures of a row are means of, where these are several benchmarks."""
    n = row.get("n_benchmarks")
    return f", {n} benchmarks of equal weight" if n is not None and n > 1 else ""


LOSING = ", a loss smaller than that is shown"
"""What is said of a variant that is as good within the margin, and still lower."""


def is_lower(row: Row) -> bool:
    """Return whether a mean reward is shown to be below the baseline's, by however little."""
    high: Any = row.get("difference_high")
    return known(high) and bool(high < 0)


UNANSWERED = "neither side answered anything"


def is_unanswered(row: Row) -> bool:
    """Return whether neither a variant nor the baseline has an answer to anything."""
    n = row.get("n_answered")
    return known(n) and n == 0
