"""A user is told every fault of the parameters at once, with the place and what is allowed."""

from __future__ import annotations

import re
from typing import get_args

import pytest
from pydantic import Field

from ttc_bench.errors import UserError
from ttc_bench.params import Params, close_matches, faults, parse_params
from ttc_bench.pipeline_registry import register_pipelines


class Inner(Params):
    depth: int = Field(default=1, ge=1)


class Outer(Params):
    width: int = Field(default=1, ge=1)
    inner: Inner = Inner()


def test_all_faults_are_told_with_place_and_close_match() -> None:
    with pytest.raises(UserError) as caught:
        parse_params(Outer, {"widht": 2, "width": 0, "inner": {"dept": 3}}, "policy.variant")
    lines = caught.value.message.splitlines()
    assert len(lines) == 3
    assert any("policy.variant.widht" in line and "'width'" in line for line in lines)
    assert any("policy.variant.width" in line and "got 0" in line for line in lines)
    assert any("policy.variant.inner.dept" in line and "'depth'" in line for line in lines)


def test_valid_parameters_have_no_faults() -> None:
    assert faults(Outer, {"width": 3}, "x") == []
    assert parse_params(Outer, {"width": 3}, "x") == Outer(width=3)


def test_no_close_match_is_no_suggestion() -> None:
    assert close_matches("zzz", ["speculative", "cascade"]) == ""


def test_parameters_are_hashable_values() -> None:
    assert hash(Outer(width=2)) == hash(Outer(width=2))


@pytest.mark.parametrize("value", [float("inf"), float("-inf"), float("nan")])
def test_no_parameter_is_infinite_or_no_number(value: float) -> None:
    class Share(Params):
        share: float = 0.5
        most: float | None = None
        several: tuple[float, ...] = ()

    for given in ({"share": value}, {"most": value}, {"several": (0.1, value)}):
        (line,) = faults(Share, given, "x")
        assert "finite number" in line


def test_a_switch_is_no_number() -> None:
    class Share(Params):
        share: float = 0.5
        most: int | None = None
        several: tuple[float, ...] = ()
        is_on: bool = False
        either: bool | int = 1

    for given in ({"share": True}, {"most": False}, {"several": [0.1, True]}):
        (line,) = faults(Share, given, "x")
        assert "input should be a number (got" in line
    assert faults(Share, {"is_on": True, "either": True, "most": None}, "x") == []


def test_an_item_that_is_wrong_is_told_once() -> None:
    class Rules(Params):
        rules: tuple[Inner, ...] = Field(min_length=1)

    assert faults(Rules, {"rules": [{"depth": 0}]}, "x") == [
        "parameter x.rules.0.depth: input should be greater than or equal to 1 (got 0)."
    ]
    assert "names with values" in faults(Rules, {"rules": [5]}, "x")[0]
    assert "at least 1 item" in faults(Rules, {"rules": []}, "x")[0]


def _models(of: type[Params]) -> list[type[Params]]:
    return [one for sub in of.__subclasses__() for one in (sub, *_models(sub))]


COUNTS = re.compile(
    r"(?:^|_)(?:n|k|limit|count|samples|jobs|concurrency|attempts|threads|beams|width|depth|rows"
    r"|prompts|budget|chunk|interval|tokens|requests|max_usd|timeout_s)(?:$|_(?!share|_from))"
)


def test_what_has_to_be_positive_refuses_0_and_less() -> None:
    """By the names of all parameter models there are, so that a new one is held to it, too."""
    register_pipelines()
    refused = 0
    for model in _models(Params):
        for name, field in model.model_fields.items():
            kinds = get_args(field.annotation) or (field.annotation,)
            is_number = bool({int, float} & set(kinds)) and model.__module__.startswith("ttc_bench")
            if not is_number or not COUNTS.search(name) or name in MAY_BE_0:
                continue
            for value in (0, -1):
                told = [line for line in faults(model, {name: value}, "x") if f"x.{name}" in line]
                assert told, f"{model.__name__}.{name} takes {value}"
                refused += 1
    assert refused > 80


MAY_BE_0 = {"thinking_budget": "no thinking", "jobs": "no job is timed", "top_k": "all tokens"}
