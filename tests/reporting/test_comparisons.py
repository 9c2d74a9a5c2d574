"""The table of comparisons: every pair once, the baseline first, and an answer in odd cases."""

from __future__ import annotations

from typing import Any, get_args

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from ttc_bench.pipelines.aggregate.nodes import collect_scores, confidence
from ttc_bench.reporting.comparisons import COLUMNS, INTERVAL_METRICS, comparisons
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.statistics.decision import Word

PARAMS = AggregateParams()
BASELINE = "baseline.greedy"


def scores(
    name: str, rewards: list[float | None], tasks: int = 4, model: str = "target", **costs: float
) -> pd.DataFrame:
    """Scores of one variant; a reward of ``None`` is a failed row."""
    policy, variant = name.split(".")
    failed = np.array([reward is None for reward in rewards])
    values = {"latency_s": 1.0, "flops": 2e9, "total_tokens": 100.0, **costs}
    return pd.DataFrame(
        {
            "job_id": [f"crm_sim/{number}" for number in range(len(rewards))],
            "task": [f"task {number % tasks}" for number in range(len(rewards))],
            "benchmark": "crm_sim",
            "model": model,
            "policy": policy,
            "variant": variant,
            "status": np.where(failed, "failed", "ok"),
            "reward": pd.array(rewards, dtype="Float64"),
            **{metric: np.where(failed, np.nan, value) for metric, value in values.items()},
        }
    )


def compared(*tables: pd.DataFrame, **params: Any) -> pd.DataFrame:
    return comparisons(collect_scores(*tables), AggregateParams(**params))


def names(table: pd.DataFrame) -> list[tuple[str, str]]:
    a = table["policy_a"] + "." + table["variant_a"]
    b = table["policy_b"] + "." + table["variant_b"]
    return list(zip(a, b, strict=True))


def reward(table: pd.DataFrame) -> pd.Series:
    """The one comparison of rewards."""
    rows = table[table["metric"] == "reward"]
    assert len(rows) == 1
    return rows.iloc[0]


def test_every_pair_once_and_the_baseline_first() -> None:
    table = compared(*(scores(n, [1.0, 0.0]) for n in ("z.x", BASELINE, "a.y", "m.x")))
    for _, part in table.groupby("metric"):
        assert names(part) == [
            ("a.y", BASELINE),
            ("m.x", BASELINE),
            ("z.x", BASELINE),
            ("m.x", "a.y"),
            ("z.x", "a.y"),
            ("z.x", "m.x"),
        ]


def test_better_rewards_and_higher_costs() -> None:
    better = scores("a.x", [1.0] * 20, flops=4e9)
    table = compared(scores(BASELINE, [1.0] * 8 + [0.0] * 12), better).set_index("metric")
    assert table.loc["reward", "difference"] == pytest.approx(0.6)
    assert dict(table["verdict"]) == {
        "reward": "better",
        "flops": "dearer",
        "total_tokens": "undecided",
    }
    assert table.loc["reward", "test"] == "padded_t"
    padded = np.array([1.0] * 12 + [0.0] * 8 + [-1.0, 1.0])
    assert table.loc["reward", "p_value"] == pytest.approx(stats.ttest_1samp(padded, 0).pvalue)
    assert table.loc["total_tokens", "n_needed"] == 59, "equal so far, on 20 pairs"


def test_the_baseline_is_one_family_and_all_other_pairs_a_second() -> None:
    rng = np.random.default_rng(0)
    names_ = (BASELINE, "a.x", "b.x", "c.x", "d.x")
    tables = [
        scores(name, (rng.random(30) < 0.3 + 0.1 * n).astype(float), latency_s=1.0 + n)
        for n, name in enumerate(names_)
    ]
    for _, part in compared(*tables).groupby("metric"):
        baseline = part["policy_b"] == "baseline"
        for rows, family in ((part[baseline], 4), (part[~baseline], 6)):
            assert len(rows) == family
            raw = rows["p_value"].to_numpy(dtype=float)
            adjusted = rows["p_adjusted"].to_numpy(dtype=float)
            np.testing.assert_allclose(adjusted, np.minimum(1.0, family * raw))


def test_a_printed_interval_grows_with_the_number_of_variants_and_a_mean_does_not() -> None:
    rng = np.random.default_rng(3)
    tables = [scores(n, rng.random(40)) for n in (BASELINE, *(f"p{k}.x" for k in range(22)))]
    few, many = (
        confidence(collect_scores(*part), PARAMS)
        .set_index(["policy", "metric"])
        .loc[("p0", "reward")]
        for part in (tables[:2], tables)
    )
    alone = stats.t.isf(0.025, 39)
    together = stats.t.isf(0.025 / 22, 39)
    widths = [row["difference_high"] - row["difference_low"] for row in (few, many)]
    assert widths[1] / widths[0] == pytest.approx(together / alone, rel=0.05)
    assert tuple(few[["mean_low", "mean_high"]]) == tuple(many[["mean_low", "mean_high"]])


def test_differences_to_the_baseline_are_those_of_the_printed_table() -> None:
    rng = np.random.default_rng(1)
    tables = [scores(n, rng.random(50).round(2).tolist(), tasks=30) for n in (BASELINE, "a.x")]
    for least in (20, 40):
        params = AggregateParams(min_clusters=least)
        row = reward(compared(*tables, min_clusters=least))
        printed = confidence(collect_scores(*tables), params).set_index(["policy", "metric"])
        for name in ("difference", "difference_low", "difference_high", "n_pairs"):
            assert row[name] == pytest.approx(printed.loc[("a", "reward"), name])


def test_many_task_types_are_clusters_and_few_are_not() -> None:
    """Jobs of a type that rise and fall together: as clusters they say less."""
    rng = np.random.default_rng(2)
    gains = np.tile(rng.normal(0.1, 0.5, 25), 8).tolist()
    tables = [scores(BASELINE, [0.0] * 200, tasks=25), scores("a.x", gains, tasks=25)]
    by_task, by_job = reward(compared(*tables)), reward(compared(*tables, min_clusters=26))
    assert (by_task["cluster"], by_task["n_clusters"]) == ("task", 25)
    assert (by_job["cluster"], by_job["n_clusters"]) == ("job", 200)
    assert by_task["p_value"] > by_job["p_value"]
    widths = [row["difference_high"] - row["difference_low"] for row in (by_task, by_job)]
    assert widths[0] > 2 * widths[1]


def test_without_a_baseline_the_others_are_still_compared() -> None:
    table = compared(scores("a.x", [1.0, 0.0]), scores("b.x", [0.0, 0.0]))
    assert set(names(table)) == {("b.x", "a.x")}


def test_one_variant_gives_an_empty_table_with_all_columns() -> None:
    table = compared(scores(BASELINE, [1.0]))
    assert table.empty
    assert list(table.columns) == list(COLUMNS)


def test_one_sample_decides_nothing() -> None:
    row = reward(compared(scores(BASELINE, [0.0]), scores("a.x", [1.0])))
    assert (row["n_pairs"], row["difference"], row["verdict"]) == (1, 1.0, "undecided")
    assert row[["difference_low", "difference_high", "n_needed", "effect_size"]].isna()[:3].all()


def test_a_failed_job_has_the_reward_0_and_no_known_cost() -> None:
    """A variant that answers the easy job alone is not better for it."""
    table = compared(scores(BASELINE, [1.0, 0.0]), scores("a.x", [None, None])).set_index("metric")
    assert table.loc["reward", "n_pairs"] == 2
    assert table.loc["reward", "difference"] == -0.5
    assert (table["verdict"] == "undecided").all()
    costs = table.drop(index="reward")
    assert (costs["n_pairs"] == 0).all()
    assert costs[["difference", "p_value", "p_adjusted", "test", "n_needed"]].isna().all().all()


def test_failing_instead_of_answering_wrongly_changes_no_reward() -> None:
    base = scores(BASELINE, [1.0] * 21 + [0.0] * 3)
    right = [1.0] * 21
    wrong, failing = (scores("a.x", [*right, *rest]) for rest in ([0.0] * 3, [None] * 3))
    rows = [reward(compared(base, table)) for table in (wrong, failing)]
    pd.testing.assert_series_equal(*rows, check_names=False)
    means = [confidence(collect_scores(base, table), PARAMS) for table in (wrong, failing)]
    own = [part[part["metric"].eq("reward") & part["policy"].eq("a")] for part in means]
    assert own[0].iloc[0].equals(own[1].iloc[0])
    assert own[0]["mean"].iloc[0] == 21 / 24


def test_a_cost_of_failed_rows_is_no_test_of_the_family() -> None:
    """Comparisons that could not be made do not make the others harder."""
    good = [scores(BASELINE, [0.0] * 9), scores("a.x", [1.0] * 9, flops=3e9)]
    failed = scores("b.x", [None] * 9)
    alone, among = (
        table[table["metric"].eq("flops") & table["n_pairs"].gt(0)].iloc[0]
        for table in (compared(*good), compared(*good, failed))
    )
    assert alone["p_adjusted"] == among["p_adjusted"] == 2.0**-8


def test_two_models_are_not_mixed() -> None:
    sides = [
        scores(name, rewards, model=model)
        for model, rewards in (("one", [1.0, 1.0]), ("two", [0.0, 0.0]))
        for name in (BASELINE, "a.x")
    ]
    table = compared(*sides)
    assert (table.groupby("model").size() == len(INTERVAL_METRICS)).all()
    assert (table["difference"] == 0).all()


@settings(deadline=None, max_examples=25)
@given(
    st.lists(
        st.lists(st.sampled_from([0.0, 0.5, 1.0, None]), min_size=5, max_size=5),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_any_table_gets_an_answer_without_contradiction(
    rewards: list[list[float | None]], with_baseline: bool
) -> None:
    labels = [BASELINE if with_baseline and n == 0 else f"p{n}.x" for n in range(len(rewards))]
    table = compared(*(scores(n, r) for n, r in zip(labels, rewards, strict=True)))
    assert len(table) == len(INTERVAL_METRICS) * len(rewards) * (len(rewards) - 1) // 2
    costs = table["metric"] != "reward"
    assert table.loc[~costs, "verdict"].isin([*get_args(Word)]).all()
    assert table.loc[costs, "verdict"].isin(["cheaper", "dearer", "as good", "undecided"]).all()
    assert (table["p_adjusted"].dropna() >= table["p_value"].dropna()).all()
    decided = table[table["verdict"] != "undecided"]
    assert decided["n_needed"].isna().all()
    open_ = table[table["n_needed"].notna()]
    assert (open_["n_needed"] > open_["n_pairs"]).all()
    known = table.dropna(subset=["difference_low"])
    better, worse = (
        table["verdict"].isin(words) for words in (["better", "cheaper"], ["worse", "dearer"])
    )
    above, below = table["difference_low"] > 0, table["difference_high"] < 0
    assert (better == above.where(~costs, below).fillna(value=False)).all()
    assert (worse == below.where(~costs, above).fillna(value=False)).all()
    assert (known["difference_low"] <= known["difference"] + 1e-12).all()
    assert (known["difference"] <= known["difference_high"] + 1e-12).all()
