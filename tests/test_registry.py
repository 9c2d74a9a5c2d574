"""What registers itself is found by name, and a mistyped name is answered with close ones."""

from __future__ import annotations

import importlib
from pathlib import Path

import pytest

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.engines import ENGINES
from ttc_bench.errors import UserError
from ttc_bench.policies import VARIANTS
from ttc_bench.registry import Registry


def test_everything_the_project_ships_is_discovered() -> None:
    assert {"crm_sim", "worf_sim", "crmarena", "worfbench"} <= set(BENCHMARKS)
    assert "local" in ENGINES
    assert {"baseline.greedy", "speculative.draft_model", "early_exit.confidence"} <= set(VARIANTS)


def test_unknown_name_tells_close_ones() -> None:
    with pytest.raises(UserError, match=r"unknown benchmark 'crmsim'.*'crm_sim'"):
        BENCHMARKS["crmsim"]


def test_a_name_is_registered_once() -> None:
    registry: Registry[int] = Registry("number", "ttc_bench.metrics")
    registry.register("one")(1)
    with pytest.raises(ValueError, match="registered twice"):
        registry.register("one")(1)


HOUSE = "from ttc_bench.registry import Registry\nROOMS = Registry('room', __name__)\n"
ROOM = "from {house} import ROOMS\nROOMS.register({room!r})(1)\n"


@pytest.mark.parametrize(
    ("house", "fault", "cause"),
    [
        ("house_without_library", "import no_such_library", "No module named 'no_such_library'"),
        ("house_of_noughts", "1 / 0", "division by zero"),
        ("house_without_ladder", "from math import ladder", "cannot import name 'ladder'"),
    ],
)
def test_what_broke_a_member_is_told_at_every_look_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, house: str, fault: str, cause: str
) -> None:
    package = tmp_path / house
    package.mkdir()
    (package / "__init__.py").write_text(HOUSE)
    (package / "attic.py").write_text(ROOM.format(house=house, room="attic"))
    (package / "cellar.py").write_text(ROOM.format(house=house, room="cellar") + fault + "\n")
    monkeypatch.syspath_prepend(tmp_path)
    rooms = importlib.import_module(house).ROOMS

    for look_up in (lambda: rooms["attic"], lambda: rooms["garden"], lambda: list(rooms)):
        with pytest.raises((ImportError, ZeroDivisionError), match=cause):
            look_up()
