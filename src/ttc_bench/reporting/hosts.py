"""Times of different machines are never pooled: where there are several, one gives the times."""

from __future__ import annotations

import json
import logging
from typing import Any

from ttc_bench.types import DataFrame

logger = logging.getLogger(__name__)

PLACE = ["host", "device"]
"""Columns that name where a response was made."""

UNITS = ("s", "tokens/s")
"""Units of metrics that hold a time."""


def of_one_host(scores: DataFrame) -> DataFrame:
    """Return scores whose times are of one host and device for each model and benchmark.

    That is where most of them were measured, of all variants alike, so that they compare; the times
    of the others are null, with the reason. A speed is the ratio of two times of one machine, and
    stays.

    Args:
        scores: Scores of all variants of a run.
    """
    if not {*PLACE, "latency_s"} <= set(scores):
        return scores
    import pandas as pd

    host, device = (scores[name].astype("string").fillna("") for name in PLACE)
    places = (host + ", " + device).where(scores["latency_s"].notna())
    elsewhere = pd.Series(data=False, index=scores.index)
    for (model, benchmark), part in scores.groupby(["model", "benchmark"], sort=True):
        counts = places[part.index].value_counts()
        if len(counts) < 2:
            continue
        most = min(counts.index, key=lambda place: (-counts[place], place))
        elsewhere[part.index] = places[part.index].notna() & (places[part.index] != most)
        logger.warning(
            "%s, model %s: times were measured on %d machines; those of %s count, %d of %d, the"
            " others are null in what is told of this run",
            *(benchmark, model, len(counts), most, counts[most], counts.sum()),
        )
    return _without_times(scores, elsewhere) if elsewhere.any() else scores


def _without_times(scores: DataFrame, elsewhere: Any) -> DataFrame:
    """Return scores with the times of some rows null, for a reason."""
    from ttc_bench.metrics.base import all_metrics

    names = [spec.name for spec in all_metrics() if spec.unit in UNITS and spec.name in scores]
    changed = scores.assign(**{name: scores[name].mask(elsewhere) for name in names})
    if "null_reasons" in scores:
        kept = scores["null_reasons"]
        changed["null_reasons"] = kept.mask(elsewhere, kept.map(lambda old: _reasons(old, names)))
    return changed


def _reasons(old: Any, names: list[str]) -> str:
    """Return the ``null_reasons`` of a row with one more."""
    before = json.loads(old) if isinstance(old, str) else {}
    return json.dumps(before | {"times of this machine are not pooled": names}, sort_keys=True)
