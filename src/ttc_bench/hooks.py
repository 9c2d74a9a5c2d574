"""Preflight: everything that can be wrong with a run is told before the first node."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline

from ttc_bench.errors import UserError
from ttc_bench.params import faults, unknown


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
        found = [
            *parameter_faults(catalog.load("parameters"), _variants(pipeline)),
            *path_faults(pipeline, catalog),
        ]
        if not found:
            found = capability_faults(catalog.load("parameters"), _variants(pipeline))
        if found:
            raise UserError("\n".join(dict.fromkeys(found)))


def parameter_faults(parameters: Mapping[str, Any], variants: Iterable[str]) -> list[str]:
    """Return one line per fault of the run's parameters.

    Args:
        parameters: All parameters.
        variants: ``{policy}.{variant}`` names that the run generates with.
    """
    from ttc_bench.benchmarks import BENCHMARKS
    from ttc_bench.metrics.base import ScoreParams
    from ttc_bench.pipelines.aggregate.nodes import AggregateParams
    from ttc_bench.policies import VARIANTS
    from ttc_bench.run_params import RunParams

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
        *faults(AggregateParams, parameters.get("aggregate") or {}, "aggregate"),
        *(line for name in variants for line in _variant_faults(name, parameters)),
    ]


STAGES = ("score", "aggregate", "compare", "train_reference")
"""Top-level parameter groups that stages own and validate by themselves."""


def path_faults(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> list[str]:
    """Return one line per place that the run would write to and cannot."""
    lines = []
    for name in sorted(pipeline.all_outputs() | (pipeline.inputs() & {"journal"})):
        dataset = catalog.get(name)
        path = getattr(dataset, "_filepath", None) or getattr(dataset, "_path", None)
        if path is not None and not _writable(Path(str(path))):
            lines.append(
                f"dataset {name}: cannot write to {path}. Make its folder writable or change its"
                " path in the catalog."
            )
    return lines


def capability_faults(parameters: Mapping[str, Any], variants: Iterable[str]) -> list[str]:
    """Return one line per variant that the model cannot execute, and what it can run instead."""
    from ttc_bench.engines import engine_params
    from ttc_bench.policies import VARIANTS, missing_capabilities

    names = list(variants)
    if not names:
        return []
    try:
        engine = engine_params(parameters["model"]).build()
    except UserError as error:
        return [error.message]
    able = [n for n, cls in VARIANTS.items() if not missing_capabilities(cls.requires, engine)]
    return [
        f"{name} cannot run on the {engine.name} model {engine.model_name()}:"
        f" it needs {' and '.join(missing)}. This model can run: {', '.join(able)}."
        for name in names
        if (missing := missing_capabilities(VARIANTS[name].requires, engine))
    ]


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
