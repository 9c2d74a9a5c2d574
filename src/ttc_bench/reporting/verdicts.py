"""Every variant against the baseline, in the words of a decision and in ratios of costs."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ttc_bench.reporting.pairing import Jobs, Name, counted, jobs_of, values_by_variant
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.row_dicts import Row, row_dicts
from ttc_bench.reporting.speeds import speeds_of
from ttc_bench.statistics import Comparison, compare, pairs_needed
from ttc_bench.statistics.decision import quality, ratio_of_totals
from ttc_bench.statistics.speed import Ratio
from ttc_bench.types import BASELINE, GROUP, DataFrame

SPENT = {
    "total_tokens": "tokens",
    "flops": "flops",
    "usd": "usd",
    "ttft_s": "ttft",
    "energy_j": "energy",
}
"""Costs of a response by their metric; time is measured beside a control, see `speeds`."""

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
    **{f"{name}_ratio{end}": "Float64" for name in SPENT.values() for end in ENDS},
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

    jobs = jobs_of(part, params.min_clusters)
    rewards = values_by_variant(part, "reward", jobs)
    spends = {metric: values_by_variant(part, metric, jobs) for metric in SPENT}
    means = _means(part)
    others = [name for name in rewards if name != BASELINE]
    if BASELINE in rewards:
        yield BASELINE, means[BASELINE]
    if not others or BASELINE not in rewards:
        yield from ((name, means[name]) for name in others)
        return
    table, base = np.column_stack([rewards[name] for name in others]), rewards[BASELINE]
    family = compare(
        table, np.broadcast_to(base[:, None], table.shape), jobs.codes, params.comparing(), 1.0
    )
    level = 1 - (1 - params.confidence) / len(others)
    equal = _equal_answers(part)
    for name, versus in zip(others, family, strict=True):
        known = ~np.isnan(rewards[name] + base)
        codes = None if jobs.codes is None else jobs.codes[known]
        verdict = quality(
            rewards[name][known], base[known], equal.get(name, False), versus,
            params.comparing(), codes,
        )  # fmt: skip
        yield (
            name,
            {
                "verdict": verdict.word,
                "differ_high": verdict.differ_high if verdict.word == "identical" else None,
                "alone_low": verdict.alone[0],
                "alone_high": verdict.alone[1],
                **_difference(versus, params, verdict.word == "undecided"),
                **_ratios(name, spends, jobs, level),
                **means[name],
            },
        )


def _difference(versus: Comparison, params: AggregateParams, undecided: bool) -> dict[str, Any]:
    return {
        "n_pairs": versus.n_pairs,
        "difference": versus.difference,
        "difference_low": versus.low,
        "difference_high": versus.high,
        "margin": params.equal_within,
        "n_needed": pairs_needed(versus, 1.0, params.comparing()) if undecided else None,
    }


def _ratios(
    name: Name, spends: Mapping[str, Mapping[Name, Any]], jobs: Jobs, level: float
) -> dict[str, Any]:
    """Return the ratios of costs over the jobs that both answered; a bill with a gap has none."""
    import numpy as np

    ratios: dict[str, Any] = {}
    # What both answered has a count of tokens, unless the bill has a gap.
    for metric, label in SPENT.items():
        own, base = spends[metric].get(name), spends[metric].get(BASELINE)
        ratio = Ratio(np.nan, np.nan, np.nan, 0)
        if own is not None and base is not None:
            known = ~np.isnan(own + base)
            codes = None if jobs.codes is None else jobs.codes[known]
            ratio = ratio_of_totals(own[known], base[known], codes, level)
        ends = (ratio.ratio, ratio.low, ratio.high)
        ratios |= {f"{label}_ratio{end}": value for end, value in zip(ENDS, ends, strict=True)}
    return ratios


def _means(part: DataFrame) -> dict[Name, dict[str, Any]]:
    """Return the mean costs of each variant; null where a response that has an answer lacks one."""
    answered = part[part["status"] == "ok"]
    means: dict[Name, dict[str, Any]] = {name: {} for name in _names(part)}
    for metric in ("latency_s", *SPENT):
        values = answered.assign(value=counted(answered, metric))
        for name, row in means.items():
            of_name = (values["policy"] == name[0]) & (values["variant"] == name[1])
            own = values.loc[of_name, "value"]
            gap = own.isna().any() and metric != "latency_s"
            row[f"{metric}_mean"] = None if gap or own.isna().all() else float(own.mean())
    return means


def _names(part: DataFrame) -> list[Name]:
    pairs = part[["policy", "variant"]].drop_duplicates()
    return [(str(row["policy"]), str(row["variant"])) for row in row_dicts(pairs)]


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
