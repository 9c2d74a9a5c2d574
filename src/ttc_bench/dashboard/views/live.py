"""A run while it goes on: what is done, what is left, what it costs, and whether it lives."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

from ttc_bench.dashboard import parts
from ttc_bench.dashboard.serving import warning_of
from ttc_bench.dashboard.store import Place, Store
from ttc_bench.dashboard.views import page, told
from ttc_bench.engines.base import CallLimits
from ttc_bench.errors import DataError, UserError
from ttc_bench.params import parse_params
from ttc_bench.policies.steering import order, orders_in, place_of
from ttc_bench.reporting.live import Event, Progress, Tail, duration, of_run, progress, titles
from ttc_bench.reporting.metric_table import metric_table
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.row_dicts import full_name, row_dicts
from ttc_bench.reporting.sheet import known, number
from ttc_bench.types import GROUP

REFRESH_S = 2.0

WATCHED, NEWEST = "watched", "newest_run"
"""Which run is chosen, also in the address, and which was the newest as the page was made."""


@page("live", title="Live", rank=3, of_run=False)
def live(store: Store) -> None:
    """Show a run, anew every two seconds."""
    import streamlit as st

    runs = store.files("events", ".jsonl")
    if not runs:
        st.fragment(_wait, run_every=REFRESH_S)(store)
        return
    by_title = titles(store.place("events").path, runs[::-1])
    _follow(list(by_title))
    title = parts.choice("Run, by its start", list(by_title), WATCHED, every=False)
    st.fragment(_show, run_every=REFRESH_S)(store, by_title[str(title)], runs[-1])


def _follow(names: list[str]) -> None:
    """Choose the newest run where the one before it was watched, and the address names none."""
    import streamlit as st

    state = st.session_state
    if WATCHED not in st.query_params and state.get(WATCHED) == state.get(NEWEST):
        state[WATCHED] = names[0]
    state[NEWEST] = names[0]


def _wait(store: Store) -> None:
    """Say that there is no run, until there is one."""
    import streamlit as st

    with told("live"):
        if store.files("events", ".jsonl"):
            st.rerun()
        raise DataError("No run has told of itself yet: start one, e.g. by `kedro run`.")


def _show(store: Store, name: str, newest: str) -> None:
    import streamlit as st

    # Between two views of the page nobody else catches what goes wrong here.
    with told("live"):
        if store.files("events", ".jsonl")[-1:] not in ([], [newest]):
            st.rerun()
        if name != newest:
            st.info("A newer run has begun; it is the first of those to choose from above.")
        _run(store, store.place("events", name).path)


def _run(store: Store, path: Path) -> None:
    import streamlit as st

    try:
        events = _tail(path).read()
    except OSError as error:
        raise DataError("The events of this run cannot be read any more.") from error
    now = progress(events, time.time())
    st.markdown(f"#### {parts.plain(now.sentence)}")
    st.caption(parts.plain(of_run(events)))
    _numbers(now)
    if now.pid is not None:
        _machine(now.pid)
        if not now.is_answered:
            _steering(path, now)
    if now.steered:
        st.caption("How it was steered, the last first")
        st.text("\n".join(now.steered))
    parts.table(_variants(store, now, events))
    if now.minutes:
        _minutes(now)


def _minutes(now: Progress) -> None:
    import streamlit as st

    st.caption(
        "By minute, the last two hours: calls, tries that were repeated, and jobs that failed as"
        " the provider asked for fewer calls"
    )
    words = {"calls": "calls", "retries": "repeated", "rate_limited": "failed: too many calls"}
    rows = [{"minute": row["minute"], **{words[name]: row[name] for name in words}}
            for row in now.minutes]  # fmt: skip
    st.bar_chart(rows, x="minute", y=list(words.values()))


@lru_cache(maxsize=4)
def _tail(path: Path) -> Tail:
    return Tail(path)


def _numbers(now: Progress) -> None:
    import streamlit as st

    most = now.limits
    latencies = " | ".join(f"{value:.3g}" for value in now.latency_s.values())
    shown = {
        "jobs done": f"{now.done} of {now.done + now.left}",
        **_pace(now),
        "calls": _of(f"{now.calls}", most.get("max_requests")),
        "US$": _paid(now),
        "seconds a call, p50 | p95 | p99": latencies or "-",
    }
    with st.container(horizontal=True):
        for label, value in shown.items():
            st.metric(label, value, width="content")


def _pace(now: Progress) -> dict[str, str]:
    """Return how fast a run goes that still asks; of any other nothing."""
    if now.is_over or now.is_answered:
        return {}
    rate = now.rate_per_s
    return {
        "jobs a minute": number(60 * rate if rate else None, "{:.3g}"),
        "time left": "-" if now.left_s is None else duration(now.left_s),
    }


def _paid(now: Progress) -> str:
    """Return what was paid, of a run whose calls cost nothing in words."""
    most = now.limits.get("max_usd")
    is_free = now.calls and now.usd == 0 and most is None
    return "none are paid here" if is_free else _of(number(now.usd, "{:.4g}"), most)


def _of(value: str, limit: Any) -> str:
    return value if limit is None else f"{value} of {limit:g}"


def _machine(pid: int) -> None:
    """Show what the process takes of this machine."""
    import psutil  # type: ignore[import-untyped]
    import streamlit as st

    from ttc_bench.metrics.resources import gpu_now

    try:
        process = psutil.Process(pid)
        process.cpu_percent()
        whole = psutil.cpu_percent(0.1)
        cpu, memory = process.cpu_percent(), process.memory_info().rss
    except psutil.Error:
        return
    st.caption(
        f"The process takes {cpu:.0f}% of a processor and {memory / 2**30:.2f} GiB of memory;"
        f" the machine is at {whole:.0f}% and has"
        f" {psutil.virtual_memory().available / 2**30:.1f} GiB left. {gpu_now()}"
    )


LIMITS = {
    "concurrency": "Calls at once",
    "max_usd": "US$, at most",
    "max_requests": "Requests, at most",
    "requests_per_minute": "Requests a minute",
    "tokens_per_minute": "Tokens a minute",
}
"""What can be changed of a run at work, and how it is called."""


def _steering(events: Path, now: Progress) -> None:
    """Offer to pause a run, to let it go on, and to call its models otherwise."""
    import streamlit as st

    if why_not := _unsteerable(now):
        st.caption(why_not)
        return
    try:
        _orders(events, orders_in(place_of(events)), now.limits)
    except UserError as error:
        st.info(parts.plain(error.message))


def _orders(events: Path, asked: CallLimits, limits: Mapping[str, Any]) -> None:
    import streamlit as st

    with st.container(horizontal=True):
        if st.button("Resume" if asked.paused else "Pause", key="pause"):
            order(events, asked.model_copy(update={"paused": not asked.paused}))
            st.rerun()
        st.caption("It takes effect between two calls; jobs at work then have no times.")
    if limits:
        _limits(events, asked, limits)
    else:
        st.caption("It has no limits to change, as no run of local models has: it calls nobody.")


def _limits(events: Path, asked: CallLimits, limits: Mapping[str, Any]) -> None:
    import streamlit as st

    with st.expander("Change its limits"), st.form("limits", border=False):
        with st.container(horizontal=True):
            chosen = {
                name: st.number_input(
                    label,
                    value=getattr(asked, name),
                    min_value=0.0 if name == "max_usd" else 1,
                    placeholder=_as_started(limits, name),
                    key=name,
                )
                for name, label in LIMITS.items()
            }
        if st.form_submit_button("Change"):
            settings = {name: value for name, value in chosen.items() if value is not None}
            order(events, parse_params(CallLimits, {**settings, "paused": asked.paused}, "limits"))
            st.rerun()


def _as_started(limits: Mapping[str, Any], name: str) -> str:
    """Return what stands in an empty field: that nothing is changed, and what holds now."""
    if name not in limits:
        return "as started"
    limit = limits[name]
    return "as started: none" if limit is None else f"as started: {limit:g}"


def _unsteerable(now: Progress) -> str:
    """Return why the run cannot be steered from here; empty if it can be."""
    import psutil
    import streamlit as st

    if warning_of(st.config.get_option("server.address")):
        return "It cannot be steered here, where others come in without a password."
    try:
        owner = psutil.Process(now.pid).uids().effective
    except psutil.Error:
        return "It is ending."
    return "" if owner == os.geteuid() else "It is another user's, who alone can steer it."


def _variants(store: Store, now: Progress, events: list[Event]) -> list[dict[str, Any]]:
    """Return the rows of the variants, with mean rewards where they are scored already."""
    rewards = _rewards(store, events[0]["at"] if events else 0.0)
    return [{**row, "reward": rewards.get(row["variant"], "not scored yet")}
            for row in now.variants]  # fmt: skip


def _rewards(store: Store, since: float) -> dict[str, str]:
    """Return the mean reward of each variant that was scored after a moment."""
    rewards: dict[str, str] = {}
    params = parts.aggregate_params(store)
    for part in store.parts("stored_scores"):
        place = store.place("stored_scores", part)
        if not place.stamp or place.stamp[0][1] < since * 1e9:
            continue
        try:
            rewards |= _rewards_in(store, place, part, params)
        except DataError:
            rewards[part.removesuffix(".parquet")] = "its scores cannot be read"
    return rewards


@lru_cache(maxsize=128)
def _rewards_in(store: Store, _: Place, part: str, params: AggregateParams) -> dict[str, str]:
    """Return the mean rewards of the variants of one table of scores, by benchmark."""
    rewards: dict[str, str] = {}
    columns = [*GROUP, "job_id", "task", "status", "reward"]
    table = store.table("stored_scores", columns, part=part)
    for row in row_dicts(metric_table(table, ["reward"], "mean", params)):
        low, high = row["reward_low"], row["reward_high"]
        ends = f" [{low:.2f}, {high:.2f}]" if known(low) and known(high) else ""
        shown = f"{row['benchmark']} {number(row['reward'], '{:.3f}')}{ends}"
        name = full_name(row)
        rewards[name] = f"{rewards[name]}; {shown}" if name in rewards else shown
    return rewards
