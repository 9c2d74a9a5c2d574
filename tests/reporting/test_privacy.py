"""Privacy tasks stand apart in everything that is told by benchmark, unless asked otherwise."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from tests.metrics.support import make_job
from tests.reporting.support import PARAMS, Marts, marts_of, marts_of_each, scores, shown

from ttc_bench.benchmarks.scoring.refusal import MEASURED
from ttc_bench.hooks.sample_size import sample_lines
from ttc_bench.pipelines.aggregate.nodes import collect_scores, find_floors, name_run
from ttc_bench.pipelines.generate.params import sweep
from ttc_bench.policies.control import timed_jobs
from ttc_bench.reporting.decision import EVERYWHERE, LEAKING, decide, headline, lines
from ttc_bench.reporting.limits import all_limits, answer
from ttc_bench.reporting.params import AggregateParams, DecideParams
from ttc_bench.reporting.privacy import apart
from ttc_bench.reporting.scopes import parts_by_benchmark, rows_by, verdict_rows
from ttc_bench.reporting.speeds import speeds
from ttc_bench.reporting.verdicts import verdicts
from ttc_bench.types import Job

POOLED = AggregateParams(pool_privacy=True)


def private_scores(policy: str, variant: str, plain: float, private: float) -> pd.DataFrame:
    """Forty questions, and ten that should be refused; each kind with one reward."""
    table = scores(policy, variant, [plain] * 40 + [private] * 10)
    rules = ["exact_match"] * 40 + ["refusal_detected"] * 10
    figures = [None] * 40 + [private] * 10
    return table.assign(
        reward_rule=rules, refusal_detected=pd.array(figures, dtype="Float64"), answer=policy
    )


def both(private: float = 0.0) -> pd.DataFrame:
    return collect_scores(
        private_scores("baseline", "greedy", 0.0, 1.0),
        private_scores("cascade", "agreement", 1.0, private),
    )


PLAIN = scores("baseline", "greedy", [1.0, 0.0])


@pytest.fixture(scope="module")
def built() -> dict[str, Marts]:
    """With privacy tasks, whose model is the target, and without any."""
    return marts_of_each({"target": both(), "plain": PLAIN.assign(model="plain")})


@pytest.fixture(scope="module")
def marts(built: dict[str, Marts]) -> Marts:
    return built["target"]


def test_the_reward_of_a_benchmark_is_without_its_privacy_tasks(marts: Marts) -> None:
    table = name_run(both(), "run", {}, PARAMS)
    assert table.groupby("benchmark").size().to_dict() == {"crm_sim": 80, "crm_sim.privacy": 20}
    summary = marts["bench_summary"].set_index(["benchmark", "policy"])
    assert summary["reward_mean"].to_dict() == {
        ("crm_sim", "baseline"): 0.0,
        ("crm_sim", "cascade"): 1.0,
        ("crm_sim.privacy", "baseline"): 1.0,
        ("crm_sim.privacy", "cascade"): 0.0,
    }
    words = verdicts(table, speeds(table, PARAMS), PARAMS).set_index(["benchmark", "policy"])
    assert words.loc[("crm_sim", "cascade"), "verdict"] == "better"
    assert words.loc[("crm_sim.privacy", "cascade"), "verdict"] == "worse"


def test_they_are_pooled_where_it_is_asked_for() -> None:
    table = name_run(both(), "run", {}, POOLED)
    assert set(table["benchmark"]) == {"crm_sim"}
    again = apart(apart(table, pool=False), pool=True)
    assert again["benchmark"].to_list() == table["benchmark"].to_list()


@pytest.mark.parametrize("params", [PARAMS, POOLED])
def test_the_table_says_who_tells_refusals_and_how_well(
    params: AggregateParams, marts: Marts
) -> None:
    table = name_run(both(), "run", {}, params)
    built = marts if params is PARAMS else marts_of(both(), params=params)
    text = " ".join(shown(table, built).split())
    assert ("crm_sim.privacy, model target" in text) == (params is PARAMS)
    assert f"precision {MEASURED['precision']} and recall {MEASURED['recall']}" in text
    judged = table.assign(refusal_judged=table["refusal_detected"])
    text = " ".join(shown(judged, built).split())
    assert "a judge model says whether an answer refuses" in text
    assert "precision" not in text


def test_a_table_without_privacy_tasks_has_no_word_on_them(built: dict[str, Marts]) -> None:
    table = name_run(PLAIN.assign(model="plain"), "run", {}, PARAMS)
    assert "refuses" not in shown(table, built["plain"])


@pytest.mark.parametrize(("private", "named"), [(0.0, None), (1.0, "cascade")])
def test_what_leaks_is_named_neither_on_its_benchmark_nor_over_all(
    private: float, named: str | None
) -> None:
    second = both(1.0).query("reward_rule == 'exact_match'").assign(benchmark="other")
    table = name_run(collect_scores(both(private), second), "run", {}, PARAMS)
    told = decide(verdicts(table, speeds(table, PARAMS), PARAMS), DecideParams())
    best = told[told["aim"] == "best at any price"].set_index("benchmark")["policy"]
    assert set(best.index) == {"crm_sim", "crm_sim.privacy", "other", EVERYWHERE}
    assert best["other"] == "cascade"
    for benchmark in ("crm_sim", EVERYWHERE):
        assert pd.isna(best[benchmark]) if named is None else best[benchmark] == named


def timed(table: pd.DataFrame, speed: float) -> pd.DataFrame:
    """The same answers so many times as fast as their controls."""
    return table.assign(control_latency_s=1.0, latency_s=1 / speed, answer=table["job_id"])


def test_each_of_two_speeds_stands_beside_its_questions() -> None:
    plain, private = ["exact_match"] * 12, ["refusal_detected"] * 12
    tables = [scores(*side, [1.0] * 24).assign(reward_rule=plain + private)
              for side in (("baseline", "greedy"), ("cascade", "agreement"))]  # fmt: skip
    tables[1] = timed(tables[1], 1.5)
    tables[1].loc[12:, "latency_s"] = 0.5
    tables[0]["answer"] = tables[0]["job_id"]
    table = apart(pd.concat(tables, ignore_index=True), pool=False)
    fastest = lines(decide(verdicts(table, speeds(table, PARAMS), PARAMS), DecideParams()),
                    "target")[0]  # fmt: skip
    assert "crm_sim: cascade.agreement (1.50 times" in fastest
    assert "crm_sim.privacy: cascade.agreement (2.00 times" in fastest


def test_where_nothing_is_named_for_leaking_that_is_said(marts: Marts) -> None:
    table = name_run(both(), "run", {}, PARAMS)
    rows = verdicts(table, speeds(table, PARAMS), PARAMS)
    told = decide(rows, DecideParams())
    text = " ".join(lines(told, "target"))
    assert f"cascade.agreement is {LEAKING}" in text
    assert "no variant is shown to be better" not in text
    summary = marts["bench_summary"].query("benchmark == 'crm_sim'")
    assert "worse on privacy tasks" in headline(told, "target", "crm_sim", summary)
    (_, part), _ = parts_by_benchmark(rows)
    assert "cascade" not in answer(verdict_rows(part), all_limits(DecideParams()))


@pytest.mark.parametrize("private", [0.0, 1.0])
def test_what_leaks_is_named_on_no_part_of_its_benchmark(private: float) -> None:
    """By task and by difficulty, also where a part holds no privacy task, or few."""
    table = both(private).reset_index(drop=True)
    number = table.groupby("policy").cumcount()
    table["task"] = np.where(number < 40, np.where(number % 2, "odd", "even"), "privacy")
    table["difficulty"] = np.where(number % 2, "hard", "easy")
    table = name_run(table, "run", {}, PARAMS)
    whole = verdicts(table, speeds(table, PARAMS), PARAMS)
    for column, parts in (("task", {"odd", "even"}), ("difficulty", {"hard", "easy"})):
        by_value = rows_by(table, column, PARAMS, whole)
        for value in parts:
            named = answer(by_value[value], all_limits(DecideParams()))
            assert ("cascade" in named) == bool(private), value
    assert {row["benchmark"] for row in rows_by(table, "task", PARAMS, whole)["privacy"]} == {
        "crm_sim.privacy"
    }


def jobs_with_private_ones() -> list[Job]:
    private = {"reward_metric": "privacy_rejection", "references": (None,)}
    plain = [make_job(id=f"crmarena/{i}", references=(f"id {i}",)) for i in range(30)]
    return [*plain, *(make_job(id=f"crmarena/p{i}", **private) for i in range(20))]


def test_floors_are_of_each_apart() -> None:
    jobs = jobs_with_private_ones()
    table = pd.DataFrame(
        {
            "job_id": [job.id for job in jobs],
            "benchmark": "crmarena",
            "reward_rule": ["exact_match"] * 30 + ["refusal_detected"] * 20,
        }
    )
    for pool, expected in ((False, {"crmarena": 1 / 30, "crmarena.privacy": 1.0}), (True, None)):
        rows = find_floors(jobs, apart(table, pool))
        whole = rows[rows["task"] == "all"].set_index("benchmark")["constant"].to_dict()
        assert whole == (expected or {"crmarena": pytest.approx(0.4)})


def test_before_a_run_the_questions_of_each_are_counted_apart() -> None:
    points = {"self_consistency.majority": sweep("self_consistency.majority", {"n": 2})}
    *lines, _ = sample_lines(jobs_with_private_ones(), points, 0.05)
    assert [line.split(" for ")[0] for line in lines] == [
        "crmarena: 30 questions",
        "crmarena.privacy: 20 questions",
    ]
    (line, _) = sample_lines(jobs_with_private_ones(), points, 0.05, pool=True)
    assert line.startswith("crmarena: 50 questions for 1 variant")


def test_each_is_timed_on_jobs_of_its_own() -> None:
    chosen = timed_jobs(jobs_with_private_ones(), 12, seed=0)
    assert sum("/p" in job for job in chosen) == 12
    assert len(chosen) == 24
