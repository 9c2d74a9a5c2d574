"""Preflight: everything that can be wrong with a run is told before the first node."""

from __future__ import annotations

import logging
import os
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ttc_bench.errors import UserError
from ttc_bench.params import faults, unknown

if TYPE_CHECKING:
    from ttc_bench.engines.base import Engine

logger = logging.getLogger(__name__)

WRITTEN = {"journal", "warehouse"}
"""Inputs that a run writes to."""


class Preflight:
    """Checks parameters, models and places to write to, and stops the run with all faults."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Raise one error that lists every fault of the run, one per line.

        Comes before all other hooks, so that no MLflow run is opened for a run that cannot be.

        Raises:
            UserError: If anything is wrong.
        """
        parameters, variants = catalog.load("parameters"), _variants(pipeline)
        found = [*parameter_faults(parameters, variants), *path_faults(pipeline, catalog)]
        if not found:
            asked = run_params.get("pipeline_names") or ()
            found, skipped = capability_faults(parameters, variants, asked)
            for line in () if found else skipped:
                logger.warning("skipped: %s", line)
        if found:
            raise UserError("\n".join(dict.fromkeys(found)))


class SessionName:
    """Gives nodes the name of the session, which is the time it started."""

    @hook_impl
    def after_catalog_created(
        self, catalog: CatalogProtocol[Any, Any], save_version: str | None
    ) -> None:
        """Add the dataset ``session_id``; where there is no session, it is the time now.

        It is no parameter, as MLflow would log it and refuse a second session in the same run.
        """
        from kedro.io.core import generate_timestamp

        catalog["session_id"] = save_version or generate_timestamp()


def parameter_faults(parameters: Mapping[str, Any], variants: Iterable[str]) -> list[str]:
    """Return one line per fault of the run's parameters.

    Args:
        parameters: All parameters.
        variants: ``{policy}.{variant}`` names that the run generates with.
    """
    from ttc_bench.benchmarks import BENCHMARKS
    from ttc_bench.metrics.base import ScoreParams
    from ttc_bench.metrics.judge import JudgeParams
    from ttc_bench.params import RunParams
    from ttc_bench.policies import VARIANTS
    from ttc_bench.reporting.params import AggregateParams
    from ttc_bench.reporting.run_choice import CompareParams

    policies: dict[str, list[str]] = {}
    for cls in VARIANTS.values():
        policies.setdefault(cls.policy, []).append(cls.name)
    own = {key: parameters[key] for key in RunParams.model_fields if key in parameters}
    return [
        *_unknown_keys("parameter", parameters, (*RunParams.model_fields, *policies, *STAGES)),
        *faults(RunParams, own, ""),
        *_unknown_keys("benchmark", own.get("benchmarks") or (), BENCHMARKS),
        *_unknown_keys("benchmark in sources", own.get("sources") or (), BENCHMARKS),
        *(
            line
            for policy, names in policies.items()
            for line in _unknown_keys(f"variant of {policy}", parameters.get(policy) or (), names)
        ),
        *_caught(_prompting_faults, parameters),
        *faults(ScoreParams, parameters.get("score") or {}, "score"),
        *faults(JudgeParams, parameters.get("judge") or {}, "judge"),
        *faults(AggregateParams, parameters.get("aggregate") or {}, "aggregate"),
        *faults(CompareParams, parameters.get("compare") or {}, "compare"),
        *(line for name in variants for line in _variant_faults(name, parameters)),
    ]


STAGES = ("score", "judge", "aggregate", "compare", "estimate", "train_reference")
"""Top-level parameter groups that stages own and validate by themselves."""


def path_faults(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> list[str]:
    """Return one line per place that the run would write to and cannot."""
    lines = []
    for name in sorted(pipeline.all_outputs() | (pipeline.inputs() & WRITTEN)):
        dataset = catalog.get(name)
        path = getattr(dataset, "_filepath", None) or getattr(dataset, "_path", None)
        if path is not None and not _writable(Path(str(path))):
            lines.append(
                f"dataset {name}: cannot write to {path}. Make its folder writable or change its"
                " path in the catalog."
            )
    return lines


def capability_faults(
    parameters: Mapping[str, Any], names: Sequence[str], asked: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Return what stops the run because no model can execute it, and what is only skipped.

    A policy asked for by its name stops the run if none of its variants can run, and so does the
    baseline; any other variant that cannot run is skipped (`generate` leaves its table empty).

    Args:
        parameters: All parameters.
        names: ``{policy}.{variant}`` names that the run generates with.
        asked: Names of the pipelines asked for.

    Returns:
        One line per variant that the model cannot execute, naming what is missing; the first list
        also says what the model can run.
    """
    from ttc_bench.engines import engine_params

    if not names:
        return [], []
    try:
        engine = engine_params(parameters["model"]).build()
    except UserError as error:
        return [error.message], []
    lacking = {name: _missing(name, parameters, engine) for name in names}
    able = {name.partition(".")[0] for name in names if not lacking[name]}
    stopped: list[str] = []
    skipped: list[str] = []
    for name, missing in lacking.items():
        policy = name.partition(".")[0]
        stops = policy not in able and policy in ("baseline", *asked)
        if missing:
            line = f"{name} cannot run on the {engine.name} model {engine.model_name()}: it needs"
            (stopped if stops else skipped).append(f"{line} {' and '.join(missing)}.")
    if stopped:
        stopped.append(_runnable(parameters, engine))
    return stopped, skipped


def _missing(name: str, parameters: Mapping[str, Any], engine: Engine) -> list[str]:
    """Return what the engine lacks for a variant at any of its sweep points."""
    from ttc_bench.pipelines.generate.nodes import sweep

    policy, _, variant = name.partition(".")
    points = sweep(name, (parameters.get(policy) or {}).get(variant)).values()
    found = [line for point in points for line in engine.missing_capabilities(point.needs())]
    return list(dict.fromkeys(found))


def _runnable(parameters: Mapping[str, Any], engine: Engine) -> str:
    from ttc_bench.policies import VARIANTS

    able = [name for name in VARIANTS if not _missing(name, parameters, engine)]
    return f"This model can run: {', '.join(able) or 'nothing'}."


def _variants(pipeline: Pipeline) -> list[str]:
    """Return the ``{policy}.{variant}`` namespaces that the pipeline generates with."""
    return sorted({n.namespace for n in pipeline.nodes if n.namespace and "generate" in n.tags})


def _unknown_keys(kind: str, given: Iterable[str], allowed: Iterable[str]) -> Iterator[str]:
    names = list(allowed)
    return (unknown(kind, key, names) for key in given if key not in names)


def _variant_faults(name: str, parameters: Mapping[str, Any]) -> list[str]:
    from ttc_bench.pipelines.generate.nodes import sweep

    policy, _, variant = name.partition(".")
    return _caught(lambda p: sweep(name, (p.get(policy) or {}).get(variant)), parameters)


def _prompting_faults(parameters: Mapping[str, Any]) -> None:
    from ttc_bench.benchmarks import BENCHMARKS
    from ttc_bench.pipelines.ingest_benchmarks.nodes import prompting_of

    for name in BENCHMARKS:
        prompting_of(name, parameters.get("prompting") or {})


def _caught(check: Any, parameters: Mapping[str, Any]) -> list[str]:
    try:
        check(parameters)
    except UserError as error:
        return error.message.splitlines()
    return []


def _writable(path: Path) -> bool:
    """Return whether ``path``, or the nearest folder above it that exists, can be written."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    return os.access(place, os.W_OK) and (place == path or place.is_dir())
