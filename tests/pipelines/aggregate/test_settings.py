"""Scores of several commands that lie side by side: what they were made with, and what is told."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from tests.reporting.support import PARAMS, scores

from ttc_bench.measured import as_text, digest, stamp
from ttc_bench.pipelines.aggregate.nodes import collect_known, collect_stored, name_run
from ttc_bench.pipelines.aggregate.settings import united

FULL: dict[str, Any] = {
    "limit": 32,
    "seed": 0,
    "model": {"engine": "local", "target": "a"},
    "baseline": {"greedy": {}},
    "cascade": {"agreement": {"n": 3}, "logprob": {"least": 0.5}},
    "speculative": {"draft_model": {"k": 4}},
}
NAMES = ("baseline.greedy", "cascade.agreement", "speculative.draft_model")


def made(name: str, settings: dict[str, Any] | None, variant: str = "") -> pd.DataFrame:
    policy, _, plain = name.partition(".")
    table = scores(policy, variant or plain, [1.0, 0.0])
    return stamp(table, None if settings is None else as_text(settings))


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == united.__module__]


def test_policies_that_were_run_one_by_one_are_of_one_configuration(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = collect_known(*(made(name, FULL) for name in NAMES))
    named = name_run(found, "now", as_text({"limit": 5}), PARAMS)
    assert set(named["config"]) == {digest(as_text(FULL))}
    assert told(caplog) == []


def test_a_variant_has_the_settings_of_its_own_table(caplog: pytest.LogCaptureFixture) -> None:
    """Those of other policies' commands are none of it, whichever table comes first."""
    later = {**FULL, "cascade": {"agreement": {"n": 5}, "logprob": {"least": 0.9}}}
    tables = [
        made("baseline.greedy", FULL),
        made("cascade.agreement", later, "agreement[n=5]"),
        made("speculative.draft_model", {**FULL, "baseline": {"greedy": {"x": 1}}}),
    ]
    text = united(tables)
    assert text is not None
    assert json.loads(text)["cascade"]["agreement"] == {"n": 5}
    assert json.loads(text)["baseline"] == FULL["baseline"]
    assert united([tables[1], tables[0], tables[2]]) != as_text(FULL)
    assert told(caplog) == []


def test_where_tables_differ_it_is_told_and_filed(caplog: pytest.LogCaptureFixture) -> None:
    small = {**FULL, "limit": 2, "model": {"engine": "hosted"}}
    stored = {
        "baseline.greedy": lambda: made("baseline.greedy", small),
        "cascade.agreement": lambda: made("cascade.agreement", FULL),
        "speculative.draft_model": lambda: made("speculative.draft_model", small),
    }
    found = collect_stored(stored)
    (line,) = told(caplog)
    both = "2 (baseline.greedy, speculative.draft_model), 32 (cascade.agreement)"
    assert f"limit is {both}" in line
    assert "model.target is not set (baseline.greedy, speculative.draft_model), a (casc" in line
    assert "seed" not in line
    filed = json.loads(str(found.attrs["ttc_bench.measured_with"]))
    assert filed["limit"] == both
    assert filed["seed"] == 0
    assert filed["speculative"] == FULL["speculative"]
    digests = {digest(as_text(each)) for each in (FULL, small)}
    assert digest(as_text(filed)) not in digests, "it is neither the one nor the other"


def test_scores_of_an_earlier_version_are_filed_under_what_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old, new = made("baseline.greedy", None), made("cascade.agreement", FULL)
    assert united([old]) is None
    (line,) = told(caplog)
    assert "1 table of scores (baseline.greedy)" in line
    assert "under the settings of this command" in line
    named = name_run(collect_known(old), "now", as_text({"limit": 5}), PARAMS)
    assert set(named["config"]) == {digest(as_text({"limit": 5}))}
    caplog.clear()
    assert united([old, new]) == as_text(FULL)
    (line,) = told(caplog)
    assert "under the settings of the others" in line


def test_a_table_without_rows_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    empty = stamp(made("cascade.agreement", None).head(0), None)
    assert united([empty, made("baseline.greedy", FULL)]) == as_text(FULL)
    assert told(caplog) == []
