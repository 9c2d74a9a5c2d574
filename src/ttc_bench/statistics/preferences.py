"""Strengths behind pairwise choices: Bradley-Terry, with intervals over the questions asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from ttc_bench.statistics.clusters import Floats

if TYPE_CHECKING:
    from numpy.random import Generator

ROUNDS = 500
"""Most steps of the fit; it converges in far fewer."""

PRIOR = 0.5
"""Ties that every pair is given beforehand: who never lost has a finite strength."""

FAINT = 1e-3
"""Comparisons that the drawn chance of a pair counts for that never met: it only joins them."""


class Choice(NamedTuple):
    """One comparison.

    Attributes:
        first: Number of one side.
        second: Number of the other.
        share: What the first got of it: 1, 0, or 0.5 for a tie.
        question: Number of the question that it was about.
    """

    first: int
    second: int
    share: float
    question: int


class Strengths(NamedTuple):
    """Strengths in logits, 0 on average, with the ends of their intervals, each of shape (sides,).

    The chance that one side is preferred is the logistic function of the difference.
    """

    strength: Floats
    low: Floats
    high: Floats


def bradley_terry(
    choices: Sequence[Choice], sides: int, confidence: float = 0.95, seed: int = 0, draws: int = 400
) -> Strengths:
    """Return the strengths of all sides.

    Sources: Bradley and Terry, Biometrika 39 (1952); fitted by the algorithm of Hunter, "MM
    algorithms for generalized Bradley-Terry models", Annals of Statistics 32 (2004), a tie counting
    as half of a win for each. Intervals are percentiles over resampled questions, since several
    raters on one question say little more than one. Where all questions say the same, resampling
    them says nothing: an interval also reaches as far as that of chances drawn for every pair from
    what its questions leave open (Jeffreys' beta; Brown, Cai and DasGupta, Statistical Science 16,
    2001), a question counting once.

    Without a comparison all strengths are 0, and nothing bounds them.

    Args:
        choices: Comparisons.
        sides: How many sides there are.
        confidence: Level of the intervals, each by itself.
        seed: Of the resampling.
        draws: Resamples.
    """
    import numpy as np

    if not choices:
        return Strengths(*(np.full(sides, end) for end in (0.0, -np.inf, np.inf)))
    numbers = sorted({choice.question for choice in choices})
    place = {question: row for row, question in enumerate(numbers)}
    wins = np.zeros((len(numbers), sides, sides))
    for first, second, share, question in choices:
        wins[place[question], first, second] += share
        wins[place[question], second, first] += 1 - share
    rng = np.random.default_rng(seed)
    weights = rng.multinomial(len(numbers), np.full(len(numbers), 1 / len(numbers)), draws)
    resampled = np.einsum("dq,qij->dij", weights.astype(float), wins)
    fitted = _fit(np.concatenate((wins.sum(axis=0)[None], resampled)), PRIOR)
    drawn = _fit(_drawn(wins, draws, rng), prior=0.0)
    tails = (1 - confidence) / 2, (1 + confidence) / 2
    ends = np.array([np.quantile(tables, tails, axis=0) for tables in (fitted[1:], drawn)])
    return Strengths(fitted[0], ends[:, 0].min(axis=0), ends[:, 1].max(axis=0))


def _drawn(wins: Floats, draws: int, rng: Generator) -> Floats:
    """Draw tables of wins from what the questions of each pair leave open of its chance.

    Args:
        wins: By question, of shape (questions, sides, sides).
        draws: How many.
        rng: Draws.

    Returns:
        Tables, of shape (draws, sides, sides).
    """
    import numpy as np
    from scipy.stats import beta

    games = wins + wins.transpose(0, 2, 1)
    shares = np.divide(wins, games, out=np.zeros_like(wins), where=games > 0)
    asked, won = (games > 0).sum(axis=0), shares.sum(axis=0)
    tables = np.zeros((draws, *asked.shape))
    for first, second in zip(*np.triu_indices(len(asked), 1), strict=True):
        n, own = asked[first, second], won[first, second]
        # One draw of each of as many equal parts: the ends of a single pair are then exact.
        parts = (rng.permutation(draws) + 0.5) / draws
        chance, weight = beta.ppf(parts, own + 0.5, n - own + 0.5), max(n, FAINT)
        tables[:, first, second] = weight * chance
        tables[:, second, first] = weight * (1 - chance)
    return tables


def _fit(wins: Floats, prior: float) -> Floats:
    """Return strengths for each table of wins, of shape (tables, sides, sides).

    Args:
        wins: The tables.
        prior: Ties that every pair is given beforehand.
    """
    import numpy as np

    sides = wins.shape[1]
    apart = ~np.eye(sides, dtype=bool)
    wins = wins + prior / 2 * apart
    games, won = wins + wins.transpose(0, 2, 1), wins.sum(axis=2)
    strength = np.ones(won.shape)
    for _ in range(ROUNDS):
        together = strength[:, :, None] + strength[:, None, :]
        renewed = won / np.where(apart, games / together, 0.0).sum(axis=2)
        renewed /= np.exp(np.log(renewed).mean(axis=1, keepdims=True))
        step, strength = np.abs(np.log(renewed / strength)).max(), renewed
        if step < 1e-9:
            break
    logits: Floats = np.log(strength)
    return logits
