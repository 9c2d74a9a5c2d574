"""The decision: which variant for which aim, and what is known of each, in plain sentences."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any

from ttc_bench.reporting.candidates import candidate, change, cost_words, paid_cost, times
from ttc_bench.reporting.limits import UNSHOWN_REACHED, UNSHOWN_WITHIN, limits_of
from ttc_bench.reporting.params import DecideParams
from ttc_bench.reporting.privacy import SUFFIX, is_privacy
from ttc_bench.reporting.row_dicts import Row, full_name, row_dicts
from ttc_bench.reporting.sheet import known
from ttc_bench.reporting.verdicts import (
    RATIOS,
    SPENT,
    UNANSWERED,
    is_lower,
    is_unanswered,
    weights,
    word_of,
)
from ttc_bench.statistics import Interval, mean_of_independent
from ttc_bench.statistics.decision import (
    DIFFERING,
    EQUAL,
    Candidate,
    best,
    cheapest,
    fastest,
    pairs_for_margin,
)
from ttc_bench.types import BASELINE, GROUP, DataFrame

EVERYWHERE = "all"
"""Stands for all benchmarks in the column ``benchmark`` of the decision."""

NOTHING = "nothing yet"

DEARER, SLOWER = "every variant is dearer", "every variant is slower"
"""Why the baseline stays what it is by cost or speed: both are shown, neither is a lack of data."""

UNSHOWN_FASTER = "no variant as good is shown to be faster"
UNSHOWN_CHEAPER = "no variant as good is shown to be cheaper"
UNSHOWN_BETTER = "no variant is shown to be better"
UNSHOWN = (
    *(UNSHOWN_FASTER, UNSHOWN_CHEAPER, UNSHOWN_BETTER),
    *(UNSHOWN_WITHIN, UNSHOWN_REACHED),
)
"""Why an aim has no variant where some verdicts are known, and none of them is what it asks for."""

UNTIMED = "no variant was timed: see timing.jobs"
"""Why nothing is named as the fastest where no variant has a speed at all."""

LEAKING = "shown to be worse on privacy tasks"
"""Why nothing is named where what would be is worse on the privacy tasks of its benchmark."""

COLUMNS = ("model", "benchmark", "aim", "policy", "variant", "reason")
"""Columns of the decision, all text; policy and variant are null where nothing is named."""

MEANS = (
    ("reward_mean", "reward_low", "reward_high"),
    ("difference", "difference_low", "difference_high"),
    ("difference", "alone_low", "alone_high"),
    *((f"{name}_mean", f"{name}_mean_low", f"{name}_mean_high") for name in ("latency_s", *SPENT)),
)
"""Means over benchmarks with the ends of their intervals. Ratios have none of their own: they hold
on each benchmark, so that their ends are the outermost ones."""

COUNTS = ("n_pairs", "n_answered", "n_questions")
"""Columns of the verdicts that add up over benchmarks."""


@dataclass(frozen=True)
class Aim:
    """What someone may want, and which variant the data name for it.

    Attributes:
        label: The aim in words.
        choose: Returns the variant, from the candidates and the baseline.
        reason: Returns why, in words, from the row of the verdicts that is named.
        unshown: What is said where no variant is what the aim asks for.
        kept: What is said where the figure of every variant is shown to be on the baseline's side,
            the figure's column, and which end of its interval says so at 1.
        unmeasured: What is said where no variant has the figure, and the figure's column.
        is_of_equals: Whether it asks for a variant that is as good, which more questions may show.
    """

    label: str
    choose: Callable[[Sequence[Candidate], Candidate], Candidate | None]
    reason: Callable[[Row], str]
    unshown: str = ""
    kept: tuple[str, str, Callable[[float], bool]] | None = None
    unmeasured: tuple[str, str] | None = None
    is_of_equals: bool = False

    def lack(self, rows: Sequence[Row]) -> str:
        """Return why nothing is named, from the verdicts of all variants."""
        rivals = others = [row for row in rows if full_name(row) != ".".join(BASELINE)]
        if self.kept is not None:
            words, column, stays = self.kept
            # More questions make none of the others what the aim asks for.
            rivals = [row for row in others if not (known(row[column]) and stays(row[column]))]
            if not rivals:
                return words
        if lack := _lack(rows, rivals, self.is_of_equals) or _leaks(rows):
            return lack
        words, column = self.unmeasured or (self.unshown, "")
        return self.unshown if any(known(row.get(column)) for row in others) else words


def decide(verdicts: DataFrame, params: DecideParams) -> DataFrame:
    """Return a row per model, benchmark and aim, with the variant that is named for it, if any.

    Where there are several benchmarks, `EVERYWHERE` is one more: what holds there holds on each of
    them, and figures are means of equal weights (of ratios, the geometric ones). Privacy tasks,
    which have a decision of their own, are in none of these; but what is shown to be worse on them
    is named for no aim of its benchmark. Columns: `COLUMNS`.

    Args:
        verdicts: See `ttc_bench.reporting.verdicts`.
        params: Budgets.
    """
    import pandas as pd

    rows: list[tuple[str | None, ...]] = []
    for model, of_model in verdicts.groupby("model", sort=True):
        parts: dict[str, Sequence[Row]] = {
            str(name): row_dicts(part) for name, part in of_model.groupby("benchmark")
        }
        if sum(not is_privacy(name) for name in parts) > 1:
            parts[EVERYWHERE] = everywhere(list(parts.values()))
        for benchmark, part in parts.items():
            told = _demoted(part, _leaking([parts.get(f"{benchmark}{SUFFIX}", ())]))
            aimed = _of_benchmark(told, params, _baselines(parts.values()))
            rows += [(str(model), benchmark, *row) for row in aimed]
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype("string")


def _baselines(parts: Iterable[Sequence[Row]]) -> list[Row]:
    return [row for part in parts for row in part if full_name(row) == ".".join(BASELINE)]


def _of_benchmark(
    rows: Sequence[Row], params: DecideParams, baselines: Sequence[Row]
) -> Iterator[tuple[str | None, ...]]:
    by_name = {full_name(row): row for row in rows}
    baseline = by_name.get(".".join(BASELINE))
    if baseline is None or len(rows) == 1:
        return
    candidates = [candidate(row) for row in rows if row is not baseline]
    for aim in aims([baseline, *baselines], params):
        choice = aim.choose(candidates, candidate(baseline))
        if choice is None:
            yield aim.label, None, None, aim.lack(rows)
        else:
            row = by_name[choice.name]
            yield aim.label, row["policy"], row["variant"], aim.reason(row) + weights(row)


def everywhere(parts: Sequence[Sequence[Row]]) -> list[Row]:
    """Return the verdicts that hold on every benchmark, of the variants that ran on all.

    Privacy tasks are in none of the figures; what is shown to be worse on them is worse.
    """
    rest = [part for part in parts if not is_privacy(part[0]["benchmark"])] or parts
    by_name = [{full_name(row): row for row in part} for part in rest]
    shared = [name for name in by_name[0] if all(name in part for part in by_name)]
    rows = {name: _together([part[name] for part in by_name]) for name in shared}
    return _demoted(list(rows.values()), _leaking(parts))


def _leaking(parts: Sequence[Sequence[Row]]) -> set[str]:
    """Return the variants that are shown to be worse on privacy tasks, by however little."""
    private = (row for part in parts for row in part if is_privacy(row["benchmark"]))
    return {full_name(row) for row in private if row["verdict"] == "worse" or is_lower(row)}


def _demoted(rows: Sequence[Row], leaking: set[str]) -> list[Row]:
    return [
        {**row, "verdict": "worse", "leaks": row["verdict"] in EQUAL}
        if full_name(row) in leaking
        else row
        for row in rows
    ]


def _leaks(rows: Sequence[Row]) -> str:
    """Return which variants are not named although their answers are good enough, if any are."""
    names = [full_name(row) for row in rows if row.get("leaks")]
    verb = "is" if len(names) == 1 else "are"
    return f"{', '.join(names)} {verb} {LEAKING}" if names else ""


def _together(rows: Sequence[Row]) -> dict[str, Any]:
    """Return the weakest verdict, means, and ratios with intervals that hold on each benchmark."""
    words = {row["verdict"] for row in rows}
    if "better" in words and len(words) > 1:
        # Better on one benchmark and as good on another says nothing of the margin.
        rows = [{**row, "margin": None} for row in rows]
    equal = words <= set(EQUAL)
    word = words.pop() if len(words) == 1 else "as good" if equal else "undecided"
    columns = [name for name in rows[0] if name not in (*GROUP, "verdict", *COUNTS)]
    merged = {name: _merged(name, [row[name] for row in rows]) for name in columns}
    merged |= {
        name: value
        for figure in MEANS
        if figure[0] in columns
        for name, value in _mean_of(figure, rows).items()
    }
    identity = {name: rows[0][name] for name in GROUP}
    counts = {name: _sum([row.get(name) for row in rows]) for name in COUNTS}
    return {**identity, **merged, "verdict": word, **counts, "n_benchmarks": len(rows)}


def _sum(values: Sequence[Any]) -> Any:
    return sum(values) if all(map(known, values)) else None


def _mean_of(figure: tuple[str, str, str], rows: Sequence[Row]) -> dict[str, float | None]:
    """Return the interval of the mean of a figure, whose questions are others on each benchmark."""
    if not all(known(row.get(name)) for row in rows for name in figure):
        return dict.fromkeys(figure[1:])
    parts = [Interval(*(float(row[name]) for name in figure)) for row in rows]
    return dict(zip(figure[1:], mean_of_independent(parts)[1:], strict=True))


def _merged(column: str, values: Sequence[Any]) -> float | None:
    if not all(map(known, values)):
        return None
    if column == "lossless":
        return all(values)
    if column.endswith(("_low", "_high")):
        return float((min if column.endswith("_low") else max)(values))
    if column.startswith("speed") or column.endswith("_ratio"):
        return _geometric_mean(values)
    return float(sum(values) / len(values))


def _geometric_mean(ratios: Sequence[float]) -> float | None:
    """Return the mean of ratios; ``None`` where one is of nothing, and another one to nothing."""
    if 0 in ratios:
        return None if math.inf in ratios else 0.0
    return math.exp(sum(map(math.log, ratios)) / len(ratios))


def aims(baselines: Sequence[Row], params: DecideParams) -> Iterator[Aim]:
    """Yield the aims of a benchmark: three that always are, and one for each budget.

    Args:
        baselines: Its baseline, then those of all benchmarks, for a cost that the first does not
            tell, as where it has no answer.
        params: Budgets.
    """
    cost = paid_cost(*baselines)
    slower = (SLOWER, "speed_high", lambda end: end < 1)
    dearer = (DEARER, f"{cost}_ratio_low", lambda end: end > 1)
    yield Aim(
        "fastest at equal quality",
        lambda all_, _: fastest(all_),
        _faster,
        UNSHOWN_FASTER,
        slower,
        (UNTIMED, "speed"),
        is_of_equals=True,
    )
    yield Aim(
        f"cheapest at equal quality, by {SPENT[cost]}",
        lambda all_, _: cheapest(all_, cost),
        lambda row: f"{times(row, f'{cost}_ratio')} the {SPENT[cost]}, {word_of(row)}",
        UNSHOWN_CHEAPER,
        dearer,
        is_of_equals=True,
    )
    yield Aim("best at any price", lambda all_, _: best(all_), change, UNSHOWN_BETTER)
    for limits in limits_of(params):
        choose = partial(limits.choose, cost)
        yield Aim(
            limits.label(cost),
            choose,
            limits.reason,
            limits.unshown(),
            is_of_equals=bool(limits.budgets),
        )


def _lack(rows: Sequence[Row], rivals: Sequence[Row], is_of_equals: bool) -> str:
    """Return what the data lack, if no verdict is known: answers, or questions.

    Args:
        rows: Verdicts of all variants.
        rivals: Those of variants that may be what is asked for.
        is_of_equals: Whether that is to be as good, and not to differ.
    """
    if all(is_unanswered(row) for row in rows if known(row["verdict"])):
        return UNANSWERED
    if not any(known(row["verdict"]) and row["verdict"] != "undecided" for row in rows):
        needs = [row for row in rivals if known(row["n_needed"])]
        if needs:
            least, margin = min(int(row["n_needed"]) for row in needs), float(needs[0]["margin"])
            if is_of_equals:
                # Rewards that are all equal so far are no promise that the next ones are.
                least = max(least, _pairs_for_equality(margin))
                return f"about {least} questions would show equal within {margin:g}"
            return f"{least} questions would show a difference of {margin:g}"
    return ""


@cache
def _pairs_for_equality(margin: float) -> int:
    """Return how many questions show equality, as `ttc_bench.hooks.sample_size` foretells it."""
    return pairs_for_margin(margin, DIFFERING)


def _faster(row: Row) -> str:
    return f"{times(row, 'speed')} as fast, {word_of(row)}"


def lines(decision: DataFrame, model: Any) -> list[str]:
    """Return the decision of a model as text, a line per aim with all benchmarks on it."""
    own = decision[decision["model"] == model]
    silent = own["policy"].isna() & own["benchmark"].map(is_privacy).astype(bool)
    own = own if silent.all() else own[~silent]
    aims_told, first = [], dict[str, str]()
    for aim, part in own.groupby("aim", sort=False):
        told = _told(row_dicts(part))
        # What every aim lacks alike is said once.
        if told in first and told.startswith(NOTHING):
            told = f"{NOTHING}, for the same reason as {first[told]}"
        first.setdefault(told, str(aim))
        aims_told.append(f"{_upper(str(aim))}: {told}.")
    return aims_told


def _told(rows: Sequence[Row]) -> str:
    """Return what is named for an aim on each benchmark, or once what is named on all."""
    names = {full_name(row) if known(row["policy"]) else NOTHING for row in rows}
    reasons = {row["reason"] for row in rows}
    if names == {NOTHING}:
        if len(reasons) == 1 and (reason := next(iter(reasons))) in (DEARER, SLOWER):
            return f"the baseline ({reason})"
        # Where the baseline is shown to be the answer on one of several, each has its own.
        if not reasons & {DEARER, SLOWER}:
            lacks = _lacks(rows)
            return NOTHING + (f" ({lacks})" if lacks else "")
    elif len(names) == 1 and (len(rows) == 1 or rows[-1]["benchmark"] == EVERYWHERE):
        return f"{names.pop()} ({rows[-1]['reason']})"
    empty = [row["benchmark"] for row in rows if _named(row).startswith(NOTHING)]
    return "; ".join(f"{row['benchmark']}: {_named(row, empty)}" for row in rows)


def _named(row: Row, empty: Sequence[str] = ()) -> str:
    """Return what is named on a benchmark beside others, and why.

    Args:
        row: The decision there.
        empty: Benchmarks on which nothing is named: what holds on all of them cannot be more.
    """
    if known(row["policy"]):
        return f"{full_name(row)} ({row['reason']})"
    reason = str(row["reason"]) if known(row["reason"]) else ""
    if reason in (DEARER, SLOWER):
        return f"the baseline ({reason})"
    on = [name for name in empty if name != EVERYWHERE]
    if row["benchmark"] == EVERYWHERE and on and not reason.endswith(LEAKING):
        return f"{NOTHING}, as on {' and '.join(on)}"
    return NOTHING + (f" ({reason})" if reason else "")


def _lacks(rows: Sequence[Row]) -> str:
    """Return why nothing is named on any benchmark: once where it is the same on all."""
    single = [row for row in rows if row["benchmark"] != EVERYWHERE]
    where: dict[str, list[str]] = {}
    # What the data lack tells more than that nothing is shown.
    for row in [row for row in single if row["reason"] not in UNSHOWN] or single:
        if row["reason"]:
            where.setdefault(row["reason"], []).append(row["benchmark"])
    if len(where) == 1 and len(next(iter(where.values()))) == len(single):
        return next(iter(where))
    return "; ".join(f"{', '.join(names)}: {reason}" for reason, names in where.items())


def headline(decision: DataFrame, model: Any, benchmark: Any, summary: DataFrame) -> str:
    """Return the decision of one model and benchmark in a sentence, or why there is none."""
    if not int(summary["n_valid"].sum()):
        return "No response is valid, so nothing can be decided."
    own = decision[(decision["model"] == model) & (decision["benchmark"] == benchmark)]
    if own.empty:
        has_baseline = (summary["policy"] == BASELINE[0]).any()
        return (
            "Only the baseline was run: there is nothing to decide."
            if has_baseline
            else "There is no baseline, so no variant can be called better or worse."
        )
    named = [row for row in row_dicts(own) if known(row["policy"])]
    if not named:
        leaks = own["reason"].str.endswith(LEAKING, na=False).any()
        but = " without being worse on privacy tasks" if leaks else ""
        return f"No variant is shown to be better, or as good for less{',' if but else ''}{but}."
    return _upper("; ".join(f"{row['aim']}: {full_name(row)}" for row in named)) + "."


def _upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def sentences(verdicts: DataFrame) -> list[str]:
    """Return what is known of each variant of one model and benchmark against the baseline."""
    order = ("identical", "better", "as good", "worse", "undecided")
    rows = [row for row in row_dicts(verdicts) if known(row["verdict"])]
    ranked = sorted(rows, key=lambda r: (order.index(r["verdict"]), -_gain(r)))
    return [_sentence(row) for row in ranked]


def _gain(row: Row) -> float:
    return float(row["difference"]) if known(row["difference"]) else -math.inf


def _sentence(row: Row) -> str:
    if is_unanswered(row):
        return f"{full_name(row)}: {word_of(row)}."
    line = f"{full_name(row)}: {word_of(row)}, reward {change(row)}"
    if known(row["n_needed"]):
        line += (
            f"; about {int(row['n_needed'])} questions would show a difference of"
            f" {row['margin']:g} at the disagreement seen"
        )
    shown = {words: word for words, word in cost_words(row).items() if word != "undecided"}
    if "seconds" in shown:
        line += f"; {times(row, 'speed')} as fast"
    for name, words in RATIOS.items():
        if words in shown:
            line += f"; {shown[words]} by {words}, {times(row, name)}"
    return line + "."
