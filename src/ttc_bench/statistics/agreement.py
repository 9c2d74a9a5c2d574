"""How far raters agree, by well-kept libraries, and whether the place of an answer decides."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping, Sequence
from itertools import combinations

Said = Mapping[Hashable, Mapping[Hashable, str]]
"""What each rater said of each item, in categories without an order."""


def krippendorff_alpha(said: Said) -> float:
    """Return Krippendorff's alpha for nominal data; NaN where nothing was rated twice.

    1 is full agreement and 0 that of chance; raters may have rated different items. Source:
    Krippendorff, "Content Analysis" (1980), by the package ``krippendorff``.
    """
    import krippendorff
    import numpy as np

    items = sorted({item for own in said.values() for item in own}, key=str)
    words = sorted({word for own in said.values() for word in own.values()})
    table = [
        [words.index(own[item]) if item in own else np.nan for item in items]
        for own in said.values()
    ]
    twice = [item for item in items if sum(item in own for own in said.values()) > 1]
    if not twice:
        return math.nan
    if len({own[item] for own in said.values() for item in twice if item in own}) == 1:
        return 1.0  # Nobody ever differed, and chance cannot be told.
    return float(krippendorff.alpha(np.array(table, float), level_of_measurement="nominal"))


def cohen_kappas(said: Said) -> dict[tuple[Hashable, Hashable], tuple[float, int]]:
    """Return Cohen's kappa and the number of common items for each two raters who have some.

    Source: Cohen, "A coefficient of agreement for nominal scales" (1960), by scikit-learn. NaN
    where both only ever said the same one thing.
    """
    from sklearn.metrics import cohen_kappa_score

    kappas = {}
    for one, other in combinations(sorted(said, key=str), 2):
        common = sorted(said[one].keys() & said[other].keys(), key=str)
        if common:
            sides = ([said[rater][item] for item in common] for rater in (one, other))
            first, second = sides
            alike = len({*first, *second}) == 1
            kappa = math.nan if alike else float(cohen_kappa_score(first, second))
            kappas[one, other] = (kappa, len(common))
    return kappas


def share_interval(hits: Sequence[bool], confidence: float = 0.95) -> tuple[float, float, float]:
    """Return a share with its exact interval (Clopper and Pearson 1934); NaN without a case."""
    from scipy.stats import binomtest

    if not hits:
        return math.nan, math.nan, math.nan
    result = binomtest(sum(hits), len(hits))
    ends = result.proportion_ci(confidence)
    return float(result.statistic), float(ends.low), float(ends.high)
