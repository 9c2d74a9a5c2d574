"""Pairs for raters without the application: a sheet that tells no name, and its way back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ttc_bench.errors import DataError
from ttc_bench.params import close_matches
from ttc_bench.ratings.pairs import Question, next_pair
from ttc_bench.ratings.store import CHOICES, PairRating
from ttc_bench.reporting.row_dicts import row_dicts
from ttc_bench.types import DataFrame

SHEET = ("pair", "question", "left", "right", "preference")
"""Columns of a sheet; the rater fills ``preference``."""

KEY = ("pair", "model", "benchmark", "job_id", "left", "right", "seed")
"""Columns of its key, which stays here."""


def sheet(
    questions: Sequence[Question],
    rated: DataFrame,
    rater: str,
    pairs: int,
    seed: int,
    asked: Callable[[str], str],
) -> tuple[DataFrame, DataFrame]:
    """Return a sheet of pairs that a rater has not rated, and its key.

    Args:
        questions: See `ttc_bench.ratings.pairs.questions_of`.
        rated: All ratings so far.
        rater: Whose sheet it is.
        pairs: Most pairs.
        seed: Seed of chance.
        asked: Returns the text of a question by its job.
    """
    import pandas as pd

    rows, keys, shown = [], [], rated
    for number in range(pairs):
        pair = next_pair(questions, shown, rater, seed)
        if pair is None:
            break
        name, (question, left, right, order) = f"{rater}-{seed}-{number + 1}", pair
        texts = (question.answers[left], question.answers[right])
        rows.append((name, asked(question.job_id), *texts, ""))
        key = (question.model, question.benchmark, question.job_id, left, right)
        keys.append((name, *key, order))
        taken = PairRating(rater, *key, "tie", 0.0, order)
        shown = pd.concat([shown, pd.DataFrame([vars(taken)])], ignore_index=True)
    return pd.DataFrame(rows, columns=list(SHEET)), pd.DataFrame(keys, columns=list(KEY))


def read_sheet(filled: DataFrame, key: DataFrame, rater: str) -> list[PairRating]:
    """Return the ratings of a sheet that came back; a pair without a preference is left out.

    Raises:
        DataError: Listing every fault with its row.
    """
    if missing := [name for name in ("pair", "preference") if name not in filled.columns]:
        raise DataError(f"the sheet has no column {' and no column '.join(missing)}.")
    keys = {row["pair"]: row for row in row_dicts(key)}
    faults, ratings, seen = list[str](), list[PairRating](), set[str]()
    for number, row in enumerate(row_dicts(filled.fillna("")), start=2):
        pair, said = str(row["pair"]).strip(), str(row["preference"]).strip().casefold()
        fault = _fault(pair, said, keys, seen)
        seen.add(pair)
        if fault:
            faults.append(f"row {number}: {fault}")
        elif said:
            own = keys[pair]
            preference = next(choice for choice in CHOICES if choice == said)
            place = {name: own[name] for name in KEY if name != "pair"}
            ratings.append(PairRating(rater=rater, preference=preference, seconds=0.0, **place))
    if faults:
        raise DataError("\n".join(faults))
    return ratings


def _fault(pair: str, said: str, keys: Mapping[object, object], seen: set[str]) -> str:
    if pair not in keys:
        return f"no pair {pair!r} was handed out.{close_matches(pair, map(str, keys))}"
    if pair in seen:
        return f"pair {pair!r} stands here twice."
    if said and said not in CHOICES:
        allowed = ", ".join(CHOICES)
        return f"{said!r} is no preference.{close_matches(said, CHOICES)} Allowed: {allowed}."
    return ""
