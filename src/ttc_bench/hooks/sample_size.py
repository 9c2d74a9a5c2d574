"""What the sample of a run can show, said before the first call."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ttc_bench.hooks.preflight import able_points
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.types import BASELINE, Job

if TYPE_CHECKING:
    from ttc_bench.pipelines.generate.params import Points
    from ttc_bench.reporting.params import AggregateParams

logger = logging.getLogger(__name__)

MANY = 100
"""Questions of which it is told, too, what they show."""


class SampleSize:
    """Says once a run, as soon as its jobs are there, which gains they are likely to show."""

    _points: Mapping[str, Points] | None = None
    _params: AggregateParams

    @hook_impl(trylast=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Note what the run generates with; what the models cannot execute is skipped."""
        self._points = able_points(pipeline, catalog) or None
        if self._points:
            self._params = catalog.load("params:aggregate")

    @hook_impl
    def after_dataset_loaded(self, dataset_name: str, data: Any) -> None:
        """The first variant has its jobs and has made no call."""
        if dataset_name == "jobs" and self._points is not None:
            margin, pool = self._params.equal_within, self._params.pool_privacy
            for line in sample_lines(data, self._points, margin, pool):
                logger.info("%s", line)
            self._points = None


def sample_lines(
    jobs: Sequence[Job], points: Mapping[str, Points], margin: float, pool: bool = False
) -> Iterator[str]:
    """Yield per benchmark which gains its questions are likely to show; then what equality takes.

    Args:
        jobs: The jobs of the run.
        points: Sweep points of every ``{policy}.{variant}`` that the run generates with.
        margin: Share of answers that may differ and still pass for equal.
        pool: Whether privacy tasks count with all others.
    """
    from ttc_bench.reporting.privacy import group_of

    rivals = [v for name, own in points.items() if name != ".".join(BASELINE) for _, v in own]
    one_of = {group_of(job, pool): job for job in jobs}
    counts = {
        benchmark: (questions, sum(variant.suits(one_of[benchmark]) for variant in rivals))
        for benchmark, questions in Counter(group_of(job, pool) for job in jobs).items()
    }
    compared = {name: both for name, both in counts.items() if both[1]}
    for benchmark, (questions, variants) in compared.items():
        yield f"{benchmark}: {_better(questions, variants)}"
    if compared:
        yield _as_good(margin)


def _better(questions: int, variants: int) -> str:
    """Return which gain questions are likely to show, of one of several variants."""
    from ttc_bench.statistics.power import least_gain

    least = least_gain(questions, variants)
    others = [f"{least_gain(questions):.2f} if it ran alone"] if variants > 1 else []
    if questions < MANY:
        others.append(f"{least_gain(MANY, variants):.2f} with {MANY} questions")
    return (
        f"{counted_as(questions, 'question')} for {counted_as(variants, 'variant')}: to be shown to"
        " be better in 4 of 5 runs, a reward has to be higher by"
        f" {'more than 1' if least >= 1 else f'{least:.2f} or more'}"
        + (f" ({', '.join(others)})" if others else "")
    )


def _as_good(margin: float) -> str:
    """Return how many questions show that a variant is equal, or as good as the baseline."""
    from ttc_bench.statistics.decision import DIFFERING, pairs_for_margin
    from ttc_bench.statistics.power import pairs_to_exclude

    identical, show = pairs_to_exclude(margin), pairs_for_margin(margin, DIFFERING)
    return (
        f"to be shown to be as good, within {margin:g} of the baseline's reward, it takes about"
        f" {counted_as(show, 'question')} if {DIFFERING:.0%} of the answers differ;"
        f" {counted_as(identical, 'identical answer')} {'shows' if identical == 1 else 'show'}"
        f" that at most {margin:.0%} of others do"
    )
