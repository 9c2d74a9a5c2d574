"""A speed is the control's time over the variant's own, the figure that its interval is of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.reporting.support import PARAMS, scores

from ttc_bench.pipelines.aggregate.nodes import collect_scores
from ttc_bench.reporting.speeds import COLUMNS, speeds


def timed(policy: str, factor: float, seed: int, jobs: int = 24) -> pd.DataFrame:
    """A variant ``factor`` times as fast as the control beside it, on a machine that drifts."""
    rng = np.random.default_rng(seed)
    pace = np.exp(0.5 * rng.standard_normal(jobs) + np.linspace(0, 1, jobs) * (seed % 3))
    noise = np.exp(0.05 * rng.standard_normal((2, jobs)))
    table = scores(policy, "x", [1.0] * jobs)
    return table.assign(latency_s=pace * noise[0] / factor, control_latency_s=pace * noise[1])


def speeds_by_name(*tables: pd.DataFrame) -> pd.DataFrame:
    table = speeds(collect_scores(scores("baseline", "greedy", [1.0] * 24), *tables), PARAMS)
    return table.set_index(["policy_a", "policy_b"])


def test_the_speed_is_that_beside_the_control_whatever_the_baselines_own_block_read() -> None:
    table = speeds_by_name(timed("fast", 1.5, 1), timed("twin", 1.0, 2), timed("slow", 0.7, 3))
    versus = table.xs("baseline", level="policy_b")
    assert versus["speed"].to_dict() == pytest.approx(
        {"fast": 1.5, "twin": 1, "slow": 0.7}, abs=0.1
    )
    assert versus["verdict"].to_dict() == {
        "fast": "cheaper", "twin": "undecided", "slow": "dearer"
    }  # fmt: skip
    assert (versus["speed_low"] < versus["speed"]).all()
    assert (versus["speed"] < versus["speed_high"]).all()


def test_two_variants_are_compared_by_the_ratio_of_their_ratios() -> None:
    table = speeds_by_name(timed("fast", 1.5, 1), timed("slow", 0.75, 3))
    assert table.loc[("slow", "fast"), "speed"] == pytest.approx(0.5, abs=0.05)
    assert table.loc[("slow", "fast"), "verdict"] == "dearer"


def test_what_was_not_timed_beside_a_control_has_no_speed() -> None:
    untimed = scores("fast", "x", [1.0] * 24)
    replayed = timed("replayed", 2.0, 1).assign(latency_s=np.nan)
    assert speeds_by_name(untimed, replayed).empty
    assert list(speeds(untimed, PARAMS).columns) == list(COLUMNS)


def test_few_pairs_have_a_speed_and_no_interval() -> None:
    row = speeds_by_name(timed("fast", 1.5, 1, jobs=5)).iloc[0]
    assert row["n_pairs"] == 5
    assert row["verdict"] == "undecided"
    assert pd.isna(row["speed_low"])
