"""Voting and picking: an unreadable answer has no vote, and no score."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True)
class Vote:
    """The outcome of a vote.

    Attributes:
        index: The first sample that gave the winning answer.
        votes: Samples that gave the winning answer.
        runner_up: Samples that gave the second answer.
        share: ``votes`` over all samples: the confidence of the vote.
    """

    index: int
    votes: int
    runner_up: int
    share: float


def vote(answers: Sequence[Hashable]) -> Vote:
    """Return the winner of a plain majority vote (arXiv 2203.11171); ties go to the earliest.

    Args:
        answers: One canonical answer per sample; ``None`` is unreadable and has no vote.

    Raises:
        ValueError: If there is no sample.
    """
    if not answers:
        raise ValueError("a vote needs at least one sample")
    counts = Counter(answer for answer in answers if answer is not None)
    if not counts:
        return Vote(0, 0, 0, 0.0)
    # Counter keeps first-seen order among equals, so ties go to the earliest answer.
    (winner, votes), *others = counts.most_common(2)
    runner_up = others[0][1] if others else 0
    return Vote(list(answers).index(winner), votes, runner_up, votes / len(answers))


def scores_of_answers(answers: Sequence[Hashable], scores: Sequence[float]) -> list[float]:
    """Return ``scores``, minus infinity for samples that hold no answer.

    Args:
        answers: One canonical answer per sample; ``None`` is unreadable.
        scores: How good each sample's text was found.
    """
    return [
        -math.inf if answer is None else score
        for answer, score in zip(answers, scores, strict=True)
    ]
