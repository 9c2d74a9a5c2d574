"""Tests of paired differences, effect sizes, and Holm's correction, for many pairs at once."""

from __future__ import annotations

from typing import Any

from ttc_bench.statistics.bootstrap import Floats, Integers

EXACT_CLUSTERS = 13
"""Up to so many clusters that differ, all 2**clusters flips are tried instead of drawn ones."""

_BLOCK = 4_000_000
_TIE = 1e-12


def sign_flip_test(sums: Floats, permutations: int = 9999, seed: int = 0) -> Floats:
    """Return two-sided p-values of the permutation test that the mean difference is 0.

    Under the null hypothesis the two answers of a pair can be swapped; pairs of one cluster
    are swapped together, which flips the sign of the cluster's sum. Clusters whose sum is 0
    (or that a column does not have) change nothing. With at most `EXACT_CLUSTERS` others the
    test is exact, else it draws flips and counts the observed one among them.

    Source: Fisher 1935; Phipson and Smyth, "Permutation p-values should never be zero" (2010);
    ``permutation_type="samples"`` of `scipy.stats.permutation_test`.

    Args:
        sums: Sum of the differences of each cluster, of shape (clusters, columns).
        permutations: Flips that are drawn where there are too many to try all.
        seed: Seed of the draws.

    Returns:
        The p-values, of shape (columns,); 1 where nothing differs.
    """
    import numpy as np

    found = np.ones(sums.shape[1])
    seen = np.abs(sums.sum(axis=0))
    tie = _TIE * np.abs(sums).sum(axis=0)
    exact = (sums != 0).sum(axis=0) <= EXACT_CLUSTERS
    for column in np.flatnonzero(exact):
        own = sums[sums[:, column] != 0, column]
        if len(own):
            flipped = np.abs(_all_signs(len(own)) @ own)
            found[column] = (flipped >= seen[column] - tie[column]).mean()
    if not exact.all():
        drawn, least = sums[:, ~exact], (seen - tie)[~exact]
        as_far = np.zeros(drawn.shape[1])
        for signs in _signs(len(sums), permutations, seed):
            as_far += (np.abs(signs @ drawn) >= least).sum(axis=0)
        found[~exact] = (as_far + 1) / (permutations + 1)
    return found


def _all_signs(count: int) -> Floats:
    """Return every row of signs with a first one of +1: the others mirror these."""
    import numpy as np

    bits = np.arange(2 ** (count - 1))[:, None] >> np.arange(count) & 1
    signs: Floats = np.where(bits[:, ::-1] > 0, -1.0, 1.0)
    return signs


def _signs(clusters: int, permutations: int, seed: int) -> Any:
    import numpy as np

    rng = np.random.default_rng(seed)
    rows = max(1, _BLOCK // clusters)
    for start in range(0, permutations, rows):
        size = (min(rows, permutations - start), clusters)
        yield rng.integers(0, 2, size, dtype=np.int8) * 2.0 - 1.0


def mcnemar_test(above: Integers, below: Integers) -> Floats:
    """Return two-sided p-values of McNemar's exact test on binary scores.

    Source: McNemar 1947; the exact form is the binomial test of the pairs that differ.

    Args:
        above: Pairs that only the first side got right, of any shape.
        below: Pairs that only the second side got right, of the same shape.
    """
    import numpy as np
    from scipy.special import bdtr

    found: Floats = np.minimum(1.0, 2 * bdtr(np.minimum(above, below), above + below, 0.5))
    return found


def holm(p_values: Floats) -> Floats:
    """Return p-values adjusted for their number, so that any false one is rare.

    Source: Holm, "A simple sequentially rejective multiple test procedure" (1979).

    Args:
        p_values: Shape (tests,); a NaN is no test and stays.
    """
    import numpy as np

    found = np.full(len(p_values), np.nan)
    known = np.flatnonzero(~np.isnan(p_values))
    order = known[np.argsort(p_values[known], kind="stable")]
    steps = np.arange(len(order), 0, -1)
    found[order] = np.minimum(1.0, np.maximum.accumulate(steps * p_values[order]))
    return found


def holm_levels(p_values: Floats, alpha: float) -> Floats:
    """Return the level that each p-value has to reach in Holm's procedure; equal ones share it.

    Args:
        p_values: Shape (tests,); a NaN is no test and stays.
        alpha: Chance of any false finding.
    """
    import numpy as np

    known = np.sort(p_values[~np.isnan(p_values)])
    rank = np.searchsorted(known, p_values)
    # A NaN sorts behind all others: it has no level.
    left = np.where(np.isnan(p_values), np.nan, len(known) - rank)
    found: Floats = alpha / left
    return found


def cohen_dz(differences: Floats) -> Floats:
    """Return the mean over the standard deviation of paired differences, by column.

    Source: Cohen, "Statistical power analysis" (1988), 2.3.5; NaN where nothing varies.

    Args:
        differences: Shape (pairs, columns).
    """
    import numpy as np

    if len(differences) < 2:
        return np.full(differences.shape[1], np.nan)
    spread = differences.std(axis=0, ddof=1)
    spread[np.ptp(differences, axis=0) == 0] = np.nan
    found: Floats = differences.mean(axis=0) / spread
    return found


def cohen_g(above: Integers, below: Integers) -> Floats:
    """Return by how much the share of ``above`` among the pairs that differ exceeds one half.

    Source: Cohen, "Statistical power analysis" (1988), 5.2; NaN where no pair differs.

    Args:
        above: Pairs that only the first side got right, of any shape.
        below: Pairs that only the second side got right, of the same shape.
    """
    import numpy as np

    differing = np.where(above + below > 0, above + below, np.nan)
    found: Floats = above / differing - 0.5
    return found
