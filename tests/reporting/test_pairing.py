"""Scores side by side are each at the place of their variant and job, however rows are mixed."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.reporting.pairing import Layout, are_identical, same_share

VARIANTS = [("baseline", "greedy"), ("cascade", "greedy"), ("cascade", "confidence")]

Row = tuple[tuple[str, str], str, str, str | None, float | None]
"""Variant, job, status, answer and dollars."""

ROWS = st.lists(
    st.tuples(
        st.sampled_from(VARIANTS),
        st.sampled_from(["a", "b", "c", "d"]),
        st.sampled_from(["ok", "ok", "failed"]),
        st.sampled_from(["yes", "no", None]),
        st.sampled_from([1.0, 2.0, None]),
    ),
    min_size=1,
    unique_by=lambda row: row[:2],
)


def table(rows: Sequence[Row]) -> pd.DataFrame:
    """Scores as Parquet gives them back, where texts are Arrow's."""
    return pd.DataFrame(
        {
            "policy": [row[0][0] for row in rows],
            "variant": [row[0][1] for row in rows],
            "job_id": [row[1] for row in rows],
            "task": ["one of a kind"] * len(rows),
            "status": [row[2] for row in rows],
            "answer": pd.array([row[3] for row in rows], dtype="string[pyarrow]"),
            "reward": [1.0] * len(rows),
            "usd": [row[4] for row in rows],
        }
    ).astype(dict.fromkeys(("policy", "variant", "job_id", "status"), "string[pyarrow]"))


@given(ROWS)
def test_each_value_stands_at_its_variant_and_job(rows: list[Row]) -> None:
    layout = Layout(table(rows), 20)
    assert layout.names == list(dict.fromkeys(row[0] for row in rows))
    assert layout.jobs == list(dict.fromkeys(row[1] for row in rows))
    by_place = {row[:2]: row for row in rows}
    rewards, answered, failed = layout.values("reward"), layout.answered(), layout.failed()
    for name in layout.names:
        own = [by_place.get((name, job)) for job in layout.jobs]
        ok = [row is not None and row[2] == "ok" for row in own]
        assert answered[name].tolist() == ok
        there = [row is not None for row in own]
        assert (~np.isnan(rewards[name])).tolist() == there
        # What failed is worth nothing, whatever its row says.
        assert rewards[name][there].tolist() == np.array(ok)[there].astype(float).tolist()
        assert failed[name][there].tolist() == (~np.array(ok)[there]).astype(float).tolist()


@given(ROWS)
def test_a_bill_with_a_gap_is_unknown_as_a_whole(rows: list[Row]) -> None:
    layout = Layout(table(rows), 20)
    for name, spent in layout.values("usd").items():
        own = {row[1]: row[4] for row in rows if row[0] == name and row[2] == "ok"}
        known = {job: usd for job, usd in own.items() if None not in own.values()}
        told = dict(zip(layout.jobs, spent.tolist(), strict=True))
        assert {job: usd for job, usd in told.items() if not np.isnan(usd)} == known


@given(ROWS)
def test_answers_are_the_same_where_all_letters_are(rows: list[Row]) -> None:
    answers = Layout(table(rows), 20).answers()
    by_name = {
        name: {row[1]: row[3] for row in rows if row[0] == name} for name in {r[0] for r in rows}
    }
    for first in VARIANTS:
        for second in VARIANTS:
            own, base = by_name.get(first, {}), by_name.get(second, {})
            same = [answer is not None and base.get(job) == answer for job, answer in own.items()]
            assert are_identical(answers, first, second) == (bool(same) and all(same))
            both = [job for job in own.keys() & base.keys() if own[job] and base[job]]
            share = np.mean([own[job] == base[job] for job in both]) if both else None
            assert same_share(answers, first, second) == share


def test_scores_without_answers_show_nothing_identical() -> None:
    scores = table([(name, "a", "ok", "yes", 1.0) for name in VARIANTS]).drop(columns="answer")
    answers = Layout(scores, 20).answers()
    assert not are_identical(answers, *VARIANTS[:2])
    assert same_share(answers, *VARIANTS[:2]) is None
