"""Sums by cluster are those of a loop, whatever is missing."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.statistics.clusters import by_cluster, cluster_codes, clusters_of

CELL = st.one_of(st.just(math.nan), st.integers(-4, 4).map(float))


@given(
    st.lists(st.tuples(st.sampled_from("abcde"), CELL, CELL), min_size=1, max_size=20),
)
def test_sums_and_sizes_are_those_of_a_loop(rows: list[tuple[str, float, float]]) -> None:
    codes = cluster_codes([name for name, *_ in rows])
    data = by_cluster(np.array([cells for _, *cells in rows]), codes)
    for column in range(2):
        for place, name in enumerate(dict.fromkeys(name for name, *_ in rows)):
            own = [cells[column] for other, *cells in rows if other == name]
            known = [value for value in own if not math.isnan(value)]
            assert data.sums[place, column] == sum(known)
            assert data.sizes[place, column] == len(known)


def test_few_task_types_are_no_clusters() -> None:
    assert clusters_of(["a", "b", "a"], 3) == ("job", None)
    word, codes = clusters_of(["a", "b", "a"], 2)
    assert word == "task"
    assert codes is not None
    assert codes.tolist() == [0, 1, 0]
