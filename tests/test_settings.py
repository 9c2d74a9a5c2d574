"""A setting of an environment, or of the command line, leaves the rest of its group as it was."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from omegaconf import DictConfig, OmegaConf
from tests.conftest import ROOT

from ttc_bench.cli import parse_params_option
from ttc_bench.hooks.parameters import ConfigLoader
from ttc_bench.settings import CONFIG_LOADER_ARGS


def written(env: str) -> DictConfig:
    """All parameters of an environment's files."""
    files = sorted((ROOT / "conf" / env).glob("parameters*.yml"))
    merged = OmegaConf.merge(*map(OmegaConf.load, files))
    assert isinstance(merged, DictConfig)
    return merged


@pytest.mark.parametrize(
    ("env", "option"),
    [
        ("openai", "self_consistency.majority.n=4"),
        ("groq", "speculative.step.threshold=0.5"),
        ("groq", "sources.crmarena.path=tasks.json"),
        ("vllm", "model.concurrency=7,best_of_n.likelihood.n=2"),
        ("ollama", "tree_search.beam.depth=3"),
    ],
)
def test_groups_are_merged_at_every_depth(env: str, option: str) -> None:
    given = parse_params_option(None, None, option)  # type: ignore[arg-type]
    loader = ConfigLoader(str(ROOT / "conf"), env=env, runtime_params=given, **CONFIG_LOADER_ARGS)
    base = written("base")
    del base["model"]  # every one of these environments names an engine, and so its models
    expected = OmegaConf.merge(base, written(env), given)
    assert loader["parameters"] == OmegaConf.to_container(expected)


BASE = written("base")["model"]


@pytest.mark.parametrize(
    ("env", "option", "model"),
    [
        ("local", "limit=3", BASE),
        ("local", "model.target=x", {**BASE, "target": "x"}),
        ("local", "model.engine=local,model.target=x", {**BASE, "target": "x"}),
        (
            "local",
            "model.engine=hosted,model.target=openai/x",
            {"engine": "hosted", "target": "openai/x"},
        ),
        ("groq", "model.engine=local,model.target=x", {**BASE, "target": "x"}),
        (
            "groq",
            "model.engine=hosted,model.target=groq/x",
            {**written("groq")["model"], "target": "groq/x"},
        ),
        ("groq", "model.engine=parrot", {"engine": "parrot"}),
        ("local", "model=nonsense", "nonsense"),
    ],
)
def test_models_of_one_engine_are_none_of_another(
    env: str, option: str, model: dict[str, object]
) -> None:
    params = parse_params_option(None, None, option)  # type: ignore[arg-type]
    loader = ConfigLoader(str(ROOT / "conf"), env=env, runtime_params=params, **CONFIG_LOADER_ARGS)
    assert loader["parameters"]["model"] == model


def test_a_file_beside_it_changes_no_model(tmp_path: Path) -> None:
    """Kedro merges the command line into every folder that has files."""
    shutil.copytree(ROOT / "conf" / "base", tmp_path / "base")
    (tmp_path / "local").mkdir()
    (tmp_path / "local" / "parameters.yml").write_text("limit: 3")
    params = {"model": {"engine": "local"}}
    loader = ConfigLoader(str(tmp_path), runtime_params=params, **CONFIG_LOADER_ARGS)
    assert loader["parameters"]["model"] == BASE
    (tmp_path / "local" / "parameters.yml").write_text("model: {engine: local, target: mine}")
    loader = ConfigLoader(str(tmp_path), **CONFIG_LOADER_ARGS)
    assert loader["parameters"]["model"] == {"engine": "local", "target": "mine"}
