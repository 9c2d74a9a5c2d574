"""What fewer samples would have given: selection among every k of n samples already drawn.

Samples of one pool are drawn independently from one distribution, so any k of them, in the order
drawn, are as good as k fresh ones. The mean over all subsets of size k is therefore an unbiased
estimate of a policy's reward at k, with less variance than any single subset; at k = n it is the
reward at n itself.

A selection is described by its weights: an array of shape (n, n) whose row k - 1 holds, for each
sample, the chance that it is the one selected when k of the n are drawn. Weights times rewards is
the curve.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from math import comb
from typing import NamedTuple

from ttc_bench.statistics.clusters import Floats, Integers

Seed = int | tuple[int, ...]

EXACT_SAMPLES = 32
"""Up to so many samples a vote is counted exactly; beyond, subsets are drawn."""


class Curve(NamedTuple):
    """Expected reward at k = 1 ... n, of shape (n,), and the variance that drawn subsets add."""

    value: Floats
    variance: Floats


def pass_at_k_curve(correct: int, samples: int) -> Floats:
    """Return the chance that one of k samples is correct, for k = 1 ... ``samples``.

    Source: 1 - C(n - c, k) / C(n, k), arXiv 2107.03374, equation 1, as a running product.

    Args:
        correct: Correct samples, c.
        samples: Samples drawn, n.
    """
    import numpy as np

    k = np.arange(samples)
    missed = np.maximum(samples - correct - k, 0) / (samples - k)
    chances: Floats = np.subtract(1.0, np.cumprod(missed))
    return chances


def best_of_weights(scores: Sequence[float]) -> Floats:
    """Return the weights of keeping the sample with the highest score; ties go to the earliest.

    The sample of rank r (0 is best) is kept if it is drawn and the r better ones are not:
    C(n - 1 - r, k - 1) / C(n, k).

    Args:
        scores: Score of each sample, at least one; no NaN.
    """
    import numpy as np

    n = len(scores)
    k, rank = np.arange(1, n + 1)[:, None], np.arange(n)[None, :]
    # From one rank to the next the chance falls by (n - r - k + 1) / (n - r), r counted from 1.
    steps = np.maximum(n - rank - k + 1, 0) / (n - rank)
    steps[:, 0] = k[:, 0] / n
    by_rank = np.cumprod(steps, axis=1)
    order = np.argsort(-np.asarray(scores, dtype=float), kind="stable")
    weights = np.empty((n, n))
    weights[:, order] = by_rank
    return weights


@lru_cache(maxsize=16384)
def majority_weights(answers: tuple[int | None, ...]) -> Floats:
    """Return the weights of the majority vote, as `ttc_bench.policies.voting.vote` decides it.

    Sample i is selected if it is the first drawn of its answer and that answer wins: with m votes,
    every other answer has fewer, or has m, all drawn after i. The subsets are counted by
    multiplying one polynomial per answer, so the cost is polynomial in n, not 2**n.

    Args:
        answers: Answer of each sample as an integer; ``None`` is unreadable and has no vote.
    """
    import numpy as np

    n = len(answers)
    totals = Counter(answer for answer in answers if answer is not None)
    silent = [i for i, answer in enumerate(answers) if answer is None]
    ways = np.zeros((n, n))
    after = dict(totals)
    for i, answer in enumerate(answers):
        if answer is None:
            # Selected only if no sample has a vote, and it is the earliest.
            later = sum(j > i for j in silent)
            ways[: later + 1, i] += _choose(later)
            continue
        after[answer] -= 1
        others = [(totals[o], after[o]) for o in totals if o != answer]
        for votes in range(1, after[answer] + 2):
            rest = _rest(len(silent), tuple(sorted(others)), votes)
            room = min(len(rest), n - votes + 1)
            own = comb(after[answer], votes - 1)
            ways[votes - 1 : votes - 1 + room, i] += own * rest[:room]
    weights: Floats = ways / _choose(n)[1:, None]
    weights.setflags(write=False)
    return weights


@lru_cache(maxsize=65536)
def _rest(silent: int, others: tuple[tuple[int, int], ...], votes: int) -> Floats:
    """Count, by size, the choices among the other samples that leave an answer the winner.

    Args:
        silent: Samples without a vote.
        others: Of each other answer, its samples, and those of them after the winner's first.
        votes: Votes of the winner.
    """
    import numpy as np

    ways = _choose(silent)
    for total, later in others:
        own = _choose(total)[: votes + 1].copy()
        if len(own) == votes + 1:
            own[votes] = comb(later, votes)
        ways = np.convolve(ways, own)
    return ways


@lru_cache(maxsize=1024)
def _choose(n: int) -> Floats:
    """Return the binomial coefficients C(n, 0) ... C(n, n)."""
    import numpy as np

    return np.array([comb(n, k) for k in range(n + 1)], dtype=float)


def majority_curve(
    answers: Sequence[int | None], rewards: Sequence[float], draws: int = 256, seed: Seed = 0
) -> Curve:
    """Return the expected reward of the majority vote of k samples, for every k.

    Exact for up to `EXACT_SAMPLES` samples. For more, subsets are drawn for all k but 1 and n,
    and the variance says how far that can be off.

    Args:
        answers: Answer of each sample as an integer; ``None`` is unreadable.
        rewards: Reward of each sample.
        draws: Random orders of the samples whose first k are a subset of size k.
        seed: Seed of the orders; give each job its own, or their errors add up.
    """
    import numpy as np

    values = np.asarray(rewards, dtype=float)
    n = len(values)
    if n <= EXACT_SAMPLES:
        return Curve(majority_weights(tuple(answers)) @ values, np.zeros(n))
    selected = values[_drawn_votes(answers, draws, seed)]
    value, variance = selected.mean(axis=0), selected.var(axis=0, ddof=1) / draws
    value[0], variance[[0, -1]] = values.mean(), 0.0
    return Curve(value, variance)


def _drawn_votes(answers: Sequence[int | None], draws: int, seed: Seed) -> Integers:
    """Return which sample wins, of shape (draws, n), as each order's samples come in."""
    import numpy as np

    n = len(answers)
    classes = {a: c for c, a in enumerate(dict.fromkeys(a for a in answers if a is not None), 1)}
    codes = np.array([0 if a is None else classes[a] for a in answers])
    orders = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (draws, 1)), axis=1)
    rows = np.arange(draws)
    votes = np.zeros((draws, len(classes) + 1), dtype=np.int64)
    first = np.full(votes.shape, n)
    winners = np.empty((draws, n), dtype=np.int64)
    for k in range(n):
        sample = orders[:, k]
        own = codes[sample]
        # An unreadable sample counts as no vote: its class has 0 and wins only alone.
        votes[rows, own] += own > 0
        first[rows, own] = np.minimum(first[rows, own], sample)
        best = (votes * (n + 1) - first).argmax(axis=1)
        winners[:, k] = first[rows, best]
    return winners
