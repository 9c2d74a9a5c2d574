"""Runs are kept under their names, whatever those hold and however long they are."""

from __future__ import annotations

from pathlib import PurePosixPath

from hypothesis import example, given
from hypothesis import strategies as st

from ttc_bench.reporting.kept_runs import key_of

NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=400)


@given(NAMES, NAMES)
@example(".", "..")
@example("...", "a/../b")
@example("x" * 300, "x" * 301)
@example("\u00fc" * 200, "it's")
def test_names_of_runs_are_places_apart_within_their_folder(run: str, model: str) -> None:
    key = key_of(run, "config", model)
    parts = PurePosixPath(key).parts
    assert len(parts) == 3
    assert ".." not in key
    assert all(part.strip(".") for part in parts)
    assert all(len(f"{part}.parquet".encode()) <= 255 for part in parts)
    if run != model:
        assert key_of(model, "config", model) != key
