"""Intervals of means that cover in small samples, at boundaries and for skewed values.

Three methods, chosen by the values themselves:

* **Padded t**, for values of a bounded range of which many are equal, such as right and wrong:
  Student's interval over the values and one more at each end of the range, clipped to it. Where
  nearly all values are equal, any interval of the values alone is too narrow.
* **Student's t or Hall's, whichever reaches further**, for all others. Hall's corrects t for the
  skewness that was seen: "On the removal of skewness by transformation" (1992).
* With clusters the error is CR2 and its degrees of freedom are Satterthwaite's (Bell and McCaffrey,
  "Bias reduction in standard errors for linear regression with multi-stage samples", 2002). With
  clusters of one row each both are Student's.

What was tried instead is in the tests beside the coverage of these.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from ttc_bench.statistics.clusters import Clusters, Floats, Integers, by_cluster, cluster_codes
from ttc_bench.statistics.distributions import t_edge, t_tail

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Flags = NDArray[np.bool_]
else:
    Flags = Any

Range = tuple[float | Floats, float | Floats]
"""Least and largest value, of all columns or of each; infinite where there is none."""

UNBOUNDED: Range = (-math.inf, math.inf)

TIED_SHARE = 0.4
"""Share of equal values from which a bounded mean is padded."""

_ROUNDING = 1e-12

_TIE = 1e-9
"""Values this close, relative to the largest, are equal: differences of decimals are not exact."""


class Interval(NamedTuple):
    """A mean with its interval; the ends are ``None`` where too few values can tell them."""

    mean: float
    low: float | None
    high: float | None


def mean_of_independent(parts: Sequence[Interval]) -> Interval:
    """Return the mean of means of independent samples, each of equal weight, with its interval.

    The distances from each mean to its ends take the place of its standard error and add up in
    squares, so that the interval is as skewed as those it is made of, and lies within their mean.
    The square-and-add rule of MOVER: Zou and Donner, "Construction of confidence limits about
    effect measures: a general approach", Statistics in Medicine 27 (2008).

    Args:
        parts: At least one mean, with an interval of the level that the result then has; where one
            has no interval, neither has the result.
    """
    share = 1 / len(parts)
    mean = math.fsum(part.mean for part in parts) * share
    below = [(part.mean - part.low) * share for part in parts if part.low is not None]
    above = [(part.high - part.mean) * share for part in parts if part.high is not None]
    low = mean - math.hypot(*below) if len(below) == len(parts) else None
    return Interval(mean, low, mean + math.hypot(*above) if len(above) == len(parts) else None)


class Intervals(NamedTuple):
    """A mean per column with its interval, each of shape (columns,); NaN is undefined."""

    mean: Floats
    low: Floats
    high: Floats


class Means(NamedTuple):
    """Means with what their intervals need, each of shape (columns,); NaN is undefined.

    Attributes:
        mean: Mean of the values.
        centre: Mean of the values and what they are padded with.
        error: Standard error of the centre.
        df: Its degrees of freedom.
        skew: Skewness over the root of the number of clusters; 0 where padded.
        padded: Whether the column is padded.
        clusters: Number of clusters that have values.
        low: Lower end of the range.
        high: Upper end.
    """

    mean: Floats
    centre: Floats
    error: Floats
    df: Floats
    skew: Floats
    padded: Flags
    clusters: Integers
    low: Floats
    high: Floats

    def intervals(self, confidence: float = 0.95) -> Intervals:
        """Return the intervals; of too few clusters (`least_pairs`) the whole range, or NaN."""
        import numpy as np

        edge = t_edge((1 - confidence) / 2, self.df)
        above, below = (_hall_inverse(end, self.skew) for end in (edge, -edge))
        low = self.centre - self.error * np.maximum(edge, above)
        high = self.centre - self.error * np.minimum(-edge, below)
        few = ~self.padded & (self.clusters < least_pairs(1 - confidence))
        low = np.clip(np.minimum(low, self.mean), self.low, self.high)
        high = np.clip(np.maximum(high, self.mean), self.low, self.high)
        # A range that is open at an end tells nothing of a mean.
        whole = np.isfinite(self.low) & np.isfinite(self.high)
        low = np.where(few, np.where(whole, self.low, np.nan), low)
        high = np.where(few, np.where(whole, self.high, np.nan), high)
        return Intervals(
            self.mean, *(np.where(np.isfinite(end), end, np.nan) for end in (low, high))
        )

    def p_values(self) -> Floats:
        """Return two-sided p-values of a mean of 0.

        One is below 1 - confidence exactly where the interval of that confidence excludes 0.
        """
        import numpy as np

        skew = self.skew * np.sign(self.centre)
        with np.errstate(all="ignore"):
            student = np.abs(self.centre) / self.error
            # ((1 + third) ** 3 - 1) / skew, which loses all digits where skew is a rounding error.
            third = skew * student / 3
            hall = student * (1 + third + third**2 / 3) + skew / 6
        hall = np.where(np.isinf(student), student, hall)
        tail = 2 * t_tail(np.maximum(0.0, np.minimum(student, hall)), self.df)
        least = np.where(self.padded, 0.0, 2.0 ** (1 - self.clusters))
        same = (self.centre == 0) & (self.error == 0)
        p_values: Floats = np.where(same, 1.0, np.maximum(tail, least))
        return p_values


def least_pairs(alpha: float) -> int:
    """Return the fewest independent differences that can tell anything at a level.

    With fewer, all having one sign is no rarer than ``alpha``, whatever their sizes.

    Args:
        alpha: Level of a two-sided test.
    """
    return math.ceil(1 - math.log2(alpha))


def means_of(values: Floats, clusters: Integers | None = None, bounds: Range = UNBOUNDED) -> Means:
    """Return the mean of each column with what its intervals need.

    Args:
        values: Shape (rows, columns); NaN is missing.
        clusters: The cluster of each row; ``None`` makes each row its own.
        bounds: Range of the values, which no interval leaves; only one that is closed at both ends
            can pad.
    """
    import numpy as np

    low, high = (np.broadcast_to(np.asarray(end, float), values.shape[1:]) for end in bounds)
    bounded = np.isfinite(low) & np.isfinite(high)
    data = by_cluster(np.asarray(values, dtype=float), clusters)
    count = (data.sizes > 0).sum(axis=0)
    few = count < least_pairs(0.05)
    padded = bounded & (few | _are_tied(values))
    with np.errstate(all="ignore"):
        mean = data.sums.sum(axis=0) / data.sizes.sum(axis=0)
        centre, error, df, skew = _robust(_padded(data, count, padded, low, high))
    known = np.where(count > 1, 0.0, np.nan)
    skew = np.where(padded | (count < 3) | ~np.isfinite(skew), 0.0, skew)
    return Means(mean, centre, error + known, df + known, skew, padded, count, low, high)


class Contrasts:
    """Means of columns less multiples of others, for any multiples at once.

    All that intervals need is a polynomial of the multiple, of sums over the two columns.

    Args:
        first: Shape (rows, columns); NaN is missing.
        second: The same, missing where the first one is.
        clusters: The cluster of each row; ``None`` makes each row its own.
    """

    def __init__(self, first: Floats, second: Floats, clusters: Integers | None = None) -> None:
        import numpy as np

        sides = [by_cluster(np.asarray(side, float), clusters) for side in (first, second)]
        sizes = sides[0].sizes
        with np.errstate(all="ignore"):
            a, b = map(_scores, sides)
            self._freedom = _freedom(sizes)
        self._total, self._count = sizes.sum(axis=0), (sizes > 0).sum(axis=0)
        self._means = [side.sums.sum(axis=0) / self._total for side in sides]
        squares, cubes = (a * a, -2 * a * b, b * b), (a**3, -3 * a**2 * b, 3 * b**2 * a, -(b**3))
        self._squares, self._cubes = (
            np.array([part.sum(axis=0) for part in parts]) for parts in (squares, cubes)
        )

    def of(self, multiples: Floats) -> Means:
        """Return the means of ``first - multiple * second``.

        Args:
            multiples: Shape (multiples, columns), as the figures that are returned; those that no
                multiple changes are of shape (columns,).
        """
        import numpy as np

        powers = multiples ** np.arange(4)[:, None, None]
        squares, cubes, spread = (
            np.einsum("pmc,pc->mc", powers[which], sums[which])
            for which, sums in (
                (slice(3), self._squares), (slice(4), self._cubes), ([0, 2], self._squares)
            )
        )  # fmt: skip
        # What rounding leaves where the columns are multiples of each other is no spread.
        squares = np.where(squares <= _ROUNDING * spread, 0.0, squares)
        mean = self._means[0] - multiples * self._means[1]
        count, no_end = self._count, np.array([np.inf])
        known = np.where(count > 1, 0.0, np.nan)
        with np.errstate(all="ignore"):
            skew = _skew(squares, cubes, count)
        skew = np.where((count < 3) | (squares == 0), 0.0, skew)
        error, df = np.sqrt(squares) / self._total + known, self._freedom + known
        return Means(mean, mean, error, df, skew, count < 0, count, -no_end, no_end)


def _are_tied(values: Floats) -> Flags:
    """Return whether `TIED_SHARE` of the values of a column are one value."""
    import numpy as np

    ordered = np.sort(values, axis=0)
    known = (~np.isnan(values)).sum(axis=0)
    apart = np.maximum(np.ceil(TIED_SHARE * known).astype(int) - 1, 0)
    last = np.arange(len(ordered))[:, None] + apart
    other = np.take_along_axis(ordered, np.minimum(last, len(ordered) - 1), axis=0)
    near = _TIE * np.nanmax(np.abs(values), axis=0, initial=0.0)
    # A NaN sorts behind all others and equals nothing.
    tied: Flags = ((other - ordered <= near) & (last < len(ordered))).any(axis=0)
    return tied


def _padded(data: Clusters, count: Integers, padded: Flags, low: Floats, high: Floats) -> Clusters:
    """Add a cluster at each end of the range, of half the mean size and at least 1."""
    import numpy as np

    size = np.where(padded, np.maximum(1.0, data.sizes.sum(axis=0) / count / 2), 0.0)
    ends = [np.where(padded, size * end, 0.0) for end in (low, high)]
    return Clusters(np.vstack([data.sums, *ends]), np.vstack([data.sizes, size, size]))


def _robust(data: Clusters) -> tuple[Floats, Floats, Floats, Floats]:
    """Return mean, CR2 error, degrees of freedom, and skewness over the root of clusters."""
    import numpy as np

    total = data.sizes.sum(axis=0)
    scores = _scores(data)
    squares, cubes = (scores**2).sum(axis=0), (scores**3).sum(axis=0)
    count = (data.sizes > 0).sum(axis=0)
    mean = data.sums.sum(axis=0) / total
    return mean, np.sqrt(squares) / total, _freedom(data.sizes), _skew(squares, cubes, count)


def _scores(data: Clusters) -> Floats:
    """Return by how much each cluster is off the mean, in the measure of CR2."""
    import numpy as np

    total = data.sizes.sum(axis=0)
    gaps = data.sums - data.sizes * data.sums.sum(axis=0) / total
    # What rounding leaves of equal values is no spread.
    gaps[np.abs(gaps) <= _ROUNDING * np.abs(data.sums).max(axis=0)] = 0.0
    scores: Floats = gaps / np.sqrt(1 - data.sizes / total)
    return scores


def _freedom(sizes: Floats) -> Floats:
    """Return Satterthwaite's degrees of freedom."""
    total = sizes.sum(axis=0)
    # Bell and McCaffrey's G, times the squared total: the sizes on its diagonal, beside it
    # the products of the weights' roots over the total.
    weights = sizes**2 / (1 - sizes / total)
    others = (weights.sum(axis=0) ** 2 - (weights**2).sum(axis=0)) / total**2
    freedom: Floats = total**2 / ((sizes**2).sum(axis=0) + others)
    return freedom


def _skew(squares: Floats, cubes: Floats, count: Integers) -> Floats:
    import numpy as np

    skew: Floats = cubes / squares**1.5 * np.sqrt(count - 1) * np.sqrt(count) / (count - 2)
    return skew


def _hall_inverse(point: Floats, skew: Floats) -> Floats:
    """Return which t statistic Hall's transformation takes to a point."""
    import numpy as np

    distance = point - skew / 6
    root = np.cbrt(1 + skew * distance)
    # 3 (root - 1) / skew, which loses all digits where skew is a rounding error.
    inverse: Floats = 3 * distance / (root**2 + root + 1)
    return inverse


def level_of_each(confidence: float, count: int) -> float:
    """Return the level of each of some intervals that are to hold at once (Bonferroni).

    Args:
        confidence: Chance that all of them hold.
        count: How many there are; none is as one.
    """
    return 1 - (1 - confidence) / max(1, count)


def mean_intervals(
    values: Floats,
    clusters: Integers | None = None,
    confidence: float = 0.95,
    bounds: Range = UNBOUNDED,
) -> Intervals:
    """Return the mean of each column with its interval; arguments as of `means_of`.

    A column without values has only NaN, and one of a single cluster no ends.
    """
    return means_of(values, clusters, bounds).intervals(confidence)


def mean_interval(
    values: Sequence[float],
    confidence: float = 0.95,
    clusters: Sequence[Hashable] | None = None,
    bounds: tuple[float, float] = (-math.inf, math.inf),
) -> Interval:
    """Return the mean of some values with its interval.

    Args:
        values: At least one value.
        confidence: Level of the interval.
        clusters: The cluster of each value; ``None`` makes each its own.
        bounds: Range of the values: (0, 1) for rewards, (-1, 1) for their differences.

    Raises:
        ValueError: If there is no value.
    """
    import numpy as np

    if not values:
        raise ValueError("the mean of no values is not defined")
    codes = None if clusters is None else cluster_codes(clusters)
    data = np.asarray(values, dtype=float)[:, None]
    mean, low, high = (float(end[0]) for end in mean_intervals(data, codes, confidence, bounds))
    return Interval(mean, None, None) if math.isnan(low) else Interval(mean, low, high)
