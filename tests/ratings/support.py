"""Ratings, and who enters them in a process of its own, which imports what it takes and no more."""

from __future__ import annotations

from multiprocessing.synchronize import Barrier
from pathlib import Path

from ttc_bench.ratings.store import PairRating, Preference, Ratings

VARIANTS = ("baseline.greedy", "cascade.agreement", "early_exit.fixed_layer")


def rating(rater: str, number: int, preference: Preference = "left", **sides: str) -> PairRating:
    left, right = sides.get("left", VARIANTS[0]), sides.get("right", VARIANTS[1])
    return PairRating(
        rater, "target", "crm_sim", f"crm_sim/{number}", left, right, preference, 1.5, 7
    )


def rate(folder: Path, rater: str, count: int, start: Barrier) -> None:
    """Rate in one database, after entering many new ones at the same moment as others."""
    for number in range(20):
        start.wait(60)
        Ratings(f"sqlite:///{folder}/{number}.db").add(rating(rater, number))
    ratings = Ratings(f"sqlite:///{folder}/deep/ratings.db")
    for number in range(count):
        ratings.add(rating(rater, number))
