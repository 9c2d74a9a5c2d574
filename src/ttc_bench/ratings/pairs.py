"""Which two answers a person is shown next: the pair of which a choice tells most."""

from __future__ import annotations

import math
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ttc_bench.metrics.base import answer_digest
from ttc_bench.reporting.row_dicts import Row, full_name, row_dicts
from ttc_bench.statistics.preferences import Choice, bradley_terry
from ttc_bench.types import DataFrame

SHARE = {"left": 1.0, "right": 0.0, "tie": 0.5, "both bad": 0.5}
"""What the left side gets of a comparison."""


ANSWERED = ("model", "benchmark", "job_id", "policy", "variant", "status", "text")
"""Columns of the responses that `questions_of` reads."""


class Question(NamedTuple):
    """A question with what variants answered, which are not all the same.

    Attributes:
        model: The model that answered.
        benchmark: Its benchmark.
        job_id: Its job.
        answers: Text by ``policy.variant``.
    """

    model: str
    benchmark: str
    job_id: str
    answers: Mapping[str, str]

    @property
    def place(self) -> tuple[str, str, str]:
        """What names the question in records of ratings."""
        return self.model, self.benchmark, self.job_id

    def digest(self, name: str) -> str:
        """Return the digest of an answer, by which a rating knows what was judged."""
        return answer_digest(self.answers[name])


class Pair(NamedTuple):
    """Two answers to one question, as they are shown.

    Attributes:
        question: The question.
        left: ``policy.variant`` on the left.
        right: That on the right.
        seed: Seed of the order of the sides.
    """

    question: Question
    left: str
    right: str
    seed: int

    @property
    def digests(self) -> tuple[str, str]:
        """Digests of the answers, left and right."""
        return self.question.digest(self.left), self.question.digest(self.right)


def is_answer(response: Row) -> bool:
    """Return whether a response is valid, and has a text that can be judged."""
    return response["status"] == "ok" and isinstance(response["text"], str)


def questions_of(responses: DataFrame) -> list[Question]:
    """Return the questions on which two valid answers differ.

    Args:
        responses: Columns `ANSWERED`.
    """
    answers: dict[tuple[str, str, str], dict[str, str]] = {}
    for row in filter(is_answer, row_dicts(responses)):
        key = (str(row["model"]), str(row["benchmark"]), str(row["job_id"]))
        answers.setdefault(key, {})[full_name(row)] = str(row["text"])
    return [Question(*key, own) for key, own in answers.items() if len(set(own.values())) > 1]


def choices_of(rated: DataFrame, variants: Sequence[str]) -> list[Choice]:
    """Return the comparisons of some variants, by their numbers among ``variants``."""
    number = {name: place for place, name in enumerate(variants)}
    asked = list(zip(rated["benchmark"], rated["job_id"], strict=True))
    jobs = {job: place for place, job in enumerate(dict.fromkeys(asked))}
    return [
        Choice(number[row["left"]], number[row["right"]], SHARE[row["preference"]],
               jobs[row["benchmark"], row["job_id"]])
        for row in row_dicts(rated)
        if row["left"] in number and row["right"] in number
    ]  # fmt: skip


def next_pair(
    questions: Sequence[Question],
    rated: DataFrame,
    rater: str,
    seed: int,
    handed: DataFrame | None = None,
) -> Pair | None:
    """Return what a rater is shown next; ``None`` when all pairs are rated.

    Of two variants whose strengths are p and q a choice tells p q / (1 + n) after n of them, so
    ratings go where sides are even and seldom compared. Nobody sees a pair twice, in whatever order
    its sides stand.

    Args:
        questions: See `questions_of`.
        rated: All ratings so far, of every rater.
        rater: Who rates.
        seed: Seed of chance: which question of equals, and which side is left.
        handed: Pairs that were handed out in sheets, of every rater: this one's own are judged
            there, and not here.
    """
    variants = sorted({name for question in questions for name in question.answers})
    worth, seen = _worth(rated, variants), _seen(rated, rater, handed)
    dice, best, most = random.Random(f"{seed}/{rater}/{len(seen)}"), None, -math.inf
    for question in dice.sample(list(questions), len(questions)):
        for one, other in _differing(question.answers):
            value = worth[frozenset((one, other))]
            if value > most and _showing(question, one, other) not in seen:
                best, most = (question, one, other), value
    if best is None:
        return None
    order = dice.randrange(2**31)
    question, one, other = best
    left, right = (one, other) if random.Random(order).random() < 0.5 else (other, one)
    return Pair(question, left, right, order)


def count_left(
    questions: Sequence[Question], rated: DataFrame, rater: str, handed: DataFrame | None = None
) -> int:
    """Return how many pairs `next_pair` has left for a rater."""
    seen = _seen(rated, rater, handed)
    return sum(
        _showing(question, one, other) not in seen
        for question in questions
        for one, other in _differing(question.answers)
    )


Showing = tuple[str, str, str, frozenset[str]]
"""A pair in whatever order its sides stand: benchmark, job, model and the two variants."""


def _showing(question: Question, one: str, other: str) -> Showing:
    return question.benchmark, question.job_id, question.model, frozenset((one, other))


def _seen(rated: DataFrame, rater: str, handed: DataFrame | None) -> set[Showing]:
    """Return the pairs that a rater judged, or was handed in a sheet."""
    return {
        (row["benchmark"], row["job_id"], row["model"], frozenset((row["left"], row["right"])))
        for table in (rated, handed)
        if table is not None
        for row in row_dicts(table[table["rater"] == rater])
    }


def next_answer(
    questions: Sequence[Question], graded: DataFrame, rater: str, seed: int
) -> tuple[Question, str] | None:
    """Return the question and the variant whose answer a rater grades next; ``None`` at the end.

    The variant with the fewest gradings of all raters comes first.

    Args:
        questions: See `questions_of`.
        graded: All gradings so far.
        rater: Who grades.
        seed: Seed of chance: which of equals.
    """
    counts = graded["variant"].value_counts().to_dict()
    seen, open_ones = _graded(graded, rater), answers_left(questions, graded, rater)
    random.Random(f"{seed}/{rater}/{len(seen)}").shuffle(open_ones)
    return min(open_ones, key=lambda one: counts.get(one[1], 0), default=None)


def answers_left(
    questions: Sequence[Question], graded: DataFrame, rater: str
) -> list[tuple[Question, str]]:
    """Return the answers that a rater has not graded: each a question and a variant."""
    seen = _graded(graded, rater)
    return [
        (question, name)
        for question in questions
        for name in sorted(question.answers)
        if (*question.place, name) not in seen
    ]


def _graded(graded: DataFrame, rater: str) -> set[tuple[str, ...]]:
    own = graded[graded["rater"] == rater]
    return set(zip(own["model"], own["benchmark"], own["job_id"], own["variant"], strict=True))


def _differing(answers: Mapping[str, str]) -> list[tuple[str, str]]:
    names = sorted(answers)
    return [
        (one, other)
        for place, one in enumerate(names)
        for other in names[place + 1 :]
        if answers[one] != answers[other]
    ]


def _worth(rated: DataFrame, variants: Sequence[str]) -> dict[frozenset[Any], float]:
    """Return what a choice between two variants tells."""
    choices = choices_of(rated, variants)
    strengths = [0.0] * len(variants)
    if choices:
        strengths = bradley_terry(choices, len(variants), draws=1).strength.tolist()
    counts: dict[frozenset[int], int] = {}
    for choice in choices:
        pair = frozenset((choice.first, choice.second))
        counts[pair] = counts.get(pair, 0) + 1
    worth = {}
    for i, one in enumerate(variants):
        for j in range(i + 1, len(variants)):
            chance = 1 / (1 + math.exp(strengths[j] - strengths[i]))
            value = chance * (1 - chance) / (1 + counts.get(frozenset((i, j)), 0))
            worth[frozenset((one, variants[j]))] = value
    return worth
