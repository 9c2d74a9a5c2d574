"""Which questions of a benchmark a limit takes: every task and difficulty in its share."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

from ttc_bench.types import Sample

Stratum = tuple[str | None, ...]
Strata = tuple[Stratum, Stratum, Stratum]


def stratified(samples: Sequence[Sample], limit: int | None, seed: int) -> list[Sample]:
    """Return ``limit`` samples in which each task and difficulty has the share it has in all.

    The samples come one by one from the task that lacks most of its share so far, of its
    difficulties the one that lacks most. A higher limit therefore adds to what a lower one took,
    and the same seed takes the same samples in every run.

    Args:
        samples: All samples of a benchmark.
        limit: Samples wanted; ``None`` or more than there are takes all, in their own order.
        seed: Seed of which samples stand for their task and difficulty.
    """
    if limit is None or limit >= len(samples):
        return list(samples)
    rng = random.Random(seed)
    waiting: dict[Strata, list[Sample]] = {}
    for sample in rng.sample(samples, len(samples)):
        waiting.setdefault(_strata(sample), []).append(sample)
    members = Counter(stratum for sample in samples for stratum in _strata(sample))
    taken: Counter[Stratum] = Counter()
    chosen: list[Sample] = []
    while len(chosen) < limit:
        size = (len(chosen) + 1) / len(samples)
        lacking = {
            strata: [size * members[stratum] - taken[stratum] for stratum in strata]
            for strata in waiting
            if waiting[strata]
        }
        strata = max(lacking, key=lambda each: lacking[each])
        chosen.append(waiting[strata].pop())
        taken.update(strata)
    return chosen


def _strata(sample: Sample) -> Strata:
    """Return the task of a sample, its difficulty, and the two together."""
    task, difficulty = ("task", sample.task), ("difficulty", sample.difficulty)
    return task, difficulty, (*task, *difficulty)
