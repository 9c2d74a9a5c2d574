"""Project pipelines: the stages, one per policy, and the full suite."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable
from functools import cache
from typing import Any

from kedro.pipeline import Node, Pipeline

import ttc_bench.pipelines
import ttc_bench.pipelines.aggregate.pipeline as aggregate
import ttc_bench.pipelines.ingest_benchmarks.pipeline as ingest_benchmarks
import ttc_bench.pipelines.report.pipeline as report
from ttc_bench.errors import UserError
from ttc_bench.pipelines.generate.pipeline import policy_pipeline
from ttc_bench.policies import policies
from ttc_bench.types import BASELINE

STORED = ("mlflow_runs", "mlflow_traces", "mlflow_report")
"""What a suite has tracked before too many failures end it."""


def register_pipelines() -> dict[str, Pipeline]:
    """Return every pipeline by name; ``__default__`` is the full suite.

    A folder in ``ttc_bench/pipelines`` is a stage; a policy is registered in a file of
    ``ttc_bench/policies`` and gets a pipeline from the benchmarks to the report.
    """
    # Kedro asks twice a run, for the names and for what is run, and may change what it gets.
    return dict(_pipelines())


@cache
def _pipelines() -> dict[str, Pipeline]:
    stages = {
        module.name: importlib.import_module(f"ttc_bench.pipelines.{module.name}").create_pipeline()
        for module in pkgutil.iter_modules(ttc_bench.pipelines.__path__)
    }
    if both := sorted(stages.keys() & set(policies())):
        raise UserError(
            f"policy {both[0]!r} has the name of a stage, whose pipeline it would hide."
        )
    suites = {policy: Suite([BASELINE[0], policy]) for policy in policies()}
    return {**stages, **suites, "__default__": Suite(policies())}


class Suite(Pipeline):
    """Ingest -> generate -> score -> aggregate -> report for some policies.

    Kedro adds up the pipelines of ``kedro run --pipelines=a,b``. Two suites make one for the
    policies of both, with one table and one report; a stage that a suite holds already, such as
    ``aggregate``, comes in once, on the scores of this run.

    Args:
        chosen: Names of the policies.
        others: Nodes beside those of the suite.
    """

    def __init__(self, chosen: Iterable[str], others: Iterable[Node] = ()) -> None:
        self._chosen = tuple(dict.fromkeys(chosen))
        runs = sum((policy_pipeline(policy) for policy in self._chosen), Pipeline([]))
        scores = sorted(name for name in runs.outputs() if name.endswith(".scores"))
        own = (
            ingest_benchmarks.create_pipeline()
            + runs
            + aggregate.create_pipeline(inputs=scores, stored=STORED)
            + report.create_pipeline()
        )
        names = {node.name for node in own.nodes}
        super().__init__([*own.nodes, *(node for node in others if node.name not in names)])

    def __add__(self, other: Any) -> Pipeline:
        """Return one suite for the policies of both, with the nodes of anything else."""
        if not isinstance(other, Pipeline):
            return NotImplemented
        more = other._chosen if isinstance(other, Suite) else ()
        return Suite((*self._chosen, *more), {*self.nodes, *other.nodes})

    __radd__ = __add__
