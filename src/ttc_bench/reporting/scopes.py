"""A part of what was measured, and what is known of it: the decision by benchmark, task and level.

The aggregate stage tells of whole benchmarks. The same functions on fewer questions tell of some of
them, with the wider intervals that these allow.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ttc_bench.reporting.decision import everywhere
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.privacy import SUFFIX, is_privacy
from ttc_bench.reporting.row_dicts import Row, row_dicts
from ttc_bench.reporting.speeds import baseline_speeds
from ttc_bench.reporting.verdicts import verdicts
from ttc_bench.types import GROUP, DataFrame

COLUMNS = (
    *("run_id", "config", "job_id", "task", "difficulty", "status", "answer", "lossless", "reward"),
    *("latency_s", "control_latency_s", "speed", "ttft_s", "control_ttft_s", "ttft_ratio"),
    *("total_tokens", "flops", "usd", *GROUP),
)
"""Columns of the scores that a decision rests on."""


@dataclass(frozen=True)
class Scope:
    """Some of the questions of a model.

    Attributes:
        model: The model.
        benchmark: The benchmark; ``None`` is all of them, each by itself.
        task: The task type; ``None`` is all.
        difficulty: The level; ``None`` is all.
    """

    model: str
    benchmark: str | None = None
    task: str | None = None
    difficulty: str | None = None

    def of(self, scores: DataFrame) -> DataFrame:
        """Return the rows of the scores that belong to it."""
        for name in ("model", "benchmark", "task", "difficulty"):
            value = getattr(self, name)
            if value is not None:
                scores = scores[scores[name] == value]
        return scores


def verdicts_on(scores: DataFrame, params: AggregateParams) -> DataFrame:
    """Return the verdicts on some scores, see `ttc_bench.reporting.verdicts`."""
    return verdicts(scores, baseline_speeds(scores, params), params)


def verdict_rows(verdicts: DataFrame) -> Sequence[Row]:
    """Return the verdicts of one model; where it has several benchmarks, those that hold on all.

    What is shown to be worse on privacy tasks is worse, see `ttc_bench.reporting.decision`.
    """
    parts = [row_dicts(part) for _, part in verdicts.groupby("benchmark", sort=True)]
    return parts[0] if len(parts) == 1 else everywhere(parts) if parts else []


def parts_by_benchmark(verdicts: DataFrame) -> Iterator[tuple[str, DataFrame]]:
    """Yield each benchmark with its verdicts, those on its privacy tasks among them."""
    for name in sorted(set(verdicts["benchmark"])):
        yield str(name), verdicts[verdicts["benchmark"].isin([name, f"{name}{SUFFIX}"])]


def rows_by(
    scores: DataFrame, column: str, params: AggregateParams, whole: DataFrame
) -> dict[str, Sequence[Row]]:
    """Return the verdicts for each value of a column of the scores, such as each task.

    What leaks does so whichever part is looked at: it is told by all privacy tasks at once.

    Args:
        scores: Scores of one model.
        column: ``benchmark``, ``task`` or ``difficulty``.
        params: How sure to be.
        whole: Verdicts on whole benchmarks, those on privacy tasks among them.
    """
    return {
        str(value): verdict_rows(_beside_privacy(verdicts_on(part, params), whole))
        for value, part in scores.groupby(column, sort=True)
    }


def _beside_privacy(part: DataFrame, whole: DataFrame) -> DataFrame:
    """Return verdicts on a part with those on all privacy tasks of its benchmarks."""
    import pandas as pd

    open_ = part[~part["benchmark"].map(is_privacy).astype(bool)]
    if open_.empty:
        return part
    private = {f"{name}{SUFFIX}" for name in open_["benchmark"]}
    return pd.concat([open_, whole[whole["benchmark"].isin(private)]], ignore_index=True)


def reward_intervals(verdicts: DataFrame) -> DataFrame:
    """Return the mean rewards of verdicts as rows of the table ``intervals``."""
    names = {f"reward_{part}": f"mean{end}" for part, end in
             (("mean", ""), ("low", "_low"), ("high", "_high"))}  # fmt: skip
    return verdicts[[*GROUP, *names]].rename(columns=names).assign(metric="reward")
