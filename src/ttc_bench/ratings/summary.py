"""What the ratings of people say: strengths, win rates, agreement, and the pull of a place."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator
from typing import Any

from ttc_bench.ratings.pairs import choices_of
from ttc_bench.ratings.store import CRITERIA
from ttc_bench.reporting.row_dicts import Row, full_name, row_dicts
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.statistics import mean_interval
from ttc_bench.statistics.agreement import cohen_kappas, krippendorff_alpha, share_interval
from ttc_bench.statistics.preferences import bradley_terry
from ttc_bench.types import DataFrame

STRENGTHS = {
    **dict.fromkeys(("model", "variant"), "string"),
    **dict.fromkeys(("n", "wins", "ties", "losses"), "Int64"),
    **dict.fromkeys(("win_rate", "strength", "strength_low", "strength_high"), "Float64"),
}
"""``win_rate`` counts a tie as half; ``strength`` is of `bradley_terry`, in logits."""

AGREEMENT = {
    **dict.fromkeys(("model", "measure", "of"), "string"),
    **dict.fromkeys(("value", "low", "high"), "Float64"),
    "n": "Int64",
}
"""``krippendorff`` and ``cohen`` between raters; ``with`` a score: of the pairs in which a rater
preferred one answer and the scores of both differ, the share in which the scores agree;
``left_share``: of the choices for one side, the share for the left (0.5 is no pull of place)."""


def strengths(rated: DataFrame, seed: int, confidence: float) -> DataFrame:
    """Return a row per model and variant that was rated; see `STRENGTHS`."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for model, part in rated.groupby("model", sort=True):
        variants = sorted({*part["left"], *part["right"]})
        choices = choices_of(part, variants)
        fitted = bradley_terry(choices, len(variants), confidence, seed)
        for place, variant in enumerate(variants):
            shares = [c.share for c in choices if c.first == place]
            shares += [1 - c.share for c in choices if c.second == place]
            counts = {"wins": shares.count(1), "ties": shares.count(0.5), "losses": shares.count(0)}
            ends = {name: getattr(fitted, end)[place] for name, end in _ENDS.items()}
            rate = sum(shares) / len(shares)
            rows.append({"model": model, "variant": variant, "n": len(shares), **counts,
                         "win_rate": rate, **ends})  # fmt: skip
    return pd.DataFrame(rows, columns=list(STRENGTHS)).astype(STRENGTHS)


_ENDS = {"strength": "strength", "strength_low": "low", "strength_high": "high"}


def agreement(rated: DataFrame, all_scores: DataFrame) -> DataFrame:
    """Return how far people agree with each other, with the scores, and with a place."""
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for model, part in rated.groupby("model", sort=True):
        scores = all_scores[all_scores["model"] == model]
        lines = (*_between(part), *_with_scores(part, scores), _left(part))
        rows += [{"model": model, **line} for line in lines]
    return pd.DataFrame(rows, columns=list(AGREEMENT)).astype(AGREEMENT)


def _between(part: DataFrame) -> Iterator[Row]:
    said: dict[Hashable, dict[Hashable, str]] = {}
    for row in row_dicts(part):
        pair = tuple(sorted((row["left"], row["right"])))
        side = row["preference"]
        word = row[side] if side in ("left", "right") else side
        said.setdefault(row["rater"], {})[_question(row), pair] = str(word)
    yield _line("krippendorff", "all raters", krippendorff_alpha(said), n=len(part))
    for (one, other), (kappa, n) in cohen_kappas(said).items():
        yield _line("cohen", f"{one} and {other}", kappa, n=n)


def _with_scores(part: DataFrame, scores: DataFrame) -> Iterator[Row]:
    """Yield the agreement with the reward, and with what a judge model said, if one was asked."""
    for name in (name for name in _SCORES if name in scores.columns):
        of = {(_question(r), full_name(r)): r[name] for r in row_dicts(scores)}
        hits = []
        for row in row_dicts(part):
            sides = [of.get((_question(row), row[side])) for side in ("left", "right")]
            if row["preference"] in ("left", "right") and not any(map(_is_unknown, sides)):
                left, right = map(float, sides)  # type: ignore[arg-type]
                if left != right:
                    hits.append((left > right) == (row["preference"] == "left"))
        if hits:
            yield _line("with", name, *share_interval(hits), n=len(hits))


_SCORES = ("reward", "judge_rubric", "judge_win")
"""The reward, and what a judge model said where one was asked."""


def _question(row: Row) -> tuple[Any, Any]:
    return row["benchmark"], row["job_id"]


def _left(part: DataFrame) -> Row:
    sides = [side == "left" for side in part["preference"] if side in ("left", "right")]
    return _line("left_share", "all raters", *share_interval(sides), n=len(sides))


def _is_unknown(value: Any) -> bool:
    import pandas as pd

    return value is None or bool(pd.isna(value))


def _line(
    measure: str, of: str, value: float, low: float = math.nan, high: float = math.nan, n: int = 0
) -> Row:
    ends = {"value": value, "low": low, "high": high}
    return {"measure": measure, "of": of, **ends, "n": n}


GRADES = {
    **dict.fromkeys(("model", "variant", "criterion"), "string"),
    **dict.fromkeys(("mean", "low", "high"), "Float64"),
    "n": "Int64",
}
"""Mean grade of each criterion, from 1 to 5, with its interval over questions."""


def grades(graded: DataFrame, confidence: float) -> DataFrame:
    """Return a row per model, variant and criterion that was graded."""
    import pandas as pd

    rows = []
    for (model, variant), part in graded.groupby(["model", "variant"], sort=True):
        for criterion in CRITERIA:
            given = part[part[criterion].notna()]
            if len(given):
                values = given[criterion].astype(float).tolist()
                jobs = [_question(row) for row in row_dicts(given)]
                clusters = jobs if len(set(jobs)) < len(jobs) else None
                mean, low, high = mean_interval(values, confidence, clusters, (1.0, 5.0))
                rows.append((model, variant, criterion, mean, low, high, len(values)))
    return pd.DataFrame(rows, columns=list(GRADES)).astype(GRADES)


def lines(strength_rows: DataFrame, agreement_rows: DataFrame, n_raters: int) -> Iterator[str]:
    """Yield what the ratings say, for the terminal."""
    if strength_rows.empty:
        yield "No pair has been rated yet: `kedro dashboard`, page Judge, shows them."
        return
    comparisons = int(strength_rows["n"].sum()) // 2
    told = f"{counted_as(comparisons, 'comparison')} by {counted_as(n_raters, 'rater')}"
    yield f"{told}. Strengths in logits, 0 on average:"
    for row in row_dicts(strength_rows.sort_values("strength", ascending=False)):
        yield (
            f"  {row['model']} {row['variant']:28s} {row['strength']:+.2f}"
            f" [{row['strength_low']:+.2f}, {row['strength_high']:+.2f}]"
            f"  preferred in {row['win_rate']:.0%} of {row['n']}"
        )
    for row in row_dicts(agreement_rows):
        if not _is_unknown(row["value"]):
            ends = "" if _is_unknown(row["low"]) else f" [{row['low']:.2f}, {row['high']:.2f}]"
            what = _WORDS[row["measure"]].format(of=row["of"])
            yield f"  {row['model']} {what}: {row['value']:.2f}{ends} (n = {row['n']})"


_WORDS = {
    "krippendorff": "agreement of {of} (Krippendorff's alpha)",
    "cohen": "agreement of {of} (Cohen's kappa)",
    "with": "preferences that agree with {of}",
    "left_share": "choices for the left side (0.5 is no pull of place)",
}
