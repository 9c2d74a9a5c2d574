"""A speed is the control's time over the variant's own, the figure that its interval is of."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.reporting.support import PARAMS, scores

from ttc_bench.pipelines.aggregate.nodes import collect_scores
from ttc_bench.reporting.comparisons import SIDES
from ttc_bench.reporting.speeds import COLUMNS, baseline_speeds, speeds


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


def test_a_verdict_rests_on_the_row_that_is_told_of_a_variant_beside_the_baseline() -> None:
    """So, too, where the baseline is itself timed beside another control, as no run times it."""
    base = scores("baseline", "greedy", [1.0] * 24)
    timed_base = base.assign(latency_s=1.0, control_latency_s=np.linspace(1.0, 1.1, 24))
    for own in (base, timed_base):
        run = collect_scores(own, timed("alpha", 1.5, 1), timed("zeta", 2.0, 2))
        whole = speeds(run, PARAMS)
        assert not whole.duplicated(list(SIDES)).any()
        beside = whole[whole["policy_b"] == "baseline"].reset_index(drop=True)
        pd.testing.assert_frame_equal(baseline_speeds(run, PARAMS), beside, check_exact=True)


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


def test_first_tokens_have_a_ratio_to_the_controls_and_a_word_of_their_own() -> None:
    """A vote is shown when it is whole: as fast a variant whose first token comes late."""
    late = timed("late", 1.0, 1)
    late = late.assign(ttft_s=late["latency_s"], control_ttft_s=late["control_latency_s"] / 4)
    twin = timed("twin", 1.0, 2)
    twin = twin.assign(ttft_s=twin["latency_s"] / 4, control_ttft_s=twin["control_latency_s"] / 4)
    table = speeds_by_name(late, twin, timed("untold", 1.0, 3))
    versus = table.xs("baseline", level="policy_b")
    assert versus["ttft_ratio"].dropna().to_dict() == pytest.approx({"late": 4, "twin": 1}, abs=0.2)
    assert versus["ttft_verdict"].fillna("").to_dict() == {
        "late": "dearer", "twin": "undecided", "untold": ""
    }  # fmt: skip
    assert table.loc[("twin", "late"), "ttft_ratio"] == pytest.approx(0.25, abs=0.02)
    assert table.loc[("twin", "late"), "ttft_verdict"] == "cheaper"
    assert versus["verdict"].eq("undecided").all(), "no answer is whole sooner or later"


def test_a_ratio_of_another_machine_counts_as_one_of_two_times() -> None:
    """Where times are null and their ratios are not, both say the same as the times would."""
    here = timed("x", 1.5, 1)
    here = here.assign(ttft_s=here["latency_s"], control_ttft_s=here["control_latency_s"])
    ratios = here["latency_s"] / here["control_latency_s"]
    elsewhere = here.assign(
        **dict.fromkeys(("latency_s", "control_latency_s", "ttft_s", "control_ttft_s"), np.nan),
        speed=1 / ratios,
        ttft_ratio=ratios,
    )
    near, far = speeds_by_name(here), speeds_by_name(elsewhere)
    pd.testing.assert_frame_equal(near, far)


def test_a_time_that_no_clock_can_tell_has_no_ratio() -> None:
    table = timed("fast", 1.5, 1)
    table.loc[3, "latency_s"] = 0.0
    assert speeds_by_name(table).iloc[0]["n_pairs"] == 23
