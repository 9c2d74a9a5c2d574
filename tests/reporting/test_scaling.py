"""Scaling curves come from the samples that were drawn, and meet the policies' own results."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.scaling import COLUMNS, scaling

PARAMS: dict[str, Any] = {}
WARM = {"temperature": 0.8, "top_p": 1.0}


def note(
    rewards: list[float],
    answers: list[int | None] | None = None,
    pool: dict[str, float] | None = None,
    **scores: list[float | None],
) -> str:
    return json.dumps(
        {
            "pool": pool or WARM,
            "rewards": rewards,
            "answers": answers or [0 if reward else 1 for reward in rewards],
            "scores": scores,
            "success": 1.0,
        }
    )


def table(name: str, notes: list[str | None], **identity: Any) -> pd.DataFrame:
    policy, variant = name.split(".")
    base = {
        "job_id": [f"crm_sim/{number}" for number in range(len(notes))],
        "task": "handle_time",
        "benchmark": "crm_sim",
        "model": "target",
        "policy": policy,
        "variant": variant,
        "status": ["failed" if text is None else "ok" for text in notes],
        "samples": notes,
    }
    return pd.DataFrame({**base, **identity})


def curves(*tables: pd.DataFrame, **params: Any) -> dict[str, pd.DataFrame]:
    found = scaling(pd.concat(tables, ignore_index=True), AggregateParams(**{**PARAMS, **params}))
    return {str(name): part.set_index("k") for name, part in found.groupby("curve")}


def test_the_curves_of_a_pool() -> None:
    first = note([1.0, 0.0, 0.0, 1.0], [0, 1, 1, 0], likelihood=[-2.0, -1.0, -3.0, -4.0])
    second = note([0.0, 0.0, 0.0, 1.0], [0, 0, None, 1], likelihood=[-9.0, -9.0, None, -1.0])
    found = curves(table("best_of_n.likelihood", [first, second]))
    assert set(found) == {"pass@k", "majority@k", "best_of@k:likelihood"}
    for part in found.values():
        assert list(part.index) == [1, 2, 3, 4]
        assert part.loc[1, "value"] == pytest.approx(3 / 8), "one sample is the mean"
        assert (part["n_jobs"] == 2).all()
        assert (part["n_samples"] == 4).all()
        assert (part["simulation_error"] == 0).all()
        assert (part["low"] <= part["value"]).all()
        assert (part["value"] <= part["high"]).all()
    assert found["pass@k"].loc[2, "value"] == pytest.approx((5 / 6 + 1 / 2) / 2)
    assert found["pass@k"].loc[4, "value"] == 1.0
    assert found["majority@k"].loc[4, "value"] == 0.5, "the tie goes to the first, which is right"
    assert found["best_of@k:likelihood"].loc[4, "value"] == 0.5


def test_policies_of_one_pool_share_its_largest_set() -> None:
    few = [note([1.0, 0.0], verifier=[0.1, 0.9])] * 3
    many = [note([1.0, 0.0, 1.0, 0.0], likelihood=[1.0, 2.0, 3.0, 4.0])] * 3
    found = curves(table("best_of_n.verifier", few), table("best_of_n.likelihood", many))
    assert found["pass@k"].index.max() == found["best_of@k:likelihood"].index.max() == 4
    assert found["best_of@k:verifier"].index.max() == 2
    assert (found["best_of@k:verifier"]["n_samples"] == 2).all()


def test_other_settings_are_another_pool() -> None:
    cold = [note([1.0, 1.0], pool={"temperature": 0.2, "top_p": 1.0})] * 2
    warm = [note([0.0, 1.0])] * 2
    found = scaling(
        pd.concat([table("a.x", cold), table("a.y", warm)], ignore_index=True),
        AggregateParams(**PARAMS),
    )
    one = found[(found["curve"] == "pass@k") & (found["k"] == 1)].set_index("pool")["value"]
    assert dict(one) == {"temperature=0.2, top_p=1": 1.0, "temperature=0.8, top_p=1": 0.5}


def test_rewards_between_0_and_1_have_an_oracle_too() -> None:
    found = curves(table("a.x", [note([0.25, 0.75, 0.5], [0, 1, 2])] * 2))
    assert found["oracle@k"]["value"].tolist() == pytest.approx([0.5, 2 / 3, 0.75])
    assert found["pass@k"]["value"].tolist() == [0.0, 0.0, 0.0], "none reaches full reward"


def test_failed_jobs_and_policies_without_a_pool_give_nothing() -> None:
    whole = note([1.0, 0.0])
    found = curves(table("a.x", [whole, None, whole]))
    assert (found["pass@k"]["n_jobs"] == 2).all()
    for rest in (
        table("a.x", [None, None]),
        table("baseline.greedy", [None], status="ok"),
        table("a.x", [whole]).drop(columns="samples"),
    ):
        empty = scaling(rest, AggregateParams(**PARAMS))
        assert empty.empty
        assert list(empty.columns) == list(COLUMNS)


def test_one_job_has_values_and_no_band() -> None:
    found = curves(table("a.x", [note([1.0, 0.0])]))["pass@k"]
    assert found["value"].tolist() == [0.5, 1.0]
    assert found[["low", "high"]].isna().all().all()


def test_two_models_have_their_own_curves() -> None:
    right, wrong = [note([1.0, 1.0])] * 2, [note([0.0, 0.0])] * 2
    tables = [table("a.x", right, model="one"), table("a.x", wrong, model="two")]
    found = scaling(pd.concat(tables, ignore_index=True), AggregateParams(**PARAMS))
    assert dict(found.groupby("model")["value"].mean()) == {"one": 1.0, "two": 0.0}


def test_bands_take_task_types_as_clusters_where_there_are_enough() -> None:
    rng = np.random.default_rng(0)
    rewards = np.repeat((rng.random((30, 1)) < 0.5).astype(float), 10, axis=0)
    whole = table("a.x", [note(row.tolist() * 2) for row in rewards])
    whole["task"] = np.repeat([f"task {n}" for n in range(30)], 10)
    by_task = curves(whole)["pass@k"].loc[1]
    by_job = curves(whole, min_clusters=31)["pass@k"].loc[1]
    assert by_task["high"] - by_task["low"] > 2 * (by_job["high"] - by_job["low"])


def test_a_large_pool_states_the_error_of_drawing_subsets() -> None:
    rng = np.random.default_rng(1)
    notes = [note(r.tolist(), rng.integers(0, 3, 40).tolist()) for r in rng.random((4, 40)).round()]
    error = curves(table("a.x", notes))["majority@k"]["simulation_error"]
    assert error.iloc[0] == error.iloc[-1] == 0.0
    assert 0.0 < error.iloc[5] < 0.05
