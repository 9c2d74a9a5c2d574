"""Which ratings still count: of what the answers are now, and one of each rater."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from ttc_bench.metrics.base import answer_digest
from ttc_bench.ratings.pairs import Question, is_answer
from ttc_bench.reporting.row_dicts import Row, full_name, row_dicts
from ttc_bench.reporting.sheet import counted_as, known
from ttc_bench.types import DataFrame

Digests = Mapping[tuple[str, str, str, str], str]
"""Digest of each stored answer by model, benchmark, job and ``policy.variant``."""

NO_ANSWER = "none"
"""In place of the digest of a response that failed."""

JUDGED = {"left": "left_answer", "right": "right_answer", "variant": "answer"}
"""Columns that name the variants of a rating, with those of the digests of their answers."""


class Standing(NamedTuple):
    """Ratings, by whether they count.

    Attributes:
        counted: Those that count: their answers are the stored ones, or it is not known, and their
            rater did not judge the same again.
        changed: How many do not count, as an answer is another one by now.
        unchecked: How many of those that count did not note what was judged.
        repeated: How many do not count, as their rater judged the same answers once more: in a
            second window, or by pressing a key twice.
    """

    counted: DataFrame
    changed: int
    unchecked: int
    repeated: int

    def lines(self) -> Iterator[str]:
        """Yield what is to be told of it."""
        if self.changed:
            yield (
                f"{counted_as(self.changed, 'rating')} of answers that have changed since they were"
                " judged: not counted."
            )
        if self.repeated:
            yield (
                f"{counted_as(self.repeated, 'rating')} of answers that the same rater judged"
                " again: the last one counts."
            )
        if self.unchecked:
            yield (
                f"{counted_as(self.unchecked, 'rating')} kept by a version that did not note which"
                " answers were judged: counted, whatever became of these."
            )


def digests_of(responses: DataFrame) -> Digests:
    """Return the digests of stored answers; see `ttc_bench.ratings.pairs.ANSWERED`."""
    return {
        (str(row["model"]), str(row["benchmark"]), str(row["job_id"]), full_name(row)):
        answer_digest(row["text"]) if is_answer(row) else NO_ANSWER
        for row in row_dicts(responses)
    }  # fmt: skip


def offered(questions: Iterable[Question]) -> Digests:
    """Return the digests of the answers that raters may be shown."""
    return {
        (*question.place, name): question.digest(name)
        for question in questions
        for name in question.answers
    }


def standing(rated: DataFrame, digests: Digests) -> Standing:
    """Return which ratings count.

    An answer that is not stored any more has not changed.

    Args:
        rated: Ratings of pairs, pairs that were handed out, or grades.
        digests: See `digests_of`.
    """
    judged = {name: digest for name, digest in JUDGED.items() if name in rated.columns}
    rows = row_dicts(rated)
    pairs = [[(row[digest], _now(row, name, digests)) for name, digest in judged.items()]
             for row in rows]  # fmt: skip
    changed = [any(known(was) and now not in (None, was) for was, now in own) for own in pairs]
    what = [(*(row[name] for name in ("rater", "model", "benchmark", "job_id")),
             frozenset(row[name] for name in judged)) for row in rows]  # fmt: skip
    last = {one: place for place, one in enumerate(what) if not changed[place]}
    counts = [last.get(one) == place for place, one in enumerate(what)]
    unchecked = [not all(known(was) for was, _ in own) for own in pairs]
    n_unchecked = sum(a and b for a, b in zip(unchecked, counts, strict=True))
    n_changed = sum(changed)
    return Standing(rated.loc[counts], n_changed, n_unchecked, len(rows) - n_changed - sum(counts))


def _now(row: Row, name: str, digests: Digests) -> Any:
    return digests.get((row["model"], row["benchmark"], row["job_id"], row[name]))
