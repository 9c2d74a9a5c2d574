"""Pairs for raters without the application: a sheet that tells no name, and its way back."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ttc_bench.errors import DataError
from ttc_bench.params import close_matches
from ttc_bench.ratings.pairs import Question, next_pair
from ttc_bench.ratings.standing import offered, standing
from ttc_bench.ratings.store import CHOICES, Handed, PairRating, Ratings
from ttc_bench.reporting.row_dicts import row_dicts
from ttc_bench.reporting.sheet import csv_text, from_text, known
from ttc_bench.types import DataFrame

SHEET = ("pair", "question", "left", "right", "preference")
"""Columns of a sheet; the rater fills ``preference``."""


def hand_out(
    ratings: Ratings,
    questions: Sequence[Question],
    rater: str,
    pairs: int,
    seed: int,
    asked: Callable[[str], str],
) -> DataFrame:
    """Return a sheet of pairs that a rater has neither rated nor been handed, as they are now.

    The database keeps who made which answer, by the number of the pair.

    Args:
        ratings: The database.
        questions: See `ttc_bench.ratings.pairs.questions_of`.
        rater: Whose sheet it is.
        pairs: Most pairs.
        seed: Seed of chance.
        asked: Returns the text of a question by its job.
    """
    import pandas as pd

    earlier = ratings.rows("handed").assign(preference="tie")
    met = pd.concat([ratings.rows(), earlier[earlier["rater"] == rater]], ignore_index=True)
    shown = standing(met, offered(questions)).counted
    handed, texts = list[Handed](), list[tuple[str, str, str]]()
    for _ in range(pairs):
        pair = next_pair(questions, shown, rater, seed)
        if pair is None:
            break
        question, left, right, order = pair
        handed.append(Handed(rater, *question.place, left, right, order, *pair.digests))
        texts.append((asked(question.job_id), question.answers[left], question.answers[right]))
        shown = pd.concat(
            [shown, pd.DataFrame([{**vars(handed[-1]), "preference": "tie"}])], ignore_index=True
        )
    numbers = ratings.add_all(handed)
    rows = [(str(number), *cells, "") for number, cells in zip(numbers, texts, strict=True)]
    return pd.DataFrame(rows, columns=list(SHEET))


def read_back(ratings: Ratings, filled: DataFrame) -> list[PairRating]:
    """Return the ratings of a sheet that came back, but for those that were read before.

    A pair without a preference is left out, and so is a row without anything.

    Args:
        ratings: The database.
        filled: Columns ``pair`` and ``preference``, as texts.

    Raises:
        DataError: Listing every fault with its row.
    """
    if missing := [name for name in ("pair", "preference") if name not in filled.columns]:
        raise DataError(f"the sheet has no column {' and no column '.join(missing)}.")
    handed = {str(row["id"]): row for row in row_dicts(ratings.rows("handed"))}
    before = {_of(row) for row in row_dicts(ratings.rows())}
    faults, read, seen = list[str](), list[PairRating](), set[str]()
    for number, row in enumerate(row_dicts(filled.fillna("")), start=2):
        if not any(str(value).strip() for value in row.values()):
            continue
        pair, said = (_plain(row[name]) for name in ("pair", "preference"))
        if fault := _fault(pair, said, handed, seen):
            faults.append(f"row {number}: {fault}")
        elif said and _of(handed[pair]) not in before:
            read.append(_rating(handed[pair], said))
        seen.add(pair)
    if faults:
        raise DataError("\n".join(faults))
    return read


def waiting(handed: DataFrame, rated: DataFrame, rater: str) -> DataFrame:
    """Return the pairs on sheets of a rater that have not come back.

    Args:
        handed: All pairs that were handed out.
        rated: All ratings of pairs.
        rater: Whose sheets.
    """
    back = {_of(row) for row in row_dicts(rated)}
    own = [row["rater"] == rater and _of(row) not in back for row in row_dicts(handed)]
    return handed.loc[own]


def _plain(cell: Any) -> str:
    """Return what a person wrote in a cell, whatever blanks and capitals it is written with."""
    return " ".join(from_text(str(cell)).split()).casefold()


def _of(row: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return what tells one showing of a pair from any other."""
    names = ("rater", "model", "benchmark", "job_id", "left", "right", "seed")
    return tuple(row[name] for name in names)


def _rating(handed: Mapping[str, Any], said: str) -> PairRating:
    place = {name: str(handed[name]) for name in ("rater", "model", "benchmark", "job_id",
                                                  "left", "right")}  # fmt: skip
    preference = next(choice for choice in CHOICES if choice == said)
    left, right = (handed[name] if known(handed[name]) else None
                   for name in ("left_answer", "right_answer"))  # fmt: skip
    seed = int(handed["seed"])
    return PairRating(**place, preference=preference, seconds=0.0, seed=seed, left_answer=left,
                      right_answer=right)  # fmt: skip


def _fault(pair: str, said: str, handed: Mapping[str, object], seen: set[str]) -> str:
    if pair not in handed:
        return f"no pair {pair!r} was handed out.{close_matches(pair, handed)}"
    if pair in seen:
        return f"pair {pair!r} stands here twice."
    if said and said not in CHOICES:
        allowed = ", ".join(CHOICES)
        return f"{said!r} is no preference.{close_matches(said, CHOICES)} Allowed: {allowed}."
    return ""


def write(sheet: DataFrame, path: Path) -> None:
    """Write a sheet as CSV that spreadsheets open, in a file that is not there yet.

    Raises:
        DataError: If it is there, or cannot be written.
    """
    text = csv_text(sheet, quoting=csv.QUOTE_ALL)
    try:
        # Spreadsheets take UTF-8 for what it is only by its mark.
        with path.open("x", encoding="utf-8-sig", newline="") as file:
            file.write(text)
    except FileExistsError as error:
        raise DataError(f"{path} is there already: name another file by --to.") from error
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}.") from error


def read(path: Path) -> DataFrame:
    """Return the cells of a sheet as texts, whichever of comma, semicolon and tab parts them.

    What somebody wrote beside it, in columns without a name, is left out.

    Raises:
        DataError: If it cannot be read.
    """
    import pandas as pd

    try:
        text = path.read_text(encoding="utf-8-sig")
        heading = text.split("\n", 1)[0]
        comma = max(",;\t", key=heading.count)
        # Every row counts, also an empty one: a fault is told by the number that a person sees.
        cells = pd.read_csv(io.StringIO(text), sep=comma, dtype=str, keep_default_na=False,
                            header=None, skip_blank_lines=False).fillna("")  # fmt: skip
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}.") from error
    except (ValueError, pd.errors.ParserError) as error:
        said = " ".join(str(error).split())
        raise DataError(f"{path} is no sheet as CSV in UTF-8 ({said}): save it as one.") from error
    names = [" ".join(str(name).split()).casefold() for name in cells.iloc[0]]
    if doubled := [name for name in dict.fromkeys(names) if name and names.count(name) > 1]:
        raise DataError(f"{path} has more than one column {' and '.join(doubled)}: leave one.")
    rows = cells.iloc[1:].set_axis(names, axis=1).reset_index(drop=True)
    return rows.loc[:, [bool(name) for name in names]]
