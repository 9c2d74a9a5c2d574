"""Which run a page shows: told at its head, and chosen there among all that are kept."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache, partial
from typing import NamedTuple

from ttc_bench.dashboard.parts import plain
from ttc_bench.dashboard.store import Place, Store
from ttc_bench.errors import DataError
from ttc_bench.reporting.run_choice import KeptRun, by_run, readable, run_line

KEY = "run"
"""Its name in the address."""

_TOLD = "run that the address was given"


class Run(NamedTuple):
    """A run that can be shown.

    Attributes:
        folder: Where its scores are among those kept; ``None`` is where the last run's are.
        line: What it was, in words.
    """

    folder: str | None
    line: str


def kept(store: Store) -> list[KeptRun]:
    """Return all runs that are kept, each model by itself; one that is damaged is left out."""
    return _kept(store, store.place("kept_settings"))


@lru_cache(maxsize=4)
def _kept(store: Store, _: Place) -> list[KeptRun]:
    keys = (part.removesuffix(".parquet") for part in store.parts("kept_scores"))
    return list(
        readable({key: partial(store.json, "kept_settings", f"{key}.json") for key in keys})
    )


def chosen(store: Store) -> Store:
    """Tell which run is shown and let another one be chosen; return the store as of that run.

    The address always names the run, so that it shows tomorrow what it shows today.
    """
    import streamlit as st

    runs = _runs(store, store.place("kept_settings"), store.place("all_scores"))
    if not runs:
        return store
    _follow_address(list(runs))
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = str(st.selectbox("Run", list(runs), key=KEY, width=330))
        last = next(iter(runs))
        older = "" if name == last else f" Not the last run, which is {last}."
        st.caption(plain(f"{runs[name].line}.{older}"))
    st.query_params[KEY] = st.session_state[_TOLD] = name
    folder = runs[name].folder
    return store if folder is None else store.at(folder)


def last_line(store: Store) -> str:
    """Return what the last run was, in words; nothing where there is none."""
    runs = _runs(store, store.place("kept_settings"), store.place("all_scores"))
    return next((f"Run {name}, {run.line}." for name, run in runs.items()), "")


def _follow_address(names: list[str]) -> None:
    """Choose the run that the address names; where it names none, that of the page before.

    A widget that is bound to the address leaves it out while it is the first one, so that another
    run would be shown there tomorrow.
    """
    import streamlit as st

    asked, before = st.query_params.get(KEY), st.session_state.get(_TOLD)
    if asked in names and asked != before:
        st.session_state[KEY] = asked
    if st.session_state.get(KEY) not in names:
        st.session_state[KEY] = before if before in names else names[0]
    if asked and asked not in names:
        st.info(plain(f"No run {asked} is kept here; shown is {st.session_state[KEY]}."))


@lru_cache(maxsize=4)
def _runs(store: Store, _: Place, __: Place) -> Mapping[str, Run]:
    """Return the runs by their names, the last first."""
    named = by_run(kept(store))
    runs = {name: Run(models[0].folder, run_line(models)) for name, models in named.items()}
    own = _last(store)
    if own is None:
        return runs
    for name, models in named.items():
        if (models[0].run, models[0].config) == own:
            # Its tables are whole where the last run's are; what is kept lacks samples.
            return {name: Run(None, runs.pop(name).line), **runs}
    return {own[0]: Run(None, f"configuration {own[1]}"), **runs}


def _last(store: Store) -> tuple[str, str] | None:
    """Return name and configuration of the run whose tables are the catalog's; if there is one."""
    try:
        table = store.table("all_scores", ("run_id", "config"), distinct=True)
    except DataError:
        return None
    rows = list(table.itertuples(index=False, name=None))
    return (str(rows[0][0]), str(rows[0][1])) if rows else None
