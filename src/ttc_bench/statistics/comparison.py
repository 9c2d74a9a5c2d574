"""Paired comparisons: difference, interval, test, effect, verdict, and what would decide it."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal

from ttc_bench.statistics.bootstrap import (
    Floats,
    Integers,
    by_cluster,
    mean_intervals,
    without_gaps,
)
from ttc_bench.statistics.paired import (
    cohen_dz,
    cohen_g,
    holm,
    holm_levels,
    mcnemar_test,
    sign_flip_test,
)
from ttc_bench.statistics.power import (
    design_effect,
    pairs_for_half_width,
    pairs_for_power,
    pairs_to_exclude,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Verdict = Literal["better", "worse", "equal", "undecided"]


@dataclass(frozen=True)
class Settings:
    """How sure a comparison has to be.

    Attributes:
        confidence: Level of the intervals; 1 minus it is the level of the tests.
        resamples: Bootstrap resamples.
        permutations: Flips drawn by a permutation test that cannot try all.
        seed: Seed of both.
        power: Chance of deciding a difference of the size seen, for the pairs needed.
        equal_within: Share of a metric's scale that is too small to matter.
    """

    confidence: float = 0.95
    resamples: int = 2000
    permutations: int = 9999
    seed: int = 0
    power: float = 0.8
    equal_within: float = 0.05


@dataclass(frozen=True)
class Comparison:
    """What one side minus the other says; a figure that does not exist is ``None``.

    Attributes:
        n_pairs: Rows that both sides have.
        n_clusters: Clusters among them.
        difference: Mean of first minus second.
        low: Lower end of its BCa interval.
        high: Upper end.
        p_value: Two-sided, of no difference.
        test: ``mcnemar`` for binary scores of independent rows, else ``permutation``.
        effect_size: Cohen's g for binary scores, else dz.
        effect: ``cohen_g`` or ``cohen_dz``.
        spread: Standard deviation of the differences; ``None`` for fewer than two.
        design: By how much clusters widen the variance of the mean.
        p_adjusted: The p-value adjusted for the number of tests of its family (Holm).
        level: What ``p_value`` has to reach in Holm's procedure.
    """

    n_pairs: int
    n_clusters: int
    difference: float | None
    low: float | None
    high: float | None
    p_value: float | None
    test: str
    effect_size: float | None
    effect: str
    spread: float | None
    design: float
    p_adjusted: float | None = None
    level: float = 0.05


def compare(
    first: Floats,
    second: Floats,
    clusters: Integers | None = None,
    settings: Settings | None = None,
) -> list[Comparison]:
    """Compare two tables column by column, over the rows that both sides have.

    Args:
        first: Scores of shape (rows, columns); NaN is missing.
        second: Scores of the same shape.
        clusters: The cluster of each row; ``None`` makes each row its own.
        settings: How sure to be.

    Returns:
        One comparison per column, not yet adjusted for their number.
    """
    import numpy as np

    chosen = settings or Settings()
    if clusters is not None and len(np.unique(clusters)) == len(clusters):
        clusters = None
    differences = np.asarray(first - second, dtype=float)
    binary = _are_binary(first, second)
    interval = mean_intervals(
        differences, clusters, chosen.confidence, chosen.resamples, chosen.seed
    )
    figures = {
        "difference": interval.mean,
        "low": interval.low,
        "high": interval.high,
        "p_value": _p_values(differences, clusters, binary, chosen),
        "g": cohen_g((differences == 1).sum(axis=0), (differences == -1).sum(axis=0)),
        **{name: np.full(len(binary), np.nan) for name in _DESCRIBED},
    }
    for block, own, columns in without_gaps(differences, clusters):
        for name, values in _describe(block, own).items():
            figures[name][columns] = values
    return [
        _comparison(
            {name: float(values[c]) for name, values in figures.items()}, bool(yes), clusters
        )
        for c, yes in enumerate(binary)
    ]


_DESCRIBED = ("n_pairs", "n_clusters", "dz", "spread", "design")


def _comparison(figures: dict[str, float], binary: bool, clusters: Integers | None) -> Comparison:
    known = {name: None if math.isnan(value) else value for name, value in figures.items()}
    n_pairs = int(figures["n_pairs"])
    return Comparison(
        n_pairs=n_pairs,
        n_clusters=int(figures["n_clusters"]),
        difference=known["difference"],
        low=known["low"],
        high=known["high"],
        p_value=known["p_value"] if n_pairs else None,
        test="mcnemar" if binary and clusters is None else "permutation",
        effect_size=known["g" if binary else "dz"],
        effect="cohen_g" if binary else "cohen_dz",
        spread=known["spread"],
        design=known["design"] or 1.0,
    )


def _are_binary(first: Floats, second: Floats) -> NDArray[np.bool_]:
    import numpy as np

    known = ~np.isnan(first - second)
    plain = [((side == 0) | (side == 1) | ~known).all(axis=0) for side in (first, second)]
    found: NDArray[np.bool_] = plain[0] & plain[1] & known.any(axis=0)
    return found


def _p_values(
    differences: Floats, clusters: Integers | None, binary: NDArray[np.bool_], settings: Settings
) -> Floats:
    import numpy as np

    found = mcnemar_test((differences == 1).sum(axis=0), (differences == -1).sum(axis=0))
    flipped = ~binary if clusters is None else np.ones_like(binary)
    # A missing pair is 0 here: flipping it changes nothing, as if it were not there.
    sums = by_cluster(np.nan_to_num(differences[:, flipped]), clusters).sums
    if flipped.any() and len(sums):
        found[flipped] = sign_flip_test(sums, settings.permutations, settings.seed)
    return found


def _describe(differences: Floats, clusters: Integers | None) -> dict[str, Any]:
    """Return the figures of columns that have no gaps."""
    import numpy as np

    rows = len(differences)
    if not rows:
        return {"n_pairs": 0, "n_clusters": 0}
    data = by_cluster(differences, clusters)
    counts = {"n_pairs": rows, "n_clusters": len(data.sizes)}
    if rows == 1:
        return counts
    same = np.ptp(differences, axis=0) == 0
    return {
        **counts,
        "spread": np.where(same, 0.0, differences.std(axis=0, ddof=1)),
        "dz": cohen_dz(differences),
        "design": design_effect(data, differences),
    }


def adjust(comparisons: Sequence[Comparison], confidence: float = 0.95) -> list[Comparison]:
    """Return the comparisons of one family with p-values adjusted for their number (Holm)."""
    import numpy as np

    p_values = np.array([np.nan if c.p_value is None else c.p_value for c in comparisons])
    adjusted = holm(p_values)
    levels = holm_levels(p_values, 1 - confidence)
    return [
        c if c.p_value is None else replace(c, p_adjusted=float(p), level=float(level))
        for c, p, level in zip(comparisons, adjusted, levels, strict=True)
    ]


def judge(
    comparison: Comparison, scale: float, higher_is_better: bool, settings: Settings | None = None
) -> Verdict:
    """Return what an adjusted comparison allows one to say of its first side.

    It is better or worse where Holm's procedure rejects no difference. Else the sides are equal
    where the whole interval lies within the margin (``equal_within`` times ``scale``). Pairs
    without any difference have an interval of no width, however few they are: they are equal
    once there are enough to rule out that a share ``equal_within`` of pairs differs (rule of
    three). All else is undecided.

    Args:
        comparison: A comparison after `adjust`.
        scale: Width of the metric's range; for one without a range, the size of its values.
        higher_is_better: Direction of the metric.
        settings: How sure to be.
    """
    chosen = settings or Settings()
    difference, low, high = comparison.difference, comparison.low, comparison.high
    if difference is None or low is None or high is None or comparison.p_adjusted is None:
        return "undecided"
    if difference and comparison.p_adjusted <= 1 - chosen.confidence:
        return "better" if (difference > 0) == higher_is_better else "worse"
    if comparison.spread == 0 and difference == 0:
        enough = pairs_to_exclude(chosen.equal_within, chosen.confidence)
        return "equal" if comparison.n_pairs >= enough else "undecided"
    margin = chosen.equal_within * scale
    return "equal" if -margin <= low and high <= margin else "undecided"


def pairs_needed(
    comparison: Comparison, scale: float, settings: Settings | None = None
) -> int | None:
    """Return how many pairs would decide an undecided comparison; ``None`` for too few to tell.

    That is the pairs that find a difference of the size seen with the chosen power at the level
    that Holm's step leaves, or that make the interval as narrow as the margin (`judge`),
    whichever are fewer. Clusters are taken to grow in number at the size and likeness they have.

    Args:
        comparison: A comparison after `adjust`, undecided.
        scale: As for `judge`.
        settings: How sure to be.
    """
    chosen = settings or Settings()
    difference, spread = comparison.difference, comparison.spread
    if difference is None or spread is None:
        return None
    if spread == 0 and difference == 0:
        return pairs_to_exclude(chosen.equal_within, chosen.confidence)
    effect = abs(difference) / spread if spread else math.inf
    needed = [pairs_for_power(effect, comparison.level, chosen.power)]
    margin = chosen.equal_within * scale
    if margin > 0:
        needed.append(pairs_for_half_width(spread, margin, chosen.confidence))
    known = [math.ceil(pairs * comparison.design) for pairs in needed if pairs is not None]
    return max(min(known), comparison.n_pairs + 1) if known else None
