"""A list in place of a value is a sweep: one run per point, each with a name of its own."""

from __future__ import annotations

import pytest

from ttc_bench.errors import UserError
from ttc_bench.pipelines.generate.params import at_points, sweep


def test_one_value_is_one_run_under_the_variants_own_name() -> None:
    ((label, _),) = sweep("speculative.draft_model", {"k": 4})
    assert label == "draft_model"


def test_lists_span_a_grid_of_named_points() -> None:
    points = dict(sweep("speculative.prompt_lookup", {"k": [2, 4], "max_ngram": [1, 3]}))
    assert list(points) == [
        "prompt_lookup[k=2,max_ngram=1]",
        "prompt_lookup[k=2,max_ngram=3]",
        "prompt_lookup[k=4,max_ngram=1]",
        "prompt_lookup[k=4,max_ngram=3]",
    ]
    assert points["prompt_lookup[k=4,max_ngram=1]"].model_dump()["k"] == 4


def test_each_point_has_its_own_settings_by_its_label() -> None:
    """What MLflow shows of a variant is its own value, not the list that is swept."""
    given = {"limit": 3, "speculative": {"draft_model": {"k": [2, 4]}}}
    points = at_points(given)
    assert points["limit"] == 3
    assert {label: own["k"] for label, own in points["speculative"].items() if "k=" in label} == {
        "draft_model[k=2]": 2,
        "draft_model[k=4]": 4,
    }
    assert "draft_model" not in points["speculative"], "nothing ran at the list"
    assert "early_exit" not in points


def test_a_sweep_without_values_is_an_error() -> None:
    with pytest.raises(UserError, match="at least one value"):
        sweep("speculative.draft_model", {"k": []})


def test_a_faulty_point_is_told() -> None:
    with pytest.raises(UserError, match=r"speculative\.draft_model\.k.*got 0"):
        sweep("speculative.draft_model", {"k": [4, 0]})


@pytest.mark.parametrize(("name", "values"), [("k", [4, 4.0]), ("k", ["4", 4]), ("k", [2, 2])])
def test_two_ways_to_write_a_value_are_one_point(name: str, values: list[object]) -> None:
    with pytest.raises(UserError, match=r"names .* more than once"):
        sweep("speculative.draft_model", {name: values})


def test_a_setting_that_is_a_list_takes_a_list_and_a_sweep_of_it_a_list_of_lists() -> None:
    ((label, one),) = sweep("token_pruning.top_p", {"sections": ["a", "b"]})
    assert (label, one.model_dump()["sections"]) == ("top_p", ("a", "b"))
    ((label, none),) = sweep("token_pruning.top_p", {"sections": []})
    assert (label, none.model_dump()["sections"]) == ("top_p", ())
    points = sweep("token_pruning.top_p", {"sections": [["a", "b"], ["c"]]})
    assert [point.model_dump()["sections"] for _, point in points] == [("a", "b"), ("c",)]
    with pytest.raises(UserError, match=r"sections.*got 1"):
        sweep("token_pruning.top_p", {"sections": ["a", 1]})
