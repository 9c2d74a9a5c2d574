"""Names that MLflow takes, whatever a setting or a person is called."""

from __future__ import annotations

from hypothesis import example, given
from hypothesis import strategies as st
from mlflow.utils.validation import _validate_metric_name, _validate_param, _validate_tag

from ttc_bench.reporting.tracker import name_in_mlflow


@given(st.text())
@example("sources.mine.options.schema.$schema")
@example("a//b")
@example("../up")
@example("/root/")
@example("decision/crm_sim/" + "x" * 500)
def test_any_label_becomes_a_name_that_mlflow_takes(label: str) -> None:
    name = name_in_mlflow(label)
    _validate_metric_name(name)
    _validate_param(name, "any")
    _validate_tag(name, "any")


def test_usual_names_stay_as_they_are_and_long_ones_apart() -> None:
    for name in ("speculative.draft_model.k", "key/reward", "model.prices.groq/llama-3.3-70b"):
        assert name_in_mlflow(name) == name
    assert name_in_mlflow("x" * 300 + "a") != name_in_mlflow("x" * 300 + "b")
