"""A table says what it was made with, in its file and after all that is done to it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.datasets import TableDataset
from ttc_bench.measured import (
    NOT_MEASURED,
    as_text,
    digest,
    scored_anew,
    settings_of,
    stamp,
    stamp_of,
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
    assert digest(as_text(found)) == digest(as_text(settings)), "so that its digest is the same"


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
    made = scored_anew(stamp(pd.DataFrame(), as_text(before)), as_text(now))
    expected = {k: v for k, v in before.items() if k != "score"}
    expected |= {k: v for k, v in now.items() if k == "score"}
    assert made == as_text(expected)
    assert scored_anew(pd.DataFrame(), as_text(now)) is None


def test_a_file_keeps_what_its_table_was_made_with(tmp_path: Path) -> None:
    text = as_text({"limit": 2, "model": {"target": "näme"}})
    path = str(tmp_path / "scores.parquet")
    dataset = TableDataset(filepath=path, load_args={"dtype_backend": "pyarrow"})
    dataset.save(stamp(pd.DataFrame({"reward": [1.0, None]}), text))
    table = dataset.load()
    assert stamp_of(table) == text
    assert stamp_of(table[table["reward"].notna()].assign(run_id="now")) == text
    assert stamp_of(stamp(table, None)) is None
    pd.DataFrame({"reward": [1.0]}).to_parquet(path)
    assert stamp_of(dataset.load()) is None, "as an earlier version wrote it"
