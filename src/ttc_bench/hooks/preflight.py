"""Preflight: what the models cannot do and where nothing can be written, before the first node."""

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
from ttc_bench.types import BASELINE

if TYPE_CHECKING:
    from ttc_bench.engines.base import Engine
    from ttc_bench.pipelines.generate.params import Points

logger = logging.getLogger(__name__)


class Preflight:
    """Checks runner, models and places to write to, and stops the run with all faults."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(
        self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]
    ) -> None:
        """Raise one error that lists every fault of the run, one per line.

        Comes before all other hooks, so that no MLflow run is opened for a run that cannot be.

        Raises:
            UserError: If anything is wrong.
        """
        from ttc_bench.policies import VARIANTS

        if "ParallelRunner" in str(run_params["runner"]):
            raise UserError(
                "processes of one run cannot share its models and its journal: take"
                " --runner=ThreadRunner, or start one run per policy."
            )
        faults = path_faults(pipeline, catalog)
        settings = catalog.load("run_settings")
        names = _generating(pipeline)
        if names and not faults:
            points = {name: catalog.load(f"params:{name}") for name in VARIANTS}
            asked = run_params.get("pipeline_names") or ()
            faults, skipped = capability_faults(catalog.load("engine"), points, names, asked)
            others = of_other_engines(settings["model"], points)
            for line in () if faults else skipped:
                level = logging.INFO if line.partition(" ")[0] in others else logging.WARNING
                logger.log(level, "skipped: %s", line)
        if faults:
            raise UserError("\n".join(faults))
        for line in settings_lines(settings, names):
            logger.info("%s", line)
        if names and (line := untaught(settings)):
            logger.warning("%s", line)
        for line in unselected(run_params.get("namespaces") or (), settings):
            logger.warning("%s", line)


def untaught(settings: Mapping[str, Any]) -> str:
    """Return what to know where the embedded model is asked what it was never taught, else ''."""
    others = [name for name in settings.get("benchmarks") or () if not name.endswith("_sim")]
    target = str((settings.get("model") or {}).get("target"))
    if not others or not target.endswith("06_models/reference/target"):
        return ""
    return (
        f"the embedded model was taught crm_sim and worf_sim and nothing else: its answers to"
        f" {', '.join(others)} show that the way there works, and mean nothing. Your own model:"
        " --params=model.target=<folder or hub id>."
    )


def unselected(namespaces: Iterable[str], settings: Mapping[str, Any]) -> Iterator[str]:
    """Yield a line for each benchmark that is run by its name, and of which nothing is read.

    Args:
        namespaces: What the run is asked for by its boxes.
        settings: All parameters as they were set.
    """
    from ttc_bench.benchmarks import BENCHMARKS

    selected = settings.get("benchmarks") or ()
    for name in namespaces:
        if name in BENCHMARKS and name not in selected:
            yield (
                f"{name}: not among the selected benchmarks ({', '.join(selected)}), so nothing of"
                f" it is read; --params=benchmarks=[{name}] selects it"
            )


def settings_lines(settings: Mapping[str, Any], names: Iterable[str]) -> Iterator[str]:
    """Yield what a run uses, whichever environment or option it comes from, a line a group.

    Args:
        settings: All parameters as they were set.
        names: The ``{policy}.{variant}`` that the run generates with; none, and nothing is told.
    """
    groups = {name: settings.get(name) for name in ("model", "timing")} if names else {}
    for name in sorted(names):
        policy, _, variant = name.partition(".")
        groups[name] = (settings.get(policy) or {}).get(variant)
    for name, group in groups.items():
        if group:
            yield f"{name}: " + ", ".join(f"{key} {value}" for key, value in group.items())


def path_faults(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> list[str]:
    """Return one line per place that the run would write to and cannot, or not by its name."""
    from ttc_bench.datasets import HandleDataset

    closed: dict[Path, list[tuple[str, str]]] = {}
    for name in sorted(pipeline.datasets()):
        dataset = catalog.get(name)
        if name not in pipeline.all_outputs() and not isinstance(dataset, HandleDataset):
            continue
        path = getattr(dataset, "_filepath", None) or getattr(dataset, "_path", None)
        if path is not None and (place := _closed(Path(str(path)))):
            closed.setdefault(place, []).append((name, str(path)))
    faults = [_line_of(place, datasets) for place, datasets in closed.items()]
    return [*faults, *_warehouse_faults(pipeline, catalog)]


def _warehouse_faults(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> list[str]:
    """Return a line if a run builds a warehouse whose name no database can have."""
    from ttc_bench.dbt import name_fault

    if "warehouse" not in pipeline.datasets():
        return []
    fault = name_fault(Path(str(getattr(catalog.get("warehouse"), "_filepath", ""))))
    return [fault] if fault else []


def _line_of(place: Path, datasets: Sequence[tuple[str, str]]) -> str:
    """Return the line of a place that cannot be written, which may be that of many datasets."""
    (name, path), *others = datasets
    more = f" and {len(others)} more" if others else ""
    what = "no folder" if place.is_file() else "not writable"
    return (
        f"dataset {name}{more}: cannot write to {path}: {place} is {what}. Make it writable or"
        " change the path in the catalog."
    )


def capability_faults(
    engine: Engine, points: Mapping[str, Points], names: Iterable[str], asked: Collection[str] = ()
) -> tuple[list[str], list[str]]:
    """Return what stops the run because no model can execute it, and what is only skipped.

    A policy asked for by its name stops the run if none of its variants can run, and so does the
    baseline; any other variant that cannot run is skipped (`generate` leaves its table empty).

    Args:
        engine: The models of the run.
        points: Sweep points of every ``{policy}.{variant}``.
        names: Those that the run generates with.
        asked: Names of the pipelines asked for.

    Returns:
        One line per variant that the model cannot execute, naming what is missing; the first list
        also says what the model can run.
    """
    from ttc_bench.policies import refusal

    def refused(name: str) -> str | None:
        return refusal(name, (variant for _, variant in points[name]), engine)

    refusals = {name: refused(name) for name in sorted(names)}
    able = {name.partition(".")[0] for name, line in refusals.items() if line is None}
    stopped: list[str] = []
    skipped: list[str] = []
    for name, line in refusals.items():
        policy = name.partition(".")[0]
        stops = policy not in able and policy in (BASELINE[0], *asked)
        if line is not None:
            (stopped if stops else skipped).append(line)
    if stopped:
        able_ones = [name for name in points if refused(name) is None]
        stopped.append(f"This model can run: {', '.join(able_ones) or 'nothing'}.")
    return stopped, skipped


def able_points(pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> dict[str, Points]:
    """Return the sweep points of every variant that a run generates with; others are skipped."""
    names = _generating(pipeline)
    if not names:
        return {}
    engine = catalog.load("engine")
    points = {name: catalog.load(f"params:{name}") for name in sorted(names)}
    return {
        name: own
        for name, own in points.items()
        if not any(point.lacking(engine) for _, point in own)
    }


def _generating(pipeline: Pipeline) -> set[str]:
    """Return every ``{policy}.{variant}`` that a pipeline generates with."""
    return {n.namespace for n in pipeline.nodes if n.namespace and "generate" in n.tags}


def of_other_engines(model: Mapping[str, Any], points: Mapping[str, Points]) -> set[str]:
    """Return the variants that need a role which no setting of the run's engine can fill.

    Args:
        model: The ``model`` parameters.
        points: Sweep points of every ``{policy}.{variant}``.
    """
    from ttc_bench.engines import ENGINES

    roles = ENGINES[str(model["engine"])].model_fields.keys()
    return {name for name, own in points.items() if any(v.needs().keys() - roles for _, v in own)}


def _closed(path: Path) -> Path | None:
    """Return what stands in the way of writing to ``path``: itself or the nearest one above it."""
    place = path
    while not place.exists() and place != place.parent:
        place = place.parent
    # What is there is replaced by a new file beside it, or written into.
    folder = place.parent if place == path and place.is_file() else place
    if not os.access(folder, os.W_OK):
        return folder
    return None if os.access(place, os.W_OK) and (place == path or place.is_dir()) else place
