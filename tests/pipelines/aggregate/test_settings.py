"""Scores of several commands that lie side by side: what they were made with, and what is told."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import pytest
from tests.reporting.support import PARAMS, scores

from ttc_bench.errors import DataError
from ttc_bench.measured import as_text, digest, made_with, settings_of, stamp
from ttc_bench.pipelines.aggregate.nodes import collect_known, collect_stored, name_run
from ttc_bench.pipelines.aggregate.settings import united
from ttc_bench.reporting.kept_runs import keep_run

FULL: dict[str, Any] = {
    "limit": 32,
    "seed": 0,
    "model": {"engine": "local", "target": "a"},
    "baseline": {"greedy": {}},
    "cascade": {"agreement": {"n": 3}, "logprob": {"least": 0.5}},
    "speculative": {"draft_model": {"k": 4}},
}
NAMES = ("baseline.greedy", "cascade.agreement", "speculative.draft_model")


def made(
    name: str, settings: dict[str, Any] | None, variant: str = "", run: str | None = None
) -> pd.DataFrame:
    policy, _, plain = name.partition(".")
    table = scores(policy, variant or plain, [1.0, 0.0])
    return stamp(table, None if settings is None else as_text(settings), run)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [each.getMessage() for each in caplog.records if each.name == united.__module__]


def test_policies_that_were_run_one_by_one_are_of_one_configuration(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = collect_known(*(made(name, FULL) for name in NAMES))
    named = name_run(found, "now", {"limit": 5}, PARAMS)
    assert set(named["config"]) == {digest(FULL)}
    assert told(caplog) == []


def test_scores_keep_the_name_of_the_run_that_measured_them() -> None:
    """Else each summing up were a run of its own, and compared with itself by the next one."""
    one = [made(name, FULL, run="monday") for name in NAMES]
    nightly = PARAMS.model_copy(update={"run_id": "nightly"})
    for tables, params, name in (
        (one, PARAMS, "monday"),
        (one, nightly, "nightly"),
        ([*one[:2], made(NAMES[2], FULL, run="tuesday")], PARAMS, "now"),
        ([*one[:2], made(NAMES[2], FULL)], PARAMS, "now"),
        ([*one[:2], made(NAMES[2], {**FULL, "seed": 1}, run="monday")], PARAMS, "now"),
        ([*one[:2], made(NAMES[2], FULL, run="tuesday").head(0)], PARAMS, "monday"),
    ):
        named = name_run(collect_known(*tables), "now", {}, params)
        assert set(named["run_id"]) == {name}


def test_a_run_that_is_summed_up_again_stays_the_one_that_it_was() -> None:
    """It was measured then, by that code, on that machine; what it is kept by is no news of it."""
    scores_of = collect_known(*(made(name, FULL, run="monday") for name in NAMES))
    first = {**FULL, "aggregate": {"run_id": "monday"}}
    named = name_run(scores_of.assign(question="?"), "now", first, PARAMS)
    _, kept = keep_run(named, first, "speculative", "monday")
    (key,) = kept
    kept[key] |= {"commit": "a1", "host": "elsewhere", "recorded_at": "2026-11-01"}
    earlier = {key: lambda: kept[key]}
    _, again = keep_run(named, {**FULL, "aggregate": {}}, "aggregate", "later", earlier)
    assert again == kept
    _, anew = keep_run(named, first, "speculative", "monday", earlier)
    assert anew[key]["commit"] != "a1", "the same name by who measures again"


def test_a_report_shows_what_its_scores_were_summed_up_with() -> None:
    summed = {"limit": 5, "aggregate": {"equal_within": 0.3}, "report": {"width": 1}}
    named = name_run(collect_known(made(NAMES[0], FULL)), "now", summed, PARAMS)
    later = {"limit": 6, "aggregate": {"equal_within": 0.1}, "report": {"width": 2}}
    expected = {**FULL, "aggregate": {"equal_within": 0.3}, "report": {"width": 2}}
    assert settings_of(named, later) == expected


def test_scores_of_different_questions_are_refused_before_anything_is_stored() -> None:
    few = made("cascade.agreement", FULL).head(1)
    with pytest.raises(DataError) as refused:
        name_run(collect_known(made("baseline.greedy", FULL), few), "now", {}, PARAMS)
    assert "2 in all, of which baseline.greedy 2, cascade.agreement 1 answered" in str(
        refused.value
    )


def test_a_variant_has_the_settings_of_its_own_table(caplog: pytest.LogCaptureFixture) -> None:
    """Those of other policies' commands are none of it, whichever table comes first."""
    later = {**FULL, "cascade": {"agreement": {"n": 5}, "logprob": {"least": 0.9}}}
    tables = [
        made("baseline.greedy", FULL),
        made("cascade.agreement", later, "agreement[n=5]"),
        made("speculative.draft_model", {**FULL, "baseline": {"greedy": {"x": 1}}}),
    ]
    text, _ = united(tables)
    assert text is not None
    assert json.loads(text)["cascade"]["agreement"] == {"n": 5}
    assert json.loads(text)["baseline"] == FULL["baseline"]
    assert united(tables[::-1]) == (text, None), "in whatever order they come"
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
    filed = made_with(found)
    assert filed is not None
    assert filed["limit"] == both
    assert filed["seed"] == 0
    assert filed["speculative"] == FULL["speculative"]
    assert digest(filed) not in {digest(FULL), digest(small)}, "it is neither the one nor the other"


MINE = {"sources": {"mine": {"path": "q.csv"}}}


@pytest.mark.parametrize(
    ("one", "other", "at", "filed"),
    [
        (MINE, {}, "sources.mine.path", "q.csv ({}), not set ({})"),
        ({"limit": 1}, {"limit": "1"}, "limit", '1 ({}), "1" ({})'),
        ({"limit": None}, {"limit": "null"}, "limit", 'null ({}), "null" ({})'),
        ({"limit": 1}, {"limit": True}, "limit", "1 ({}), true ({})"),
        ({"seed": "not set"}, {"seed": "näme"}, "seed", '"not set" ({}), näme ({})'),
        ({"limit": {"a": 1}}, {"limit": 1}, "limit", '{{"a": 1}} ({}), 1 ({})'),
    ],
)
def test_what_differs_is_told_as_what_it_is(
    caplog: pytest.LogCaptureFixture,
    one: dict[str, Any],
    other: dict[str, Any],
    at: str,
    filed: str,
) -> None:
    sides = NAMES[:2]
    text, _ = united([made(sides[0], {**FULL, **one}), made(sides[1], {**FULL, **other})])
    assert text is not None
    place: Any = json.loads(text)
    for name in at.split("."):
        place = place[name]
    assert place == filed.format(*sides)
    assert f"{at} is {filed.format(*sides)}" in told(caplog)[0]


def test_scores_of_a_policy_that_is_gone_are_summed_up(caplog: pytest.LogCaptureFixture) -> None:
    own = {**FULL, "shortest_of_n": {"plain": {"n": 3}}}
    text, _ = united([made("baseline.greedy", FULL), made("shortest_of_n.plain", own)])
    assert text is not None
    assert json.loads(text)["shortest_of_n"] == {"plain": {"n": 3}}
    odd = [made("baseline.greedy", {"baseline": 5}), made("cascade.agreement", {"cascade": [1]})]
    assert united(odd)[0] is not None, "whatever has been written there"
    assert told(caplog) == []


def test_scores_of_an_earlier_version_are_filed_under_what_is_known(
    caplog: pytest.LogCaptureFixture,
) -> None:
    old, new = made("baseline.greedy", None), made("cascade.agreement", FULL)
    assert united([old]) == (None, None)
    (line,) = told(caplog)
    assert "1 table of scores (baseline.greedy)" in line
    assert "under the settings of this command" in line
    named = name_run(collect_known(old), "now", {"limit": 5}, PARAMS)
    assert set(named["config"]) == {digest({"limit": 5})}
    caplog.clear()
    text, _ = united([old, new])
    assert text == as_text({**FULL, "not_said": ["baseline.greedy"]}), "not as if it were known"
    (line,) = told(caplog)
    assert "under the settings of the others" in line


def test_a_table_without_rows_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    empty = stamp(made("cascade.agreement", None).head(0), None)
    full = made("baseline.greedy", FULL, run="monday")
    assert united([empty, full]) == (as_text(FULL), "monday")
    assert told(caplog) == []
