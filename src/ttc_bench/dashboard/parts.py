"""What pages share: choosing a part of the questions, showing a figure, downloads."""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import lru_cache
from typing import Any

from ttc_bench.dashboard.columns import ANEW
from ttc_bench.dashboard.store import Place, Store
from ttc_bench.dbt.in_memory import columns_read
from ttc_bench.errors import DataError
from ttc_bench.params import parse_params
from ttc_bench.reporting.budgets import COSTS
from ttc_bench.reporting.drawing.figure import Figure
from ttc_bench.reporting.labels import definition, label, rounding
from ttc_bench.reporting.params import AggregateParams, DecideParams
from ttc_bench.reporting.plots.facets import variants_of
from ttc_bench.reporting.run_changes import CALLED, from_journal
from ttc_bench.reporting.scopes import COLUMNS, Scope, verdicts_on
from ttc_bench.reporting.sheet import counted_as, csv_text
from ttc_bench.types import GROUP, DataFrame

EVERY = "all"

MOST_OPTIONS = 12
"""Options of a choice that are named where another one is asked for."""

UNCHANGED = ".token.unchanged { color: inherit !important; }"

UNGUARDED = (
    "[data-testid=stElementToolbarButton]:has([aria-label='Download as CSV']) { display: none; }"
)
"""Hides Streamlit's own download of a table, whose texts spreadsheets compute; see `downloads`."""

READABLE = {
    "dark": f"{UNCHANGED} .stMultiSelect [data-tag], .stMultiSelect [data-tag] *"
    " { color: #111111; }",
    "light": f"{UNCHANGED} .token.inserted {{ color: #0b6b3a !important; }}"
    " .token.deleted { color: #a3122b !important; }",
}
"""Where Streamlit's own colours have less contrast than WCAG 2.1 asks for (4.5): choices on a dark
page, differences and trees of a search on a light one."""


def plain(text: str) -> str:
    """Return a text for a place that reads Markdown, in which every sign stands for itself."""
    return re.sub(r"([!-/:-@\[-`{-~])", r"\\\1", text)


def aggregate_params(store: Store) -> AggregateParams:
    """Return how sure the project's configuration asks to be."""
    return parse_params(AggregateParams, store.parameters("aggregate"), "aggregate")


def decide_params(store: Store) -> DecideParams:
    """Return the limits that the project's configuration asks for."""
    return parse_params(DecideParams, store.parameters("decide"), "decide")


def choice(label: str, options: Sequence[str], key: str, every: bool = True) -> str | None:
    """Return what is chosen of some options, kept in the address; ``None`` is all of them."""
    import streamlit as st

    names = [EVERY, *options] if every else list(options)
    tell_unknown(label, names, key)
    chosen = st.selectbox(label, names, key=key, bind="query-params")
    return None if every and chosen == EVERY else chosen


def tell_unknown(label: str, options: Sequence[str], key: str) -> None:
    """Tell of a choice in the address that is not among the options; Streamlit would drop it."""
    import streamlit as st

    asked = st.query_params.get(key)
    if asked and asked not in options:
        there = f"; there are {', '.join(options)}" if len(options) <= MOST_OPTIONS else ""
        st.info(plain(f"{label}: the address asks for {asked}, which is not here{there}."))


def scope(store: Store) -> Scope:
    """Return the part of the questions that is chosen at the head of a page."""
    import streamlit as st

    known = questions(store)
    with st.container(horizontal=True):
        models = sorted(set(known["model"]))
        model = choice("Model", models, "model", every=False) if len(models) > 1 else models[0]
        own = known[known["model"] == model]
        benchmark = choice("Benchmark", sorted(set(own["benchmark"])), "benchmark")
        own = own if benchmark is None else own[own["benchmark"] == benchmark]
        task = choice("Task", sorted(set(own["task"])), "task")
        own = own if task is None else own[own["task"] == task]
        levels = sorted(set(own["difficulty"].dropna()))
        level = choice("Difficulty", levels, "difficulty") if levels else None
    return Scope(str(model), benchmark, task, level)


def questions(store: Store) -> DataFrame:
    """Return each model, benchmark, task and difficulty that was measured, once."""
    return _questions(store, store.place("all_scores"))


@lru_cache(maxsize=4)
def _questions(store: Store, _: Place) -> DataFrame:
    named, names = (*GROUP, "task", "job_id"), ["model", "benchmark", "task", "difficulty"]
    keys = store.table("all_scores", (*named, "difficulty"), distinct=True)
    if keys.empty:
        raise DataError("This run scored no response, so there is nothing to show.")
    if lacking := [name for name in named if keys[name].isna().any()]:
        raise DataError(
            f"{store.name_of('all_scores')} has rows without a value in {' and '.join(lacking)}, so"
            f" that nobody knows what they are of. {ANEW}"
        )
    return keys[names].drop_duplicates(ignore_index=True)


def variant_names(store: Store, part: Scope) -> list[str]:
    """Return the variants that answered a part of the questions, the baseline first."""
    names = store.table("all_scores", ("policy", "variant"), asdict(part), distinct=True)
    return [".".join(name) for name in variants_of(names)]


def scores(store: Store, part: Scope) -> DataFrame:
    """Return what a decision rests on, of a part of the questions."""
    import numpy as np

    there = store.columns("all_scores")
    table = store.table("all_scores", [n for n in COLUMNS if n in there], asdict(part))
    numbers = table.select_dtypes("number").astype("float64")
    if endless := [str(name) for name in numbers if np.isinf(numbers[name]).any()]:
        raise DataError(
            f"{store.name_of('all_scores')} holds numbers without end in {' and '.join(endless)}:"
            f" no run writes them. {ANEW}"
        )
    return table


def summed_scores(store: Store, part: Scope | None = None) -> DataFrame:
    """Return what the summary is made of; what an earlier version did not measure is unknown."""
    names, there = columns_read(), set(store.columns("all_scores"))
    where = None if part is None else asdict(part)
    table = store.table("all_scores", [name for name in names if name in there], where)
    return table.reindex(columns=names)


def tell_replayed(store: Store, part: Scope) -> None:
    """Say on how many of these responses no speed rests, where calls of an earlier run are used."""
    import streamlit as st

    answered, replayed = _replayed(store, store.place("all_scores"), part)
    if replayed:
        st.caption(
            f"Of {counted_as(answered, 'response')}, {replayed} took calls from the journal, made"
            " by an earlier run or for another variant, which have no time of their own: times and"
            " speeds are those of the others."
        )


@lru_cache(maxsize=64)
def _replayed(store: Store, _: Place, part: Scope) -> tuple[int, int]:
    # A reward is in all scores, what was called in those of later versions.
    names = ["reward", *(name for name in CALLED if name in store.columns("all_scores"))]
    table = store.table("all_scores", names, asdict(part))
    return len(table), int(from_journal(table).sum())


def verdicts(store: Store, part: Scope, params: AggregateParams) -> DataFrame:
    """Return the verdicts on a part of the questions; kept until the scores are written anew."""
    import pandas as pd

    place = store.place("all_scores")
    tables = [_verdicts(store, place, one, params) for one in by_benchmark(store, part)]
    return pd.concat(tables, ignore_index=True)


def by_benchmark(store: Store, part: Scope) -> list[Scope]:
    """Return a part of the questions by benchmark: what is known of one is known by itself.

    So a click on another benchmark, or on all, computes nothing anew.
    """
    names = sorted(set(part.of(questions(store))["benchmark"]))
    return [replace(part, benchmark=name) for name in names]


@lru_cache(maxsize=64)
def _verdicts(store: Store, _: Place, part: Scope, params: AggregateParams) -> DataFrame:
    return verdicts_on(scores(store, part), params)


def cost(frontier: DataFrame) -> str | None:
    """Return the cost that is chosen of those in the table ``frontier``."""
    there = set(frontier["cost_metric"])
    names = {one.name: key for key, one in COSTS.items() if key in there}
    return names[switch("Cost", list(names), "cost")] if names else None


def switch(label: str, options: Sequence[str], key: str) -> str:
    """Return which of some options is switched on, kept in the address: one always is."""
    import streamlit as st

    tell_unknown(key.capitalize(), options, key)
    chosen = st.segmented_control(
        label,
        options,
        default=options[0],
        required=True,
        key=key,
        bind="query-params",
        label_visibility="collapsed",
    )
    # An address may hold the key and no value, which Streamlit takes for none of them.
    return options[0] if chosen is None else str(chosen)


def is_dark() -> bool:
    """Return whether the page is shown light on dark."""
    import streamlit as st

    return bool(st.context.theme.type == "dark")


def show(figure: Figure, name: str) -> None:
    """Show a figure as wide as the page, and offer it as PNG."""
    import streamlit as st

    from ttc_bench.reporting.drawing import interactive, still

    drawn = interactive.draw(figure, "")
    # Choices have widgets of their own, whose value is in the address.
    drawn.layout.updatemenus = ()
    drawn.update_layout(margin={"t": 80, "l": 10, "r": 10, "b": 10})
    drawn.update_xaxes(automargin=True).update_yaxes(automargin=True)
    shown = interactive.darkened(drawn) if is_dark() else drawn
    st.plotly_chart(shown, theme=None, key=f"figure_{name}", config={"displaylogo": False})
    st.download_button(
        "PNG",
        lambda: _png(still.draw(figure)),
        f"{name}.png",
        "image/png",
        key=f"png_{name}",
        on_click="ignore",
    )


def _png(drawn: Any) -> bytes:
    file = io.BytesIO()
    drawn.savefig(file, format="png", bbox_inches="tight", dpi=150)
    return file.getvalue()


def table(rows: DataFrame | Sequence[Any], **options: Any) -> None:
    """Show a table, its columns called and rounded for people, each with what it means on hover.

    Args:
        rows: The table, or its rows as mappings.
        options: Those of `st.dataframe`.
    """
    import pandas as pd
    import streamlit as st

    shown = rows if isinstance(rows, pd.DataFrame) else pd.DataFrame(list(rows))
    config = {str(name): _column(str(name), shown[name]) for name in shown.columns}
    st.dataframe(shown, hide_index=True, column_config=config, placeholder="-", **options)


def _column(name: str, values: Any) -> Any:
    import pandas as pd
    import streamlit as st

    facts: dict[str, Any] = {"label": label(name), "help": definition(name) or None}
    facts["pinned"] = name in ("policy", "variant") or None
    is_number = pd.api.types.is_numeric_dtype(values) and not pd.api.types.is_bool_dtype(values)
    if not is_number:
        return st.column_config.Column(**facts)
    return st.column_config.NumberColumn(format=rounding(values), **facts)


def downloads(table: DataFrame, name: str) -> None:
    """Offer a table as CSV, of which no spreadsheet computes a text, and as Parquet, as it is."""
    import streamlit as st

    with st.container(horizontal=True):
        st.download_button(
            "CSV",
            lambda: csv_text(table),
            f"{name}.csv",
            "text/csv",
            key=f"csv_{name}",
            on_click="ignore",
            help="An apostrophe stands before texts that a spreadsheet would compute.",
        )
        st.download_button(
            "Parquet",
            lambda: _parquet(table),
            f"{name}.parquet",
            "application/vnd.apache.parquet",
            key=f"parquet_{name}",
            on_click="ignore",
        )


def _parquet(table: DataFrame) -> bytes:
    file = io.BytesIO()
    table.to_parquet(file, index=False)
    return file.getvalue()
