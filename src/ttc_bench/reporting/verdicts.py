"""Every variant against the baseline, in the words of a decision and in ratios of costs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ttc_bench.reporting.pairing import Jobs, Name, jobs_of, values_by_variant
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.row_dicts import Row, row_dicts
from ttc_bench.reporting.speeds import speeds_of
from ttc_bench.statistics import Comparison, compare, pairs_needed
from ttc_bench.statistics.decision import Quality, quality, ratio_of_totals
from ttc_bench.statistics.speed import Ratio
from ttc_bench.types import BASELINE, GROUP, DataFrame

SPENT = {"usd": "dollars", "flops": "FLOPs", "total_tokens": "tokens"}
"""Costs of a response by their metric, in words. Times are not among them: a ratio of times needs a
control beside it, see `speeds`; energy is read for a whole variant at once, and has no interval."""

ENDS = ("", "_low", "_high")

COLUMNS = {
    **dict.fromkeys(GROUP, "string"),
    "verdict": "string",
    "n_pairs": "Int64",
    **{f"difference{end}": "Float64" for end in ENDS},
    "alone_low": "Float64",
    "alone_high": "Float64",
    "differ_high": "Float64",
    "margin": "Float64",
    "n_needed": "Int64",
    **{f"speed{end}": "Float64" for end in ENDS},
    **{f"{name}_ratio{end}": "Float64" for name in SPENT for end in ENDS},
    **{f"{name}_mean": "Float64" for name in ("latency_s", *SPENT)},
}
"""``verdict``: see `ttc_bench.statistics.decision.quality`. ``difference`` is of the reward, its
ends hold at once for all variants; ``alone_low`` and ``alone_high`` are the variant's own.
``differ_high``: share of further answers that may differ where none did. ``n_needed``: questions
that would show a difference of ``margin`` at the disagreement seen. Ratios are over the
baseline's, null where a bill has a gap; ``*_mean`` are the variant's own."""


def verdicts(all_scores: DataFrame, speeds: DataFrame, params: AggregateParams) -> DataFrame:
    """Return a row per variant of each model and benchmark, the baseline's included.

    Args:
        all_scores: Scores of the run.
        speeds: See `ttc_bench.reporting.speeds`.
        params: How sure to be.
    """
    import pandas as pd

    ratios, rows = speeds_of(speeds), []
    for (model, benchmark), part in all_scores.groupby(["model", "benchmark"], sort=True):
        for name, row in _of_benchmark(part, params):
            key = (model, benchmark, *name)
            timed = {f"speed{end}": ratios.get(key, {}).get(f"speed{end}") for end in ENDS}
            rows.append({**dict(zip(GROUP, key, strict=True)), **row, **timed})
    return pd.DataFrame(rows, columns=list(COLUMNS)).astype(COLUMNS)


def _of_benchmark(
    part: DataFrame, params: AggregateParams
) -> Iterator[tuple[Name, dict[str, Any]]]:
    import numpy as np

    jobs, means = jobs_of(part, params.min_clusters), _means(part)
    rewards = values_by_variant(part, "reward", jobs)
    others = [name for name in rewards if name != BASELINE]
    if not others or BASELINE not in rewards:
        yield from means.items()
        return
    yield BASELINE, means[BASELINE]
    table, base = np.column_stack([rewards[name] for name in others]), rewards[BASELINE]
    settings, equal, ratios = params.comparing(), _equal_answers(part), _Ratios(part, jobs, params)
    family = compare(table, np.broadcast_to(base[:, None], table.shape), jobs.codes, settings, 1.0)
    for name, versus in zip(others, family, strict=True):
        known = ~np.isnan(rewards[name] + base)
        sides = rewards[name][known], base[known]
        same = equal.get(name, False)
        verdict = quality(*sides, same, versus, settings, _chosen(jobs, known))
        row = {**_told(verdict), **_difference(versus, params, verdict.word == "undecided")}
        yield name, {**row, **ratios.of(name), **means[name]}


def _chosen(jobs: Jobs, rows: Any) -> Any:
    """Return the clusters of some jobs."""
    return None if jobs.codes is None else jobs.codes[rows]


def _told(verdict: Quality) -> dict[str, Any]:
    return {
        "verdict": verdict.word,
        "differ_high": verdict.differ_high if verdict.word == "identical" else None,
        "alone_low": verdict.alone[0],
        "alone_high": verdict.alone[1],
    }


def _difference(versus: Comparison, params: AggregateParams, undecided: bool) -> dict[str, Any]:
    return {
        "n_pairs": versus.n_pairs,
        "difference": versus.difference,
        "difference_low": versus.low,
        "difference_high": versus.high,
        "margin": params.equal_within,
        "n_needed": pairs_needed(versus, 1.0, params.comparing()) if undecided else None,
    }


class _Ratios:
    """Ratios of costs to the baseline's, over the jobs that both answered.

    Args:
        part: Scores of one model and benchmark.
        jobs: Its jobs.
        params: How sure to be, of all variants at once.
    """

    def __init__(self, part: DataFrame, jobs: Jobs, params: AggregateParams) -> None:
        self._jobs = jobs
        self._spends = {metric: values_by_variant(part, metric, jobs) for metric in SPENT}
        self._level = 1 - (1 - params.confidence) / (len(self._spends["usd"]) - 1)

    def of(self, name: Name) -> dict[str, float]:
        """Return ratio and ends by cost; NaN where the bill of an answer has a gap."""
        import numpy as np

        ratios: dict[str, float] = {}
        for metric, spent in self._spends.items():
            both = ~np.isnan(spent[name] + spent[BASELINE])
            ratio = Ratio(np.nan, np.nan, np.nan, 0)
            if both.any():
                own, base = spent[name][both], spent[BASELINE][both]
                ratio = ratio_of_totals(own, base, _chosen(self._jobs, both), self._level)
            ends = (ratio.ratio, ratio.low, ratio.high)
            ratios |= {f"{metric}_ratio{end}": v for end, v in zip(ENDS, ends, strict=True)}
        return ratios


def _means(part: DataFrame) -> dict[Name, dict[str, Any]]:
    """Return the mean costs of each variant; null where a response that has an answer lacks one.

    Times are of the answers that were timed.
    """
    answered = part[part["status"] == "ok"].groupby(["policy", "variant"])
    means: dict[Name, dict[str, Any]] = {
        (str(row["policy"]), str(row["variant"])): {}
        for row in row_dicts(part[["policy", "variant"]].drop_duplicates())
    }
    for (policy, variant), rows in answered:
        for metric in ("latency_s", *SPENT):
            values = rows[metric].astype("Float64").dropna()
            is_known = len(values) == len(rows) or (metric == "latency_s" and len(values) > 0)
            mean = float(values.mean()) if is_known else None
            means[str(policy), str(variant)][f"{metric}_mean"] = mean
    return means


def _equal_answers(part: DataFrame) -> dict[Name, bool]:
    """Return for each variant whether all of its answers are the baseline's, letter by letter."""
    if "answer" not in part:
        return {}
    base = part[(part["policy"] == BASELINE[0]) & (part["variant"] == BASELINE[1])]
    answers = dict(zip(base["job_id"], base["answer"], strict=True))
    equal: dict[Name, bool] = {}
    rows = zip(part["policy"], part["variant"], part["job_id"], part["answer"], strict=True)
    for policy, variant, job, answer in rows:
        # A failed response has no answer, and is equal to none.
        same = isinstance(answer, str) and answers.get(job) == answer
        equal[policy, variant] = equal.get((policy, variant), True) and same
    return equal


def word_of(row: Row) -> str:
    """Return the verdict of a row in words, with what it rests on."""
    if row["verdict"] == "identical":
        return (
            f"identical on these {row['n_pairs']}; up to {row['differ_high']:.0%} of others may"
            " differ"
        )
    if row["verdict"] == "as good":
        return f"as good within {row['margin']:g}"
    return str(row["verdict"])
