"""From two runs that were kept to what changed between them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ttc_bench.params import flat
from ttc_bench.reporting.comparisons import FIGURES, INTERVAL_METRICS, compare_pairs
from ttc_bench.reporting.pairing import RUN_PAIR, counted
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.run_choice import ComparedRuns, KeptRun
from ttc_bench.types import DataFrame

TIME = "latency_s"
"""Of it only the means are told: two runs were not timed beside each other."""

METRICS = (*INTERVAL_METRICS, TIME, "usd")
"""What is compared: quality first, then every cost."""

KEY = ("model_before", "model_after", "benchmark", "policy", "variant")

CHANGES = {
    **dict.fromkeys(KEY, "string"),
    "metric": "string",
    "cluster": "string",
    "n_before": "Int64",
    "n_after": "Int64",
    "n_pairs": "Int64",
    "mean_before": "Float64",
    "mean_after": "Float64",
    **FIGURES,
    "n_up": "Int64",
    "n_down": "Int64",
}

ANSWERS = (*KEY, "job_id", "task", "status_before", "status_after", "reward_before", "reward_after")

SETTINGS = ("model_before", "model_after", "setting", "before", "after")


def load_runs(
    kept_scores: Mapping[str, Callable[[], DataFrame]], compared_runs: ComparedRuns
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
        both = [
            _side(kept_scores, one, side) for one, side in ((before, "before"), (after, "after"))
        ]
        table = pd.concat(both, ignore_index=True).assign(
            model_before=before.model, model_after=after.model
        )
        kept, dropped = _in_both(table)
        shared.append(kept)
        left_out.append(dropped)
    return pd.concat(shared, ignore_index=True), pd.concat(left_out, ignore_index=True)


def _side(kept: Mapping[str, Callable[[], DataFrame]], one: KeptRun, side: str) -> DataFrame:
    scores = kept[one.key]()
    if "question" not in scores.columns:
        scores = scores.assign(question=scores["job_id"])
    return scores.assign(side=side)


def _in_both(table: DataFrame) -> tuple[DataFrame, DataFrame]:
    """Return the rows of what both sides have, and by variant why the others have no partner."""
    import pandas as pd

    name = ["model_before", "model_after", "benchmark", "policy", "variant"]
    sides_of_variant = table.groupby(name)["side"].transform("nunique")
    sides_of_job = table.groupby([*name, "job_id"])["side"].transform("nunique")
    sides_of_question = table.groupby([*name, "job_id", "question"])["side"].transform("nunique")
    reason = pd.Series("", index=table.index, dtype="string")
    reason[sides_of_question < 2] = "another question under the same id"
    reason[sides_of_job < 2] = "question asked only " + table["side"].astype("string")
    reason[sides_of_variant < 2] = "variant run only " + table["side"].astype("string")
    alone = table[reason != ""].assign(reason=reason[reason != ""])
    left_out = (
        alone.groupby([*name, "reason"], as_index=False)
        .agg(n_questions=("job_id", "nunique"))
        .astype({"n_questions": "Int64"})
    )
    return table[reason == ""], left_out


def changes(compared_scores: DataFrame, params: AggregateParams) -> DataFrame:
    """Return what changed: after minus before, question by question, for each variant and metric.

    A question counts where both sides have the metric; a failed response has the reward 0. The
    intervals of a metric hold at once for the variants of a model pair and benchmark. Columns:
    `CHANGES`; ``n_up`` and ``n_down`` are the questions on which the metric rose and fell, the rest
    as in `ttc_bench.reporting.comparisons.comparisons`.

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
    labels = [".".join(name) for name in names]
    sided = part.assign(
        policy=part["side"], variant=part["policy"].astype(str) + "." + part["variant"].astype(str)
    )
    pairs = [(("after", label), ("before", label)) for label in labels]
    metrics = [name for name in METRICS if name in part.columns]
    for row in compare_pairs(sided, pairs, metrics, params):
        name = names[labels.index(row["variant_a"])]
        row |= {"policy": name[0], "variant": name[1], **_counts(part, name, row["metric"])}
        if row["metric"] == TIME:
            row |= {**dict.fromkeys((*FIGURES, "n_up", "n_down")), "verdict": "not comparable"}
        yield row


def _order(name: tuple[str, str]) -> tuple[bool, tuple[str, str]]:
    return name[0] != "baseline", name


def _counts(part: DataFrame, name: tuple[str, str], metric: str) -> dict[str, Any]:
    """Return the means over the pairs, the responses that count, and the ups and downs."""
    import numpy as np

    own = part[(part["policy"] == name[0]) & (part["variant"] == name[1])]
    values = counted(own, metric).set_axis(own["job_id"])
    sides = {
        side: values[(own["side"] == side).to_numpy()].dropna() for side in ("before", "after")
    }
    jobs = sides["before"].index.intersection(sides["after"].index)
    before, after = (sides[side].loc[jobs].to_numpy(dtype=float) for side in ("before", "after"))
    return {
        "n_before": len(sides["before"]),
        "n_after": len(sides["after"]),
        "mean_before": before.mean() if len(jobs) else None,
        "mean_after": after.mean() if len(jobs) else None,
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
        **flat(parameters),
    }


def _text(settings: Mapping[str, Any], name: str) -> str:
    return str(settings[name]) if name in settings else "not set"


def show_changes(
    compared_runs: ComparedRuns,
    run_changes: DataFrame,
    changed_settings: DataFrame,
    not_compared: DataFrame,
) -> str:
    """Print what changed, and return it as text."""
    from ttc_bench.reporting.changes import render

    text = render(compared_runs.pairs, run_changes, changed_settings, not_compared)
    print(text)
    return text


def write_changes(
    compared_runs: ComparedRuns,
    run_changes: DataFrame,
    changed_answers: DataFrame,
    changed_settings: DataFrame,
    not_compared: DataFrame,
    changes_plot: bytes,
) -> str:
    """Return what changed as one HTML file that needs nothing else to be opened."""
    from ttc_bench.reporting.changes import render_html

    tables = {
        "answers": changed_answers,
        "settings": changed_settings,
        "not_compared": not_compared,
    }
    return render_html(compared_runs.pairs, run_changes, tables, changes_plot)
