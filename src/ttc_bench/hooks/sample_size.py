"""What the sample of a run can show, said before the first call."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ttc_bench.types import BASELINE, Job

if TYPE_CHECKING:
    from ttc_bench.pipelines.generate.params import Points
    from ttc_bench.reporting.params import AggregateParams

logger = logging.getLogger(__name__)

MANY = 100
"""Questions of which it is told, too, what they show."""

DIFFERING = 0.02
"""Share of questions on which a variant that is as good may be right where the baseline is wrong,
or the other way round, for the questions that showing it takes."""


class SampleSize:
    """Says once a run, as soon as its jobs are there, which gains they are likely to show."""

    _points: Mapping[str, Points] | None = None
    _params: AggregateParams

    @hook_impl(trylast=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Note what the run generates with; what the models cannot execute is skipped."""
        names = {n.namespace for n in pipeline.nodes if n.namespace and "generate" in n.tags}
        self._points = None
        if names:
            self._params = catalog.load("params:aggregate")
            engine = catalog.load("engine")
            points = {name: catalog.load(f"params:{name}") for name in sorted(names)}
            self._points = {
                name: own
                for name, own in points.items()
                if not any(point.lacking(engine) for _, point in own)
            }

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
    """Yield per benchmark which gains its questions are likely to show.

    Args:
        jobs: The jobs of the run.
        points: Sweep points of every ``{policy}.{variant}`` that the run generates with.
        margin: Share of answers that may differ and still pass for equal.
        pool: Whether privacy tasks count with all others.
    """
    from ttc_bench.reporting.privacy import group_of
    from ttc_bench.statistics.decision import pairs_for_margin
    from ttc_bench.statistics.power import least_gain, pairs_to_exclude

    rivals = [v for name, own in points.items() if name != ".".join(BASELINE) for _, v in own]
    one_of = {group_of(job, pool): job for job in jobs}
    for benchmark, questions in Counter(group_of(job, pool) for job in jobs).items():
        variants = sum(variant.suits(one_of[benchmark]) for variant in rivals)
        if not variants:
            continue
        compared = "1 variant" if variants == 1 else f"{variants} variants"
        line = (
            f"{benchmark}: {questions} questions, {compared} against the baseline: a gain"
            f" of {least_gain(questions, variants):.2f} and more is shown in 4 of 5 runs"
        )
        if variants > 1:
            line += f" ({least_gain(questions):.2f} by a variant alone)"
        if questions < MANY:
            line += f", by {MANY} questions one of {least_gain(MANY, variants):.2f}"
        least, more = pairs_to_exclude(margin), pairs_for_margin(margin, DIFFERING)
        yield (
            f"{line}; that at most {margin:.0%} of answers differ takes {least} identical ones,"
            f" a reward within {margin:g} of the baseline's about {more} where {DIFFERING:.0%}"
            " differ"
        )
