"""From real samples: at k = n a curve is what the policy itself reached."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from ttc_bench.metrics.base import ScoreParams
from ttc_bench.pipelines.aggregate.nodes import collect_scores
from ttc_bench.pipelines.generate.nodes import respond
from ttc_bench.pipelines.score.nodes import score_responses
from ttc_bench.policies import VARIANTS
from ttc_bench.policies.responses import to_frame
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.scaling import scaling
from ttc_bench.types import Job

N = 6
CURVES = {
    "self_consistency.majority": "majority@k",
    "best_of_n.likelihood": "best_of@k:likelihood",
    "best_of_n.verifier": "best_of@k:verifier",
}
QUICK = ScoreParams(families={"semantic": False, "bert_score": False})


@pytest.fixture(scope="module")
def scores(answer: Any, jobs: list[Job]) -> pd.DataFrame:
    """All scores of the policies that draw samples."""
    tables = []
    for name in (*CURVES, "self_consistency.adaptive"):
        variant = VARIANTS[name](n=N)
        rows = []
        for job in jobs[::2]:
            outcome, session = answer(name, job, n=N)
            rows.append(respond(variant.name, variant, session, outcome))
        tables.append(score_responses(to_frame(rows), jobs[::2], QUICK))
    return collect_scores(*tables)


@pytest.mark.parametrize("name", CURVES)
def test_all_samples_give_the_policys_own_result(scores: pd.DataFrame, name: str) -> None:
    found = scaling(scores, AggregateParams())
    policy, variant = name.split(".")
    own = scores[(scores["policy"] == policy) & (scores["variant"] == variant)]
    for benchmark, rows in own.groupby("benchmark"):
        at = found[(found["benchmark"] == benchmark) & (found["curve"] == CURVES[name])]
        whole = at[at["k"] == N].iloc[0]
        assert whole["value"] == pytest.approx(rows["reward"].mean())
        assert whole["n_jobs"] == len(rows)
        one = at[at["k"] == 1].iloc[0]
        assert one["value"] == pytest.approx(rows["mean_sample_reward"].mean())


def test_pass_at_k_is_the_metric_of_the_score_stage(scores: pd.DataFrame) -> None:
    found = scaling(scores, AggregateParams()).set_index(["curve", "benchmark", "k"])
    own = scores[scores["variant"] == "majority"]
    for benchmark, rows in own.groupby("benchmark"):
        for k in (1, 2, 4):
            value = found.loc[("pass@k", benchmark, k), "value"]
            assert value == pytest.approx(rows[f"pass_at_{k}"].mean())


def test_only_policies_that_draw_independently_note_a_pool(scores: pd.DataFrame) -> None:
    """Adaptive sampling stops when it likes what it has: its samples are no fair set."""
    pools = scores[scores["samples"].notna()].groupby(["policy", "variant"]).size()
    assert set(pools.index.map(".".join)) == set(CURVES)
    drawn = [json.loads(text) for text in scores["samples"].dropna()]
    assert all(len(note["rewards"]) == len(note["answers"]) == N for note in drawn)
    assert all(len(own) == N for note in drawn for own in note["scores"].values())
    assert np.isfinite([reward for note in drawn for reward in note["rewards"]]).all()
