"""Imports point one way also where no static tool looks: registries import by name."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions

import pytest
from tests.conftest import ROOT

SOURCE = ROOT / "src" / "ttc_bench"
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
(CONTRACT,) = PROJECT["tool"]["importlinter"]["contracts"]
LAYERS = [[room.strip() for room in layer.split("|")] for layer in CONTRACT["layers"]]
ROOMS = [room for layer in LAYERS[1:] for room in layer]
LIGHT = {"click", "numpy", "pydantic"}
"""Libraries that a registry may bring with it; all others take tenths of seconds or more."""

FILL = """
import importlib, json, sys
room, *registries = sys.argv[1:]
importlib.import_module(f"ttc_bench.{room}")
sizes = {}
for name in registries:
    module, attribute = name.split(":")
    sizes[name] = len(getattr(importlib.import_module(module), attribute))
print(json.dumps({"sizes": sizes, "modules": sorted(sys.modules)}))
"""


def registries(room: str) -> list[str]:
    """The registries that the files of a room make, as ``module:NAME``."""
    files = [*(SOURCE / room).rglob("*.py"), *SOURCE.glob(f"{room}.py")]
    return [
        f"{'.'.join(file.relative_to(SOURCE.parent).with_suffix('').parts)}:{name}".replace(
            ".__init__:", ":"
        )
        for file in files
        for name in re.findall(r"^(\w+)\b[^=\n]* = Registry\(", file.read_text("utf-8"), re.M)
    ]


@cache
def heavy() -> frozenset[str]:
    """Top-level modules of the project's dependencies, but for those that cost nothing."""
    normal = [re.split(r"[\[=]", line)[0].lower() for line in PROJECT["project"]["dependencies"]]
    owners = packages_distributions()
    return frozenset(
        module
        for module, distributions in owners.items()
        if {name.lower() for name in distributions} & {*normal} - LIGHT
    )


def test_every_registry_is_in_a_room_below_the_stages() -> None:
    rooms = {name.split(":")[0].split(".")[1] for room in ROOMS for name in registries(room)}
    assert rooms >= {"policies", "metrics", "benchmarks", "engines"}
    assert sum(file.read_text("utf-8").count(" = Registry(") for file in SOURCE.rglob("*.py")) == (
        sum(len(registries(room)) for room in ROOMS)
    )


def test_libraries_that_cost_time_are_known_by_their_modules() -> None:
    assert heavy() >= {"torch", "transformers", "litellm", "mlflow", "pandas", "scipy", "kedro"}
    assert not heavy() & {"click", "numpy", "pydantic", "ttc_bench"}


@pytest.mark.parametrize("room", ROOMS)
def test_a_room_with_its_registries_full_needs_no_room_above(room: str) -> None:
    names = registries(room)
    run = subprocess.run(
        [sys.executable, "-c", FILL, room, *names], capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stderr
    filled = json.loads(run.stdout)
    assert all(filled["sizes"].values()), filled["sizes"]

    place = next(number for number, layer in enumerate(LAYERS) if room in layer)
    allowed = {room, *(below for layer in LAYERS[place + 1 :] for below in layer)}
    entered = {name.split(".")[1] for name in filled["modules"] if name.startswith("ttc_bench.")}
    assert entered <= allowed, f"{room} imports {sorted(entered - allowed)}"
    if names:
        libraries = heavy() & {name.split(".")[0] for name in filled["modules"]}
        assert not libraries, f"the registries of {room} import {sorted(libraries)}"
