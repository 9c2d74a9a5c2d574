"""Scores side by side: one array per variant, aligned by job."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ttc_bench.statistics import clusters_of
from ttc_bench.types import DataFrame

if TYPE_CHECKING:
    from ttc_bench.metrics.base import MetricSpec

Name = tuple[str, str]
"""Policy and variant."""

RUN_PAIR = ["model_before", "model_after", "benchmark"]
"""Columns of what is compared between two runs."""

BILLS = (
    "calls",
    "prompt_tokens",
    "completion_tokens",
    "draft_tokens",
    "verifier_tokens",
    "total_tokens",
    "flops",
    "usd",
)
"""Sums over the calls of a response, as ``bills`` of the dbt project has them. Where one is unknown
for an answer, the variant has none: those of the other answers would be of other questions."""


NO_ANSWER, NO_ROW = -1, -2
"""Stand for the answer of a failed response, and for that to a job that was not asked."""


class Layout:
    """The responses of one model and benchmark, each in its place by variant and job.

    Where each row lies is found once, for all metrics that are asked for.

    Args:
        part: Scores of the model and benchmark, failed responses included.
        min_clusters: Fewest task types that can be clusters.

    Attributes:
        part: The scores.
        names: The variants, in the order met.
        jobs: The ids of the jobs, in the order met.
        cluster: What a cluster is: ``task`` or ``job``.
        codes: The cluster of each job; ``None`` where each is its own.
    """

    def __init__(self, part: DataFrame, min_clusters: int) -> None:
        import pandas as pd

        self.part = part
        (policies, by_code), (variants, _) = (
            pd.factorize(part[name].astype(object)) for name in ("policy", "variant")
        )
        self._rows, _ = pd.factorize(policies + len(by_code) * variants)
        met = part[["policy", "variant"]][_is_first(self._rows)]
        self.names: list[Name] = list(met.itertuples(index=False, name=None))
        self._columns, jobs = pd.factorize(part["job_id"].astype(object))
        self.jobs: list[str] = list(jobs)
        tasks = part["task"][_is_first(self._columns)]
        self.cluster, self.codes = clusters_of(tasks.tolist(), min_clusters)

    def values(self, metric: str) -> dict[Name, Any]:
        """Return a metric of each variant as an array over the jobs; NaN where there is none.

        A failed response has the reward 0, for who asked got nothing: if it were left out, failing
        on the hard jobs would raise a mean. What it cost is not known. A bill that an answer lacks
        is NaN for all jobs of the variant, see `BILLS`.
        """
        import numpy as np

        values = self.part[metric].to_numpy(dtype=float, na_value=np.nan)
        values = np.where(self._answered, values, 0.0 if metric == "reward" else np.nan)
        by_variant = self._by_variant(values)
        if metric in BILLS:
            lacking = self._answered & np.isnan(values)
            for row in set(self._rows[lacking]):
                by_variant[self.names[row]][:] = np.nan
        return by_variant

    def answered(self) -> dict[Name, Any]:
        """Return whether each variant has an answer, by job: arrays of shape (jobs,)."""
        return {name: own == 1.0 for name, own in self._by_variant(self._answered).items()}

    def answered_by_either(self, pairs: Sequence[tuple[Name, Name]]) -> Any:
        """Return whether a side of each pair has an answer, as flags of shape (jobs, pairs).

        Jobs that both sides failed count as equal in a mean over all jobs, as the means themselves
        have them; but that a variant is as good is shown by answers alone.
        """
        import numpy as np

        answered = self.answered()
        return np.column_stack([answered[one] | answered[other] for one, other in pairs])

    def answers(self) -> Answers:
        """Return what each variant answered; nothing where the scores hold no answers."""
        import numpy as np
        import pandas as pd

        if "answer" not in self.part:
            return {}
        # What is missing is coded as `NO_ANSWER`.
        codes, _ = pd.factorize(self.part["answer"].astype(object))
        by_variant = self._by_variant(codes)
        return {name: np.nan_to_num(own, nan=NO_ROW) for name, own in by_variant.items()}

    def failed(self) -> dict[Name, Any]:
        """Return whether each response failed, by variant: 1.0 or 0.0, NaN where there is none."""
        return self._by_variant(~self._answered)

    @cached_property
    def _answered(self) -> Any:
        return self.part["status"].eq("ok").to_numpy(dtype=bool, na_value=False)

    def _by_variant(self, values: Any) -> dict[Name, Any]:
        """Return a figure of each row as an array over the jobs, by variant."""
        import numpy as np

        table = np.full((len(self.names), len(self.jobs)), np.nan)
        table[self._rows, self._columns] = values
        return dict(zip(self.names, table, strict=True))


def _is_first(codes: Any) -> Any:
    """Return which of some codes are met for the first time, as flags."""
    import pandas as pd

    return ~pd.Series(codes).duplicated().to_numpy()


def spec_of(metric: str) -> MetricSpec:
    """Return what a metric means, by its name."""
    from ttc_bench.metrics.base import all_metrics

    return next(spec for spec in all_metrics() if spec.name == metric)


def range_of(metric: str) -> tuple[float, float]:
    """Return the least and the largest value of a metric, infinite where it has none."""
    low, high = spec_of(metric).range
    return -math.inf if low is None else low, math.inf if high is None else high


Answers = Mapping[Name, Any]
"""What each variant answered, as numbers by job that are equal where answers are, letter by letter;
see `NO_ANSWER` and `NO_ROW`."""


def are_identical(answers: Answers, first: Name, second: Name) -> bool:
    """Return whether each answer of the first is the second's, letter by letter.

    A failed response is the same as nothing.
    """
    if first not in answers or second not in answers:
        return False
    own, base = (answers[name][answers[first] != NO_ROW] for name in (first, second))
    return bool(len(own)) and bool(((own == base) & (own != NO_ANSWER)).all())


def same_share(answers: Answers, first: Name, second: Name) -> float | None:
    """Return the share of jobs with two answers where they are the same, letter by letter."""
    if first not in answers or second not in answers:
        return None
    own, base = answers[first], answers[second]
    both = (own > NO_ANSWER) & (base > NO_ANSWER)
    return float((own == base)[both].mean()) if both.any() else None
