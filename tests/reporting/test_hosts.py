"""Times of several machines are never pooled, whatever is told of them."""

from __future__ import annotations

import json

import numpy as np
import pandas as pd
import pytest
from tests.reporting.support import PARAMS, scores

from ttc_bench.metrics.base import all_metrics
from ttc_bench.pipelines.aggregate.nodes import collect_scores, name_run
from ttc_bench.reporting.speeds import speeds, speeds_of

JOBS = 12
FEW = 4
"""Jobs of the slow machine."""


def on_two_machines(policy: str, variant: str, ratio: float) -> pd.DataFrame:
    """Scores of which the last few were made on a machine that takes a hundred times as long."""
    slow = np.arange(JOBS) >= JOBS - FEW
    control = np.where(slow, 100.0, 1.0)
    table = scores(policy, variant, [1.0] * JOBS).assign(
        host=np.where(slow, "slow", "fast"),
        device="cpu",
        latency_s=control / ratio,
        ttft_s=control / ratio,
        output_tokens_per_s=ratio / control,
        null_reasons=json.dumps({"not reported": ["usd"]}),
    )
    if policy != "baseline":
        table = table.assign(control_latency_s=control, speed=ratio)
    return table


@pytest.fixture
def named(caplog: pytest.LogCaptureFixture) -> pd.DataFrame:
    both = (on_two_machines("baseline", "greedy", 1.0), on_two_machines("kv_cache", "static", 2.0))
    table = name_run(collect_scores(*both), "run", {}, PARAMS)
    assert "2 machines" in caplog.text
    assert f"{2 * (JOBS - FEW)} of {2 * JOBS}" in caplog.text
    return table


def test_times_are_those_of_the_machine_that_measured_most(named: pd.DataFrame) -> None:
    slow = named["host"] == "slow"
    timed = [spec.name for spec in all_metrics() if spec.unit in ("s", "tokens/s")]
    assert named.loc[slow, timed].isna().all(axis=None)
    assert named.loc[~slow, ["latency_s", "ttft_s", "output_tokens_per_s"]].notna().all(axis=None)
    assert named["latency_s"].max() == 1.0
    assert named["reward"].eq(1.0).all(), "what is no time stays"
    for reasons, is_slow in zip(named["null_reasons"], slow, strict=True):
        why = {name: reason for reason, names in json.loads(reasons).items() for name in names}
        assert why["usd"] == "not reported"
        assert ("latency_s" in why) == is_slow


def test_a_speed_is_of_one_machine_wherever_it_was_measured(named: pd.DataFrame) -> None:
    row = speeds_of(speeds(named, PARAMS))["target", "crm_sim", "kv_cache", "static"]
    assert (row["n_pairs"], row["speed"]) == (JOBS, pytest.approx(2.0))


def test_times_of_two_devices_of_a_machine_are_not_pooled() -> None:
    table = on_two_machines("kv_cache", "static", 2.0)
    named = name_run(table.assign(host="one", device=table["host"]), "run", {}, PARAMS)
    assert (named["latency_s"].notna() == (table["host"] == "fast")).all()


def test_times_of_one_machine_stay_as_they_are(caplog: pytest.LogCaptureFixture) -> None:
    table = on_two_machines("kv_cache", "static", 2.0).assign(host="one")
    named = name_run(table, "run", {}, PARAMS)
    pd.testing.assert_frame_equal(named[list(table)], table)
    assert not caplog.records
