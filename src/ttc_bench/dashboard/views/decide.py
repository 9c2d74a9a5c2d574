"""Which variant, for what a response may cost and must be worth."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache

from ttc_bench.dashboard import parts, runs
from ttc_bench.dashboard.store import Place, Store
from ttc_bench.dashboard.views import page
from ttc_bench.dbt.in_memory import frontier_of
from ttc_bench.reporting import decision
from ttc_bench.reporting.budgets import COSTS
from ttc_bench.reporting.limits import BUDGETS, LABELS, Limits, all_limits, answer
from ttc_bench.reporting.params import AggregateParams, DecideParams
from ttc_bench.reporting.plots import PLOTS
from ttc_bench.reporting.privacy import SUFFIX
from ttc_bench.reporting.row_dicts import Row
from ttc_bench.reporting.scopes import (
    Scope,
    parts_by_benchmark,
    reward_intervals,
    rows_by,
    verdict_rows,
)
from ttc_bench.types import DataFrame

ANY = "any"

PARTS = {"Difficulty": "difficulty", "Task": "task"}
"""What questions are parted by, and the column that tells it; what is known of a benchmark by
itself needs no other verdicts."""

STEPS = (1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7, 8)
"""Budgets in every decade."""


def prepare(store: Store) -> None:
    """Compute the decision on all questions of the first model, and on each part of them."""
    runs.last_line(store)
    whole, params = Scope(min(parts.questions(store)["model"])), parts.aggregate_params(store)
    parts.verdicts(store, whole, params)
    _frontiers(store, whole)
    for column in PARTS.values():
        _rows_by(store, store.place("all_scores"), whole, column, params)


@page("decide", title="Decide", rank=0, prepare=prepare)
def decide(store: Store) -> None:
    """Show the answer to what is asked for, and what it rests on."""
    import streamlit as st

    part, params = parts.scope(store), parts.aggregate_params(store)
    table = parts.verdicts(store, part, params)
    told = _with_privacy(store, part, table, params)
    _decision(store, told)
    st.markdown("#### Within limits")
    limits = _limits(table)
    st.subheader(parts.plain(answer(verdict_rows(told), limits)), anchor=False)
    st.caption(
        "Brackets are intervals; those against the baseline hold for all variants at once."
        " A variant is named only where an interval shows it."
    )
    parts.tell_replayed(store, part)
    _frontier(store, part, table)
    whole = [one for one in parts_by_benchmark(told) if one[0] in set(table["benchmark"])]
    _elsewhere(store, part, {name: verdict_rows(own) for name, own in whole}, limits)
    with st.expander("Every variant against the baseline"):
        for benchmark, own in table.groupby("benchmark", sort=True):
            st.text("\n".join([str(benchmark), *decision.sentences(own)]))


def _decision(store: Store, told: DataFrame) -> None:
    """Show what the terminal and the report say of these questions: a line for each aim."""
    import streamlit as st

    decided = decision.decide(told, parts.decide_params(store))
    models = sorted(set(decided["model"]))
    lines = [line for model in models for line in decision.lines(decided, model)]
    if lines:
        st.markdown("#### Decision")
        st.markdown("\n".join(f"- {parts.plain(line)}" for line in lines))


def _with_privacy(
    store: Store, part: Scope, table: DataFrame, params: AggregateParams
) -> DataFrame:
    """Return verdicts with those on all privacy tasks of their benchmarks, which may rule one out.

    A table that holds some of them already, as that of all benchmarks does, is as it was.
    """
    import pandas as pd

    shown = set(table["benchmark"])
    there = set(Scope(part.model).of(parts.questions(store))["benchmark"])
    beside = sorted({f"{name}{SUFFIX}" for name in shown} & there - shown)
    more = [parts.verdicts(store, Scope(part.model, name), params) for name in beside]
    return pd.concat([table, *more], ignore_index=True)


def _limits(table: DataFrame) -> Limits:
    """Return what the sliders ask for; there is one for each cost that is paid at all."""
    import streamlit as st

    chosen: dict[str, float | None] = {}
    columns = iter(st.columns(len(BUDGETS) + 1))
    for name, metric in BUDGETS.items():
        cost = COSTS[LABELS[metric]]
        means = table[f"{metric}_mean"].dropna().astype(float) * cost.factor
        steps = dict(_steps(means[means > 0].tolist(), cost.form))
        with next(columns):
            label = f"{cost.name[:1].upper()}{cost.name[1:]} a response, at most"
            if not steps:
                st.caption(f"{label}: none are paid here, or they are not known.")
                continue
            options = [*steps, ANY]
            parts.tell_unknown(cost.name, options, name)
            picked = st.select_slider(label, options, ANY, key=name, bind="query-params")
            chosen[name] = steps[picked] / cost.factor if picked != ANY else None
    with next(columns):
        least = st.slider(
            "Mean reward, at least", 0.0, 1.0, 0.0, 0.05, key="reward", bind="query-params"
        )
    return all_limits(DecideParams(**chosen, least_reward=least or None))


def _steps(means: list[float], form: str) -> Iterator[tuple[str, float]]:
    """Yield round budgets, by what they are called, from the least mean to the largest."""
    if not means:
        return
    first, last = (math.floor(math.log10(end)) for end in (min(means), max(means)))
    for value in (step * 10.0**decade for decade in range(first, last + 2) for step in STEPS):
        if value * 2 >= min(means):
            yield form.format(value), value
        if value >= max(means):
            return


@lru_cache(maxsize=64)
def _frontier_of(store: Store, _: Place, part: Scope) -> DataFrame:
    return frontier_of(parts.summed_scores(store, part))


def _frontiers(store: Store, part: Scope) -> DataFrame:
    """Return the frontier of each benchmark of some questions."""
    import pandas as pd

    place = store.place("all_scores")
    own = [_frontier_of(store, place, one) for one in parts.by_benchmark(store, part)]
    return pd.concat(own, ignore_index=True)


def _frontier(store: Store, part: Scope, table: DataFrame) -> None:
    """Show reward against one cost."""
    import streamlit as st

    frontier, plot = _frontiers(store, part), PLOTS["quality_vs_cost"]
    st.markdown(f"#### {plot.title}")
    frontier = frontier[frontier["cost_metric"] == parts.cost(frontier)]
    parts.show(plot.describe(frontier, reward_intervals(table)), plot.name)
    st.caption(plot.caption)


@lru_cache(maxsize=32)
def _rows_by(
    store: Store, _: Place, part: Scope, column: str, params: AggregateParams
) -> dict[str, Sequence[Row]]:
    whole = _with_privacy(store, part, parts.verdicts(store, part, params), params)
    return rows_by(parts.scores(store, part), column, params, whole)


def _elsewhere(
    store: Store, part: Scope, by_name: Mapping[str, Sequence[Row]], limits: Limits
) -> None:
    """Show the answer on parts of these questions, whose verdicts are known by benchmark."""
    import streamlit as st

    st.markdown("#### The same limits by part")
    by = parts.switch("By", ["Benchmark", *PARTS], "by")
    if by in PARTS:
        place, params = store.place("all_scores"), parts.aggregate_params(store)
        by_name = dict(_rows_by(store, place, part, PARTS[by], params))
    for name, rows in by_name.items():
        st.text(f"{name}: {answer(rows, limits)}")
    if not by_name:
        st.text("These questions have no such parts.")
