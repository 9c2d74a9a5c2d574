"""The parameters of a run: parsed once, before anything else, and every fault told at once."""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeVar

from kedro.config import MissingConfigException, OmegaConfigLoader
from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException
from yaml import YAMLError

from ttc_bench.errors import UserError
from ttc_bench.hooks.shared_run import outside_id
from ttc_bench.measured import NOT_MEASURED, as_text
from ttc_bench.params import RunParams, parse_params, unknown, yaml_faults

logger = logging.getLogger(__name__)

T = TypeVar("T")

Files = dict[Path, DictConfig]
"""Files of one folder of the configuration, as they stand there."""

_YAML = (".yml", ".yaml")

_NAME = re.compile(r"[A-Za-z]\w*(?:-\w+)*")
"""What a source of one's own may be called: its name is part of ids and of paths."""


class ConfigLoader(OmegaConfigLoader):
    """Merges parameters at every depth, so that one setting leaves the rest of its group.

    Models of one engine are none of another's. An environment that names an engine names its
    models, and those of ``conf/base`` are left out; a command line that names an engine leaves out
    the models of every other.
    """

    def _read_dir_configs(self, conf_path: str, patterns: Any, key: str, *others: Any) -> Files:
        """Read the files of a folder.

        Raises:
            UserError: If the folder is not there, or a file of it cannot be read or holds no names
                with values.
        """
        try:
            files: Files = super()._read_dir_configs(conf_path, patterns, key, *others)
        except MissingConfigException as error:
            raise UserError(_no_folder(Path(conf_path), str(error))) from error
        except (YAMLError, ValueError, OmegaConfBaseException, OSError) as error:
            raise UserError(_unreadable(Path(conf_path), patterns, key, error)) from error
        return files

    def _check_duplicates(self, key: str, config: Files) -> None:
        """Check what a folder's files hold; Kedro itself takes mappings for granted.

        Raises:
            UserError: If a file holds something else.
        """
        for path, settings in config.items():
            if not OmegaConf.is_dict(settings):
                raise UserError(f"{path} holds no names with values, each as `name: value`.")
        super()._check_duplicates(key, config)

    def _merge_configs(
        self, config: dict[str, Any], env_config: dict[str, Any], *others: Any
    ) -> dict[str, Any]:
        """Merge an environment, if it sets anything: else all would only be made once more."""
        if not env_config:
            return config
        merged: dict[str, Any] = super()._merge_configs(config, env_config, *others)
        return merged

    def _resolve_from_raw_config(
        self, key: str, base_configs: Files, env_configs: Files, *others: Any
    ) -> dict[str, Any]:
        if key == "parameters":
            asked = _engine_of(self.runtime_params)
            env_configs = _without_models(env_configs, lambda engine: asked not in (None, engine))
            is_named = any(_engine_of(config) for config in env_configs.values())
            base_configs = _without_models(
                base_configs, lambda engine: is_named or asked not in (None, engine)
            )
        try:
            settings: dict[str, Any] = super()._resolve_from_raw_config(
                key, base_configs, env_configs, *others
            )
        except (OmegaConfBaseException, TypeError) as error:
            # A list in the place of names with values is told as an error of types.
            told = " ".join(str(error).split())
            raise UserError(f"the configuration of {key} cannot be resolved: {told}.") from error
        if key == "mlflow":
            _check_mlflow(settings)
        return settings


def _unreadable(folder: Path, patterns: Iterable[str], key: str, error: Exception) -> str:
    """Return what is wrong with the files of a folder: a line for each fault of YAML, or the error.

    Kedro ends at the first file, and a parser at the first fault of a file.
    """
    files = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    faults = [fault for path in files if path.suffix in _YAML for fault in yaml_faults(path)]
    told = " ".join(str(error).split())
    return "\n".join(faults) or f"{folder}: a file of {key} cannot be read: {told}"


def _check_mlflow(settings: Mapping[str, Any]) -> None:
    """Raise unless kedro-mlflow can take its settings; it tells of them with a traceback."""
    from kedro_mlflow.config.kedro_mlflow_config import KedroMlflowConfig

    parse_params(KedroMlflowConfig, settings, "of mlflow.yml")


def _no_folder(folder: Path, message: str) -> str:
    """Return the line for a folder of the configuration that is not there."""
    if not folder.parent.is_dir():
        return message
    environments = [
        path.name for path in folder.parent.iterdir() if path.is_dir() and path.name[0] != "."
    ]
    return f"no folder {folder}: {unknown('environment', folder.name, environments)}"


def _engine_of(config: Any) -> Any:
    """Return the engine that a file or the command line names."""
    settings = OmegaConf.to_container(config) if OmegaConf.is_config(config) else config
    model = settings.get("model") if isinstance(settings, Mapping) else None
    return model.get("engine") if isinstance(model, Mapping) else None


def _without_models(files: Files, is_left_out: Callable[[Any], bool]) -> Files:
    """Return the files without the models of an engine that is left out."""

    def shown(config: DictConfig) -> DictConfig:
        engine = _engine_of(config)
        if engine is None or not is_left_out(engine):
            return config
        return OmegaConf.masked_copy(config, [str(name) for name in config if name != "model"])

    return {path: shown(config) for path, config in files.items()}


class Parameters:
    """Hands parameters to nodes as typed models, and what is known of a run as datasets.

    Nodes that are deployed apart find all of it in a process of their own: it is made anew from
    the configuration of each session.
    """

    def __init__(self) -> None:
        self._settings: Mapping[str, Any] = {}

    @hook_impl(tryfirst=True)
    def after_context_created(self, context: KedroContext) -> None:
        """Replace the parameters by models: what Kedro validates later is valid by now.

        Raises:
            UserError: Listing every fault, one per line.
        """
        asked = context.config_loader.runtime_params
        settings = _named(context.config_loader["parameters"])
        self._settings = with_sources(settings, asked)
        context.config_loader["parameters"] = typed(self._settings)

    @hook_impl
    def after_catalog_created(
        self,
        catalog: CatalogProtocol[Any, Any],
        parameters: Mapping[str, Any],
        save_version: str | None,
    ) -> None:
        """Add the datasets that are of this run alone.

        ``engine``, ``judge_engine`` and, for what makes no call, ``unasked_engine`` hold the
        models, ``workers`` the processes beyond this one; ``session_id`` is the start of the
        session, or the id that an orchestrator gives all processes of a run (no parameter, as
        MLflow would log it and refuse a second session in the same run); ``run_name`` what the run
        is called, by its parameter or by that; ``run_settings`` all parameters as they were set,
        ``measured_settings`` those that are measured with, as text.
        """
        from kedro.io.core import generate_timestamp

        from ttc_bench.datasets import EngineDataset, RulesDataset, WorkersDataset
        from ttc_bench.engines import engine_params

        model, judge = parameters["params:model"], parameters["params:judge"].model
        catalog["engine"] = EngineDataset(model)
        catalog["unasked_engine"] = EngineDataset(model, is_asked=False)
        catalog["judge_engine"] = EngineDataset(engine_params(judge) if judge else model)
        journal = getattr(catalog.get("journal"), "_filepath", None)
        catalog["workers"] = WorkersDataset(parameters["params:ray"], model, journal)
        catalog["gate_policy"] = RulesDataset(filepath=parameters["params:gate"].policy)
        session = outside_id() or save_version or generate_timestamp()
        catalog["session_id"] = session
        catalog["run_name"] = parameters["params:aggregate"].run_id or session
        catalog["run_settings"] = dict(self._settings)
        catalog["measured_settings"] = as_text(self._settings)

    @hook_impl
    def before_pipeline_run(
        self,
        run_params: Mapping[str, Any],
        pipeline: Pipeline,
        catalog: CatalogProtocol[Any, Any],
    ) -> None:
        """Add ``run_pipeline``, the names of the pipelines that are run."""
        catalog["run_pipeline"] = pipeline_title(run_params)
        asked = run_params.get("runtime_params") or {}
        if idle := sorted(asked.keys() - set(used_by(pipeline, asked))):
            logger.warning(
                "%s: without effect on what is stored, which is filed under what it was made with"
                " where it says so",
                ", ".join(idle),
            )


def pipeline_title(run_params: Mapping[str, Any]) -> str:
    """Return the names of the pipelines of a run as one text."""
    return ", ".join(run_params.get("pipeline_names") or ()) or "__default__"


def used_by(pipeline: Pipeline, names: Iterable[str]) -> list[str]:
    """Return the parameters that hold for what a pipeline does.

    One that starts from responses or scores that are stored measures nothing by those of now.
    """
    tags = {tag for node in pipeline.nodes for tag in node.tags}
    finds = any(name.endswith(("responses", "scores")) for name in pipeline.inputs())
    if tags & {"ingest_benchmarks", "generate", "judge"} or not finds:
        return list(names)
    used = {*NOT_MEASURED, *(("score", "ray") if "score" in tags else ())}
    return [name for name in names if name in used]


def _named(settings: Any) -> Any:
    """Return settings with texts as names: YAML reads ``on`` as true, and 1 as a number."""
    if isinstance(settings, Mapping):
        return {str(name): _named(value) for name, value in settings.items()}
    return [_named(value) for value in settings] if isinstance(settings, list) else settings


def with_sources(settings: Mapping[str, Any], asked: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the settings with the benchmarks that a command line gives a path for, and no others.

    Args:
        settings: All parameters.
        asked: Those of the command line; if they name benchmarks, those are run.
    """
    own = _group(asked, "sources")
    paths = [name for name in own if "path" in _group(own, name)]
    selected = settings.get("benchmarks")
    if not paths or "benchmarks" in asked:
        for name in own:
            if isinstance(selected, list) and name not in selected:
                logger.warning("%s: not among the selected benchmarks, skipped", name)
        return settings
    logger.info("benchmarks: %s, by the path on the command line", ", ".join(paths))
    return {**settings, "benchmarks": paths}


class Faults(list[str]):
    """Lines that say what is wrong, gathered while parsing goes on."""

    def parse(self, parse: Callable[..., T], *arguments: Any) -> T | None:
        """Return what ``parse`` makes of the arguments, or ``None`` and note its faults."""
        try:
            return parse(*arguments)
        except UserError as error:
            self.extend(error.message.splitlines())
            return None

    def check_names(self, kind: str, names: Iterable[str], allowed: Iterable[str]) -> None:
        """Note every name that is not allowed."""
        known = list(allowed)
        self.extend(unknown(kind, name, known) for name in names if name not in known)


def typed(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the parameters as the models that nodes take, a variant's as its sweep points.

    The models of stages are the annotations of their nodes, by which Kedro would validate too.

    Args:
        settings: Parameters as they were set.

    Raises:
        UserError: Listing every fault, one per line.
    """
    from ttc_bench.engines import engine_params
    from ttc_bench.engines.hosting.secrets import addresses_with_keys
    from ttc_bench.metrics.base import METRICS
    from ttc_bench.policies.telemetry import TelemetryParams
    from ttc_bench.workers import RayParams

    stages = {name: model for name, model in _annotated().items() if "." not in name}
    faults, score = Faults(), _group(settings, "score")
    own = {name: settings[name] for name in RunParams.model_fields if name in settings}
    faults.parse(parse_params, RunParams, own, "")
    models = {
        **own,
        "model": faults.parse(engine_params, _group(settings, "model")),
        "telemetry": faults.parse(
            parse_params, TelemetryParams, _group(settings, "telemetry"), "telemetry"
        ),
        "ray": faults.parse(parse_params, RayParams, _group(settings, "ray"), "ray"),
        **_of_benchmarks(settings, faults),
        **_of_policies(settings, faults),
        **{
            name: faults.parse(parse_params, model, settings.get(name) or {}, name)
            for name, model in stages.items()
        },
    }
    faults.check_names("parameter", settings, models.keys() - {"questions"})
    faults.extend(
        f"parameter {name}: passwords and keys do not belong into addresses, which are written to"
        " reports: leave it out, and give it as its driver takes it (PGPASSWORD or ~/.pgpass, a"
        " variable of the environment)."
        for name in addresses_with_keys(settings)
    )
    faults.check_names("family in score.families", _group(score, "families"), METRICS)
    if faults:
        raise UserError("\n".join(dict.fromkeys(faults)))
    return models


def _annotated() -> dict[str, type]:
    """Return the models that nodes are annotated with, by the parameters they take.

    Most nodes are in several pipelines: to look at each once takes a fifth of the time.
    """
    from kedro.framework.project import pipelines
    from kedro.validation import TypeExtractor

    every: Any = SimpleNamespace(
        nodes=dict.fromkeys(node for pipeline in pipelines.values() for node in pipeline.nodes)
    )
    return TypeExtractor({"every": every}).extract_types_from_pipelines()


def _of_benchmarks(settings: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """Return prompting and source of every benchmark, selected or not.

    A source of another name is a file of questions; ``questions`` holds those that are selected.
    """
    from ttc_bench.benchmarks import BENCHMARKS
    from ttc_bench.pipelines.ingest_benchmarks.params import QuestionSet, prompting_of

    prompting, given = _group(settings, "prompting"), _group(settings, "sources")
    own = {name: given[name] for name in given if _is_own(name, given[name], BENCHMARKS)}
    names, selected = [*BENCHMARKS, *own], settings.get("benchmarks")
    selected = selected if isinstance(selected, list) else []
    for name in selected:
        if name not in names:
            mine = name if _NAME.fullmatch(str(name)) else "mine"
            faults.append(
                f"{unknown('benchmark', name, names)} A file of your own:"
                f" sources.{mine}.path=questions.csv."
            )
    for name in (name for name in given if name not in names):
        needed = f" Questions of your own need sources.{name}.path." if given[name] else ""
        faults.append(f"{unknown('benchmark in sources', name, names)}{needed}")
    promptings = {n: faults.parse(prompting_of, n, prompting, names) for n in names}
    sources = {name: faults.parse(_source, name, given.get(name) or {}) for name in names}
    return {
        "prompting": promptings,
        "sources": sources,
        "questions": {
            name: QuestionSet(source=sources[name], prompting=promptings[name])
            for name in own
            if name in selected and sources[name] and promptings[name]
        },
    }


def _is_own(name: str, source: Any, registered: Iterable[str]) -> bool:
    """Return whether a source is a file of questions of one's own."""
    is_new = name not in registered and _NAME.fullmatch(name) is not None
    return is_new and isinstance(source, Mapping) and "path" in source


def _source(name: str, settings: Mapping[str, Any]) -> Any:
    """Return the settings of a source as the model of its benchmark.

    Raises:
        UserError: Listing every fault.
    """
    from ttc_bench.benchmarks import BENCHMARKS
    from ttc_bench.benchmarks.questions import QuestionsParams

    where = f"sources.{name}"
    if name in BENCHMARKS:
        return parse_params(BENCHMARKS[name].params, settings, where)
    return parse_params(QuestionsParams, {**settings, "name": name}, where)


def _of_policies(settings: Mapping[str, Any], faults: Faults) -> dict[str, Any]:
    """Return the sweep points of every variant of every policy."""
    from ttc_bench.pipelines.generate.params import sweep
    from ttc_bench.policies import policies, variants_of

    points: dict[str, Any] = {}
    for policy in policies():
        group, names = _group(settings, policy), variants_of(policy)
        if settings.get(policy) is not None and not isinstance(settings[policy], Mapping):
            known = ", ".join(names)
            faults.append(
                f"parameter {policy}: input should be variants with their settings, of {known}"
                f" (got {settings[policy]!r})."
            )
        faults.check_names(f"variant of {policy}", group, names)
        points[policy] = {
            name: faults.parse(sweep, f"{policy}.{name}", group.get(name)) for name in names
        }
    return points


def _group(settings: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """Return the settings under a name; none where there is something else."""
    group = settings.get(name)
    return group if isinstance(group, Mapping) else {}
