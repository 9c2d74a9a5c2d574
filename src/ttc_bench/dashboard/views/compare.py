"""Every variant beside every other: tables, plots, and two runs."""

from __future__ import annotations

from functools import lru_cache, partial
from typing import Any

from ttc_bench.dashboard import parts, runs
from ttc_bench.dashboard.store import Place, Store
from ttc_bench.dashboard.views import page
from ttc_bench.dbt.in_memory import columns_read, frontier_of
from ttc_bench.errors import DataError, UserError
from ttc_bench.metrics.base import all_metrics
from ttc_bench.reporting import changes, run_changes
from ttc_bench.reporting.labels import label
from ttc_bench.reporting.metric_table import (
    METRICS,
    STATISTICS,
    metric_table,
    plotted_intervals,
)
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.plots import plots
from ttc_bench.reporting.plots.changes_plot import CHANGES_PLOT
from ttc_bench.reporting.run_choice import (
    ChosenRunParams,
    ComparedRuns,
    CompareParams,
    KeptRun,
    choose_among,
)
from ttc_bench.reporting.scopes import Scope
from ttc_bench.reporting.speeds import DRIFT
from ttc_bench.types import GROUP, DataFrame


@page("compare", title="Compare", rank=1)
def compare(store: Store) -> None:
    """Show one of three views."""
    views = {"Table": _table, "Plots": _plots, "Two runs": _runs}
    views[parts.switch("View", list(views), "view")](store)


def _chosen_policies(names: list[str]) -> list[str]:
    """Return the policies that are shown; none chosen are all."""
    import streamlit as st

    policies = sorted({name.partition(".")[0] for name in names})
    chosen = st.multiselect(
        "Policies", policies, key="policies", bind="query-params", placeholder="all"
    )
    return chosen or policies


def _table(store: Store) -> None:
    """Show figures by variant, with what they mean where one points at a heading."""
    import streamlit as st

    scope = parts.scope(store)
    there = set(store.columns("all_scores"))
    names = [spec.name for spec in all_metrics() if spec.name in there]
    with st.container(horizontal=True):
        policies = _chosen_policies(parts.variant_names(store, scope))
        statistic = parts.choice("Figure", list(STATISTICS), "figure", every=False)
    metrics = st.multiselect(
        "Metrics",
        names,
        [name for name in METRICS if name in names],
        key="metrics",
        bind="query-params",
        format_func=label,
    )
    table = _figures(
        store, store.place("all_scores"), scope, tuple(metrics), str(statistic),
        parts.aggregate_params(store),
    )  # fmt: skip
    table = table[table["policy"].isin(policies)]
    parts.table(table)
    if {"latency_s", "ttft_s", "speed"} & set(metrics):
        st.caption(DRIFT)
        parts.tell_replayed(store, scope)
    parts.downloads(table, "variants")


@lru_cache(maxsize=16)
def _figures(
    store: Store,
    _: Place,
    scope: Scope,
    metrics: tuple[str, ...],
    statistic: str,
    params: AggregateParams,
) -> DataFrame:
    columns = dict.fromkeys((*GROUP, "job_id", "task", "status", *metrics))
    scores = store.table("all_scores", list(columns), vars(scope))
    return metric_table(scores, metrics, statistic, params)


def _plots(store: Store) -> None:
    """Show a plot of the report, of some benchmarks and policies."""
    import streamlit as st

    known, params = parts.questions(store), parts.aggregate_params(store)
    by_title = {plot.title: plot for plot in plots()}
    title = parts.choice("Plot", list(by_title), "plot", every=False)
    with st.container(horizontal=True):
        benchmark = parts.choice("Benchmark", sorted(set(known["benchmark"])), "benchmark")
        policies = _chosen_policies(parts.variant_names(store, Scope(str(known["model"].iloc[0]))))
    plot = by_title[str(title)]
    tables = {name: _table_of(store, name, benchmark, policies, params) for name in plot.tables}
    if "frontier" in tables:
        frontier = tables["frontier"]
        tables["frontier"] = frontier[frontier["cost_metric"] == parts.cost(frontier)]
    parts.show(plot.describe(*tables.values()), plot.name)
    st.caption(plot.caption)


def _table_of(
    store: Store, name: str, benchmark: str | None, policies: list[str], params: AggregateParams
) -> DataFrame:
    """Return the rows of a table that a plot is to show."""
    if store.run is not None and name in ("frontier", "intervals", "scaling"):
        whole = _of_earlier(store, store.place("all_scores"), name, params)
        own = whole if benchmark is None else whole[whole["benchmark"] == benchmark]
        return own[own["policy"].isin(policies)]
    columns = store.columns(name)
    where: dict[str, Any] = {"benchmark": benchmark}
    if "policy" in columns:
        where["policy"] = policies
    # Scores have a column for every metric of the catalogue; plots are of those that are compared.
    read = columns_read() if name == "all_scores" else columns
    return store.table(name, [c for c in columns if c in read], where)


@lru_cache(maxsize=16)
def _of_earlier(store: Store, _: Place, name: str, params: AggregateParams) -> DataFrame:
    """Return a table of an earlier run, of which the scores alone are kept."""
    if name == "scaling":
        raise DataError(
            "Samples are kept of the last run alone, so that an earlier one has no such curves."
        )
    scores = parts.summed_scores(store)
    return frontier_of(scores) if name == "frontier" else plotted_intervals(scores, params)


def _runs(store: Store) -> None:
    """Show what changed between two runs that were kept."""
    import streamlit as st

    kept = sorted(runs.kept(store), key=lambda one: one.recorded_at, reverse=True)
    if len(kept) < 2:
        raise DataError("Two runs are compared, and fewer are kept: make another, by `kedro run`.")
    # The run of the page is the one that others are compared with, unless one says otherwise.
    kept.sort(key=lambda one: one.folder != store.run and store.run is not None)
    by_key = {one.key: one for one in kept}
    keys = list(by_key)
    with st.container(horizontal=True):
        after = by_key[str(_run("After", keys, by_key, "after"))]
        rest = [key for key in keys if key != after.key]
        first = _earlier(store, kept, after)
        before = _run("Before", rest, by_key, "before", rest.index(first) if first else None)
    if before is None:
        st.info("No earlier run has a question and a variant in common with this one; choose one.")
    else:
        _changes(store, ComparedRuns([(by_key[str(before)], after)]))


def _earlier(store: Store, kept: list[KeptRun], after: KeptRun) -> str | None:
    """Return the run that `compare` would take, the newest earlier one that is like it, if any."""
    scores = {
        one.key: partial(store.table, "kept_scores", part=f"{one.key}.parquet") for one in kept
    }
    asked = CompareParams(after=ChosenRunParams(run=after.run, config=after.config))
    try:
        pairs = choose_among(kept, scores, asked).pairs
    except UserError:
        return None
    return next((before.key for before, own in pairs if own.key == after.key), None)


def _run(
    label: str, keys: list[str], kept: dict[str, KeptRun], name: str, first: int | None = 0
) -> Any:
    import streamlit as st

    return st.selectbox(
        label,
        keys,
        first,
        placeholder="none chosen",
        key=name,
        bind="query-params",
        format_func=lambda key: f"{kept[key].run}, {kept[key].model}, {kept[key].config}",
    )


def _changes(store: Store, compared: ComparedRuns) -> None:
    import streamlit as st

    ((before, after),) = compared.pairs
    sides = {one.key: partial(store.table, "kept_scores", part=f"{one.key}.parquet")
             for one in (before, after)}  # fmt: skip
    params = parts.aggregate_params(store)
    scores, left_out = run_changes.load_runs(sides, compared, params)
    changed = run_changes.changes(scores, params)
    st.text("\n".join(f"{side}: {text}" for side, text in changes.described((before, after))))
    settings = run_changes.changed_settings(compared)
    st.text(changes.settings_text(settings, "see below"))
    st.text("\n".join(changes.headlines(changed)))
    parts.show(CHANGES_PLOT.describe(changed), CHANGES_PLOT.name)
    st.caption(CHANGES_PLOT.caption)
    parts.table(changed.assign(metric=changed["metric"].map(label)))
    parts.downloads(changed, "changes")
    with st.expander("Settings that differ"):
        parts.table(settings)
    if len(left_out):
        with st.expander("What is not compared"):
            st.text("\n".join(changes.left_out(left_out)))
