"""A user is told every fault of the parameters at once, with the place and what is allowed."""

from __future__ import annotations

import pytest
from pydantic import Field

from ttc_bench.errors import UserError
from ttc_bench.params import Params, close_matches, faults, parse_params


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
