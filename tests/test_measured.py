"""A table says what it was made with, in its file and after all that is done to it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.datasets import TableDataset
from ttc_bench.measured import (
    KEY,
    NOT_MEASURED,
    RUN,
    as_text,
    digest,
    made_with,
    run_of,
    settings_of,
    stamp,
    stamp_scored,
)

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)
SETTINGS = st.dictionaries(
    st.sampled_from(["limit", "seed", "score", "cascade", "aggregate", "judge"]), VALUES
)


@given(SETTINGS)
def test_of_a_run_that_sums_up_what_it_measured_the_settings_are_its_own(
    settings: dict[str, Any],
) -> None:
    table = stamp(pd.DataFrame({"reward": [1.0]}), as_text(settings))
    found = settings_of(table, settings)
    assert found == settings
    assert digest(found) == digest(settings), "so that its digest is the same"


@given(SETTINGS, SETTINGS)
def test_a_later_command_gives_only_what_is_not_measured(
    before: dict[str, Any], now: dict[str, Any]
) -> None:
    found = settings_of(stamp(pd.DataFrame(), as_text(before)), now)
    assert {k: v for k, v in found.items() if k not in NOT_MEASURED} == {
        k: v for k, v in before.items() if k not in NOT_MEASURED
    }
    assert {k: v for k, v in found.items() if k in NOT_MEASURED} == {
        k: v for k, v in now.items() if k in NOT_MEASURED
    }
    assert settings_of(pd.DataFrame(), now) == now, "nothing else is known of an older table"


@given(SETTINGS, SETTINGS)
def test_scores_are_of_the_scoring_of_now(before: dict[str, Any], now: dict[str, Any]) -> None:
    responses = stamp(pd.DataFrame(), as_text(before), "monday")
    expected = {k: v for k, v in before.items() if k not in (*NOT_MEASURED, "score")}
    expected |= {k: v for k, v in now.items() if k == "score"}
    found = stamp_scored(pd.DataFrame(), responses, now)
    assert made_with(found) == expected
    assert run_of(found) == "monday"
    judged = stamp_scored(pd.DataFrame(), responses, now, by=("score", "judge"))
    assert settings_of(judged, {"judge": "later"}).get("judge", "later") == now.get(
        "judge", "later"
    )
    assert made_with(stamp_scored(pd.DataFrame(), pd.DataFrame(), now)) is None


def test_a_file_keeps_what_its_table_was_made_with(tmp_path: Path) -> None:
    text = as_text({"limit": 2, "model": {"target": "näme"}})
    path = str(tmp_path / "scores.parquet")
    dataset = TableDataset(filepath=path, load_args={"dtype_backend": "pyarrow"})
    dataset.save(stamp(pd.DataFrame({"reward": [1.0, None]}), text, "monday"))
    table = dataset.load()
    for each in (table, table[table["reward"].notna()].assign(run_id="now")):
        assert made_with(each) == json.loads(text)
        assert run_of(each) == "monday"
    assert made_with(stamp(table, None)) is run_of(table) is None
    pd.DataFrame({"reward": [1.0]}).to_parquet(path)
    assert made_with(dataset.load()) is None, "as an earlier version wrote it"


@pytest.mark.parametrize("text", ["", "no JSON", "[1]", "null", 5, None, {"limit": 2}])
def test_what_no_version_wrote_says_nothing(text: Any) -> None:
    table = pd.DataFrame({"reward": [1.0]})
    table.attrs = {KEY: text, RUN: text and 7}
    assert made_with(table) is run_of(table) is None
    assert settings_of(table, {"limit": 3}) == {"limit": 3}
