"""From two runs that were kept to what changed between them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from ttc_bench.benchmarks.base import QUESTION_VERSION
from ttc_bench.params import flat
from ttc_bench.reporting.pairing import RUN_PAIR, Layout, Name
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.privacy import apart
from ttc_bench.reporting.run_choice import ComparedRuns, KeptRun, asked_in
from ttc_bench.reporting.speeds import ENDS
from ttc_bench.reporting.verdicts import SPENT, ratio_word, verdicts_of
from ttc_bench.types import BASELINE, DataFrame

if TYPE_CHECKING:
    from pandas import Series

TIMES = ("latency_s", "ttft_s")
"""Of them only the means are told: two runs were not timed beside each other."""

METRICS = ("reward", *SPENT, *TIMES)
"""What is compared: quality first, then every cost."""

KEY = (*RUN_PAIR, "policy", "variant")

CHANGES = {
    **dict.fromkeys(KEY, "string"),
    "metric": "string",
    "verdict": "string",
    **dict.fromkeys(("n_before", "n_after", "n_pairs"), "Int64"),
    "mean_before": "Float64",
    "mean_after": "Float64",
    **{f"difference{end}": "Float64" for end in ENDS},
    "p_adjusted": "Float64",
    "alone_low": "Float64",
    "alone_high": "Float64",
    "differ_high": "Float64",
    "margin": "Float64",
    "n_needed": "Int64",
    **{f"ratio{end}": "Float64" for end in ENDS},
    "n_up": "Int64",
    "n_down": "Int64",
    "n_replayed": "Int64",
}
"""The reward has a difference with its interval and a verdict in the words of
`ttc_bench.reporting.verdicts`; a cost has the ratio of what both runs paid with its interval, and
is ``cheaper``, ``dearer`` or ``undecided`` by it; a time is ``not comparable``. ``n_up`` and
``n_down`` are the questions on which the metric rose and fell, ``n_replayed`` those of which a side
has a call from the journal, which may be the very call of the other side."""

ANSWERS = (*KEY, "job_id", "task", "status_before", "status_after", "reward_before", "reward_after")

CALLED = {"replayed": "boolean", "spent_calls": "Float64", "calls": "Float64"}
"""What tells whether a response has calls from the journal."""

SETTINGS = ("model_before", "model_after", "setting", "before", "after")


def load_runs(
    kept_scores: Mapping[str, Callable[[], DataFrame]],
    compared_runs: ComparedRuns,
    params: AggregateParams,
) -> tuple[DataFrame, DataFrame]:
    """Return the scores of both sides as one table, and what is not compared.

    Returns:
        The scores of what both sides have, with ``side`` (``before`` or ``after``),
        ``model_before`` and ``model_after``; and one row per benchmark and variant that only one
        side ran, or whose questions only one side was asked, with a ``reason``.
    """
    import pandas as pd

    shared, left_out = [], []
    for before, after in compared_runs.pairs:
        both_runs = (asked_in(kept_scores[one.key]()) for one in (before, after))
        old, new = (apart(scores, params.pool_privacy) for scores in both_runs)
        both = [_named_as(old, new).assign(side="before"), new.assign(side="after")]
        table = pd.concat(both, ignore_index=True).assign(
            model_before=before.model, model_after=after.model
        )
        kept, dropped = _in_both(table)
        shared.append(kept)
        left_out.append(dropped)
    return pd.concat(shared, ignore_index=True), pd.concat(left_out, ignore_index=True)


def _named_as(before: DataFrame, after: DataFrame) -> DataFrame:
    """Return the scores of before under the job ids that after has for the same questions.

    A question that a run asks several times is paired with as many of the other run.
    """
    keys = ["benchmark", "question", "place"]
    old, new = (_asked(scores) for scores in (before, after))
    both = old.merge(new, on=keys, suffixes=("_before", "_after"))
    names = dict(zip(both["job_id_before"], both["job_id_after"], strict=True))
    return before.assign(job_id=[names.get(job, job) for job in before["job_id"]])


def _asked(scores: DataFrame) -> DataFrame:
    """Return each job once, with its place among those that ask the same."""
    jobs = scores[["benchmark", "question", "job_id"]].drop_duplicates().sort_values("job_id")
    return jobs.assign(place=jobs.groupby(["benchmark", "question"]).cumcount())


def _in_both(table: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Return the rows of what both sides have, and by variant why the others have no partner."""
    import pandas as pd

    name = list(KEY)
    sides_of_variant = table.groupby(name)["side"].transform("nunique")
    sides_of_job = table.groupby([*name, "job_id"])["side"].transform("nunique")
    sides_of_question = table.groupby([*name, "job_id", "question"])["side"].transform("nunique")
    reason = pd.Series("", index=table.index, dtype="string")
    reason[sides_of_question < 2] = "another question under the same id"
    if len({_kind(part["question"]) for _, part in table.groupby("side")}) > 1:
        reason[sides_of_question < 2] = "questions told apart by another version of ttc-bench"
    reason[sides_of_job < 2] = "question asked only " + table["side"].astype("string")
    reason[sides_of_variant < 2] = "variant run only " + table["side"].astype("string")
    alone = table[reason != ""].assign(reason=reason[reason != ""])
    left_out = (
        alone.groupby([*name, "reason"], as_index=False)
        .agg(n_questions=("job_id", "nunique"))
        .astype({"n_questions": "Int64"})
    )
    return table[reason == ""], left_out


def _kind(questions: Iterable[object]) -> bool:
    return all(str(question).startswith(QUESTION_VERSION) for question in questions)


def changes(compared_scores: DataFrame, params: AggregateParams) -> DataFrame:
    """Return what changed: after against before, question by question, per variant and metric.

    A question counts where both sides have the metric; a failed response has the reward 0. The
    intervals of a metric hold at once for the variants of a model pair and benchmark. Columns:
    `CHANGES`.

    Args:
        compared_scores: Scores of both sides.
        params: Settings of the statistics.
    """
    import pandas as pd

    rows: list[dict[str, Any]] = []
    for key, part in compared_scores.groupby(RUN_PAIR, sort=True):
        named = dict(zip(RUN_PAIR, key, strict=True))
        rows += [{**named, **row} for row in _changes(part, params)]
    return pd.DataFrame(rows, columns=list(CHANGES)).astype(CHANGES)


def _changes(part: DataFrame, params: AggregateParams) -> Iterator[dict[str, Any]]:
    """Yield one row per variant and metric of a model pair and benchmark."""
    names = sorted(set(zip(part["policy"], part["variant"], strict=True)), key=_order)
    # Sides take the place of policies: (after, policy.variant) against (before, policy.variant).
    labels = part["policy"].astype(str) + "." + part["variant"].astype(str)
    sided = part.assign(policy=part["side"], variant=labels)
    pairs = [(("after", ".".join(name)), ("before", ".".join(name))) for name in names]
    layout = Layout(sided, params.min_clusters)
    told = verdicts_of(layout, pairs, params)
    replayed = _replayed(part)
    for metric in METRICS:
        values = layout.values(metric)
        for name, (after, before), row in zip(names, pairs, told, strict=True):
            means = _means(values[before], values[after])
            named = {"policy": name[0], "variant": name[1], "metric": metric}
            named["n_replayed"] = replayed[name] if metric == "reward" else None
            yield {**named, **means, **_said(metric, row, means)}


def from_journal(scores: DataFrame) -> Series:
    """Return whether each response has a call from the journal, as ``bench_summary`` counts them.

    Args:
        scores: Responses with `CALLED`; a column that is not there tells of none.
    """
    own = scores.reindex(columns=list(CALLED)).astype(CALLED)
    return (own["replayed"] | (own["spent_calls"] < own["calls"])).fillna(value=False)


def _replayed(part: DataFrame) -> dict[Name, int]:
    """Return the questions of each variant of which a side has a call from the journal."""
    flags = part.assign(from_journal=from_journal(part))
    by_question = flags.groupby(["policy", "variant", "job_id"])["from_journal"].any()
    counts = by_question.groupby(level=[0, 1]).sum()
    return {
        (str(name[0]), str(name[1])): int(n) for name, n in zip(counts.index, counts, strict=True)
    }


def _said(metric: str, row: Mapping[str, Any], means: Mapping[str, Any]) -> dict[str, Any]:
    """Return what is known of a change of a metric; of a time, that nothing is."""
    if metric == "reward":
        return {name: row[name] for name in CHANGES if name in row}
    if metric in TIMES:
        return {"verdict": "not comparable", "n_up": None, "n_down": None}
    ratio = {f"ratio{end}": row[f"{metric}_ratio{end}"] for end in ENDS}
    known = means["n_pairs"] > 0
    difference = means["mean_after"] - means["mean_before"] if known else None
    return {"difference": difference, **ratio, "verdict": ratio_word(*ratio.values())}


def _order(name: Name) -> tuple[bool, Name]:
    return name[0] != BASELINE[0], name


def _means(before: Any, after: Any) -> dict[str, Any]:
    """Return the means over the pairs, the responses that count, and the ups and downs."""
    import numpy as np

    known = ~np.isnan(before), ~np.isnan(after)
    both = known[0] & known[1]
    pairs = int(both.sum())
    return {
        "n_before": int(known[0].sum()),
        "n_after": int(known[1].sum()),
        "n_pairs": pairs,
        "mean_before": float(before[both].mean()) if pairs else None,
        "mean_after": float(after[both].mean()) if pairs else None,
        "n_up": int(np.sum(after > before)),
        "n_down": int(np.sum(after < before)),
    }


def changed_answers(compared_scores: DataFrame) -> DataFrame:
    """Return the responses whose reward or status changed; columns `ANSWERS`."""
    columns = ["status", "reward"]
    index = [*KEY, "job_id", "task"]
    before, after = (
        compared_scores.loc[compared_scores["side"] == side, [*index, *columns]].set_index(index)
        for side in ("before", "after")
    )
    both = before.join(after, lsuffix="_before", rsuffix="_after", how="inner").reset_index()
    rewards = [
        both[f"reward_{side}"].astype("Float64").fillna(-1.0) for side in ("before", "after")
    ]
    changed = (rewards[0] != rewards[1]) | (both["status_before"] != both["status_after"])
    return both.loc[changed, list(ANSWERS)].reset_index(drop=True)


def changed_settings(compared_runs: ComparedRuns) -> DataFrame:
    """Return the settings that differ, one row each: code, versions and parameters."""
    import pandas as pd

    rows = []
    for before, after in compared_runs.pairs:
        old, new = _settings(before), _settings(after)
        for name in dict.fromkeys((*old, *new)):
            if old.get(name) != new.get(name):
                values = (_text(side, name) for side in (old, new))
                rows.append((before.model, after.model, name, *values))
    return pd.DataFrame(rows, columns=list(SETTINGS), dtype="string")


def _settings(one: KeptRun) -> dict[str, Any]:
    # No run of policies trains, and which weights it used is in its model.
    parameters = {k: v for k, v in one.parameters.items() if k != "train_reference"}
    return {
        "commit": one.commit,
        **{f"version of {name}": version for name, version in one.versions.items()},
        **flat(_without_empty(parameters)),
    }


def _without_empty(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested settings in which a group without any, as a variant's, is told, too."""
    return {
        name: (_without_empty(value) or "{}") if isinstance(value, Mapping) else value
        for name, value in settings.items()
    }


def _text(settings: Mapping[str, Any], name: str) -> str:
    return str(settings[name]) if name in settings else "not set"
