"""A setting of an environment, or of the command line, leaves the rest of its group as it was."""

from __future__ import annotations

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
