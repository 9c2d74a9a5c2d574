"""The gate ends as its rules say, tells each of them, and reads nothing into what is missing."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pandas as pd
import pytest
import yaml
from kedro.io import DatasetError
from tests.conftest import ROOT, KedroRun
from tests.pipelines.compare.test_compare import Store
from tests.reporting.support import PARAMS, scores

from ttc_bench.datasets import RulesDataset
from ttc_bench.errors import UserError, told
from ttc_bench.measured import digest
from ttc_bench.pipelines.aggregate.nodes import collect_scores, name_run
from ttc_bench.pipelines.gate.nodes import rule_on
from ttc_bench.reporting.gate import CRITERIA, GateParams, Rule
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.row_dicts import row_dicts
from ttc_bench.reporting.run_choice import CompareParams
from ttc_bench.reporting.speeds import ENDS, speeds

RUN = collect_scores(
    scores("baseline", "greedy", [1.0, 0.0] * 60),
    scores("cascade", "same", [1.0, 0.0] * 60, usd=0.01, latency_s=0.5, ttft_s=0.1).assign(
        control_latency_s=1.0, control_ttft_s=0.2
    ),
    scores("cascade", "worse", [0.0, 0.0] * 60),
    scores("cascade", "few", [1.0, 0.0] * 60).assign(
        usd=[0.01, *[np.nan] * 119], latency_s=[0.5, *[np.nan] * 119]
    ),
)


@pytest.fixture
def rule() -> Callable[..., dict[str, Any]]:
    def ruled(*rules: dict[str, Any]) -> dict[str, Any]:
        verdicts, _, _ = rule_on(RUN, {"rules": list(rules)}, GateParams(), PARAMS)
        return verdicts

    return ruled


def words(verdicts: dict[str, Any]) -> dict[str, str]:
    return {row["criterion"]: row["word"] for row in verdicts["rules"]}


def test_every_limit_of_a_rule_is_ruled_on(rule: Any) -> None:
    limits = {
        "reward_loss": 0.05, "p95_latency_s": 1.0, "usd": 0.02, "flops": 3e9, "total_tokens": 99.0,
        "failure_share": 0.1, "samples": 100, "speed": 1.1, "ttft_ratio": 0.9, "kept_speed": 0.5,
    }  # fmt: skip
    assert set(limits) == set(CRITERIA) == set(Rule.model_fields) - {"variant", "benchmark"}
    verdicts = rule({"variant": "cascade.same", **limits})
    others = {"total_tokens": "NO-GO", "kept_speed": "INCONCLUSIVE"}
    assert words(verdicts) == dict.fromkeys(limits, "GO") | others
    assert verdicts["verdict"] == "NO-GO"
    assert rule({"variant": "cascade.same", "usd": 0.02})["verdict"] == "GO"


def test_worse_by_more_than_the_limit_is_no_go_whatever_its_mean_costs(rule: Any) -> None:
    verdicts = rule({"variant": "cascade.worse", "reward_loss": 0.2, "flops": 3e9})
    assert words(verdicts) == {"reward_loss": "NO-GO", "flops": "GO"}


def test_what_is_not_known_opens_no_gate(rule: Any) -> None:
    verdicts = rule({"variant": "cascade.few", "usd": 1.0, "p95_latency_s": 10.0, "samples": 121})
    assert set(words(verdicts).values()) == {"INCONCLUSIVE"}
    latency, usd, samples = verdicts["rules"]
    assert usd["figure"] is None, "a bill with a gap has no mean"
    assert (latency["n"], latency["high"]) == (1, None)
    assert latency["needed"] >= 72
    assert samples["needed"] == 121


def ruled(run: pd.DataFrame, **limits: Any) -> tuple[dict[str, Any], str]:
    policy = {"rules": [{"variant": "cascade.same", **limits}]}
    verdicts, _, text = rule_on(run, policy, GateParams(), PARAMS)
    return verdicts, text


def timed(factor: float, pairs: int, seed: int = 7) -> pd.DataFrame:
    """A run whose variant is about so many times as fast as the control, timed on some jobs."""
    rng = np.random.default_rng(seed)
    base = scores("baseline", "greedy", [1.0] * 120)
    own = scores("cascade", "same", [1.0] * 120)
    control_s = np.exp(0.05 * rng.standard_normal(120))
    control_s[pairs:] = np.nan
    own_s = control_s / factor * np.exp(0.05 * rng.standard_normal(120))
    own = own.assign(latency_s=own_s, ttft_s=own_s, control_latency_s=control_s)
    return collect_scores(base, own.assign(control_ttft_s=control_s))


def test_a_speed_is_ruled_on_by_the_interval_that_the_decision_goes_by() -> None:
    """On twelve pairs, as a run times them; alone, its interval is the one of a single variant."""
    run = timed(1.5, 12)
    (row,) = row_dicts(speeds(run, PARAMS))
    for limits, word in (
        ({"speed": 1.1}, "GO"), ({"speed": 1.9}, "NO-GO"),
        ({"speed": row["speed"]}, "INCONCLUSIVE"),
        ({"ttft_ratio": 0.9}, "GO"), ({"ttft_ratio": 0.5}, "NO-GO"),
    ):  # fmt: skip
        verdicts, text = ruled(run, **limits)
        (said,) = verdicts["rules"]
        ((name, limit),) = limits.items()
        assert verdicts["verdict"] == word, text
        ends = [said[end] for end in ("figure", "low", "high")]
        assert ends == pytest.approx([row[f"{name}{end}"] for end in ENDS])
        least = "least" if name == "speed" else "most"
        assert f"of 12 timed pairs, at {least} {limit:.6g} is asked for" in text
        assert f"Intervals of {name} are of one variant alone" in text


def test_a_speed_that_was_not_timed_opens_no_gate() -> None:
    for run, said in (
        (timed(1.5, 0), "no answer was timed beside plain decoding"),
        (timed(1.5, 5), "so few do not bound it"),
    ):
        verdicts, text = ruled(run, speed=1.1, ttft_ratio=0.9)
        assert set(words(verdicts).values()) == {"INCONCLUSIVE"}
        assert said in text


def test_a_speed_that_fell_since_the_kept_run_is_no_go_and_without_one_nothing_is_known() -> None:
    """The two runs were on other machines: each ratio is beside its own control."""
    store = Store()
    before = timed(1.5, 12).assign(question="?")
    times = [name for name in before if name.endswith("latency_s")]
    before[times] = before[times] * 3.0
    policy = {"rules": [{"variant": "cascade.same", "kept_speed": 0.9}]}

    def said(factor: float, **compare: Any) -> tuple[str, str]:
        run = timed(factor, 12, seed=8)
        run = run.assign(question=run["job_id"])
        store.keep(f"now {factor}", run)
        kept = CompareParams.model_validate(compare)
        named = name_run(run, f"now {factor}", {}, PARAMS)
        verdicts, _, text = rule_on(
            named, policy, GateParams(), PARAMS, store.settings, store.scores, kept
        )
        return verdicts["verdict"], text

    word, text = said(1.5)
    assert word == "INCONCLUSIVE"
    assert "takes this run and one before it of its model, both kept" in text
    store.keep("tuesday", before.assign(question=before["job_id"]))
    for factor, expected in ((1.6, "GO"), (1.0, "NO-GO"), (1.35, "INCONCLUSIVE")):
        word, text = said(factor, before={"run": "tuesday"})
        assert word == expected, text
        assert "of 12 timed pairs beside run tuesday (model target), at least 0.9 is" in text
        assert "Intervals of kept_speed are of one variant alone" in text
    with pytest.raises(UserError, match=r"compare\.before\.run.*'tuesdy'.*Did you mean 'tuesday'"):
        said(1.7, before={"run": "tuesdy"})


def test_a_kept_run_of_another_model_says_nothing_unless_it_is_asked_for() -> None:
    store, run = Store(), timed(1.0, 12).assign(run_id="now", config=digest({}))
    store.keep("tuesday", timed(1.5, 12, seed=8).assign(model="larger"))
    store.keep("now", run)
    policy = {"rules": [{"variant": "cascade.same", "kept_speed": 0.9}]}
    for before, word in (({}, "INCONCLUSIVE"), ({"model": "larger"}, "NO-GO")):
        kept = CompareParams.model_validate({"before": before})
        verdicts, _, text = rule_on(
            run, policy, GateParams(), PARAMS, store.settings, store.scores, kept
        )
        (said,) = verdicts["rules"]
        assert said["word"] == word, text
        assert said["beside"] == ("run tuesday (model larger)" if before else None)


EVERY = {
    "kept_speed": 0.01, "speed": 0.01, "ttft_ratio": 99.0,
    "reward_loss": 0.9, "p95_latency_s": 99.0, "usd": 9.0, "flops": 9e15, "total_tokens": 1e6,
    "failure_share": 0.5, "samples": 1,
}  # fmt: skip


def test_a_run_that_answered_nothing_opens_no_gate() -> None:
    nothing: list[float | None] = [None] * 120
    failed = collect_scores(
        scores("baseline", "greedy", nothing), scores("cascade", "same", nothing)
    )
    verdicts, text = ruled(failed, **EVERY)
    open_ = dict.fromkeys(EVERY, "INCONCLUSIVE") | {"failure_share": "NO-GO"}
    assert words(verdicts) == open_
    assert "nothing was answered" in text
    del open_["failure_share"]
    assert ruled(failed, **{name: EVERY[name] for name in open_})[0]["verdict"] == "INCONCLUSIVE"
    for none in (RUN.iloc[:0], failed.assign(reward=pd.NA, status="ok").assign(latency_s=np.nan)):
        verdicts, text = ruled(none, reward_loss=0.9, p95_latency_s=99.0)
        assert verdicts["verdict"] == "INCONCLUSIVE"
        assert text.splitlines()[-1].startswith("INCONCLUSIVE: 2 of 2")


def test_what_both_sides_failed_on_shows_no_lack_of_loss() -> None:
    few: list[float | None] = [*[1.0, 0.0] * 4, *[None] * 192]
    run = collect_scores(scores("baseline", "greedy", few), scores("cascade", "same", few))
    (row,) = ruled(run, reward_loss=0.05)[0]["rules"]
    assert (row["word"], row["n"]) == ("INCONCLUSIVE", 8)


def test_a_benchmark_that_the_variant_did_not_run_on_holds_the_gate() -> None:
    other = scores("baseline", "greedy", [1.0, 0.0] * 60).assign(benchmark="worf_sim")
    run = collect_scores(RUN, other)
    assert ruled(run, benchmark="crm_sim", flops=3e9)[0]["verdict"] == "GO"
    for benchmark in ("all", "worf_sim"):
        assert ruled(run, benchmark=benchmark, flops=3e9)[0]["verdict"] == "INCONCLUSIVE"


def test_several_models_and_clusters_of_tasks_are_ruled_on_by_themselves() -> None:
    tasks = [f"task {n // 30}" for n in range(120)]
    good, bad = (
        scores("cascade", "same", [reward, 0.0] * 60).assign(task=tasks, model=model)
        for model, reward in (("one", 1.0), ("two", 0.0))
    )
    bases = [
        scores("baseline", "greedy", [1.0, 0.0] * 60).assign(task=tasks, model=model)
        for model in ("one", "two")
    ]
    run = collect_scores(good, bad, *bases)
    verdicts, text = ruled(run, reward_loss=0.1)
    assert [row["word"] for row in verdicts["rules"]] == ["GO", "NO-GO"]
    assert "one crm_sim" in text
    policy = {"rules": [{"variant": "cascade.same", "reward_loss": 0.1}]}
    few = AggregateParams(min_clusters=4)
    verdicts, _, _ = rule_on(run, policy, GateParams(), few)
    assert verdicts["rules"][0]["word"] == "INCONCLUSIVE", "four task types that may be alike"


def identical_run(lossless: list[bool | None], answers: list[str]) -> pd.DataFrame:
    """24 questions with the same rewards; the baseline answers each with its number."""
    same = [str(number) for number in range(24)]
    base = scores("baseline", "greedy", [1.0, 0.0] * 12).assign(answer=same)
    rival = scores("cascade", "same", [1.0, 0.0] * 12).assign(answer=answers)
    rival["lossless"] = pd.array(lossless, dtype="boolean")
    return collect_scores(base, rival)


def test_what_is_lossless_by_construction_and_identical_loses_no_reward() -> None:
    same = [str(number) for number in range(24)]
    verdicts, text = ruled(identical_run([True] * 24, same), reward_loss=0.01)
    assert verdicts["verdict"] == "GO"
    assert "0 of 24 questions, all identical, lossless by construction" in text
    assert "alone" not in text, "there is no interval to tell apart"
    for lossless, answers in (([True] * 24, ["x", *same[1:]]), ([True] * 23 + [None], same)):
        verdicts, text = ruled(identical_run(lossless, answers), reward_loss=0.01)
        assert verdicts["verdict"] == "INCONCLUSIVE", "declared and seen, or an interval decides"
        assert "by construction" not in text


def test_the_shipped_policy_lets_the_default_run_pass_where_nothing_differs() -> None:
    same = [str(number) for number in range(24)]
    run = identical_run([True] * 24, same)
    own = run["policy"] == "cascade"
    run.loc[own, ["policy", "variant"]] = ["speculative", "draft_model"]
    policy = yaml.safe_load((ROOT / "conf/base/gate.yml").read_text())
    verdicts, _, text = rule_on(run, policy, GateParams(), PARAMS)
    assert verdicts["verdict"] == "GO", text


def test_a_number_says_of_what_it_is_and_an_interval_why_it_is_not_the_tables() -> None:
    same = [str(number) for number in range(24)]
    verdicts, text = ruled(identical_run([None] * 24, same), reward_loss=0.1)
    (row,) = verdicts["rules"]
    assert f"of 24 questions, at most 0.1 is asked for; {row['needed']} questions would" in text
    assert "of one variant alone" in text.splitlines()[-2]


def test_the_baseline_loses_nothing_to_itself(rule: Any) -> None:
    assert rule({"variant": "baseline.greedy", "reward_loss": 0.01})["verdict"] == "GO"


def test_pipelines_that_show_tests_take_the_verdicts_whatever_a_model_is_called() -> None:
    """The attributes are those that Jenkins' schema of JUnit asks for, in xunit's junit-10.xsd."""
    run = RUN.assign(model='a\x0b<"&>🦙')
    limits = [{"variant": "cascade.same", "usd": usd} for usd in (1.0, 0.001)]
    _, junit, _ = rule_on(run, {"rules": limits}, GateParams(), PARAMS)
    (suite,) = ElementTree.fromstring(junit)
    assert {"name", "tests", "failures", "errors"} <= set(suite.attrib)
    names = [(case.get("classname"), case.get("name")) for case in suite]
    assert len(set(names)) == 2, "of two limits on one figure, neither hides the other"
    assert "\ufffd<" in str(names[0][0])


def test_a_limit_that_stands_twice_is_none(tmp_path: Path) -> None:
    path = tmp_path / "own.yml"
    for text, said in (
        ("rules:\n  - {variant: a.b, usd: 1, usd: 9}\n", r"own.yml, line 2, .*duplicate key usd"),
        (None, "there is no file .*own.yml"),
    ):
        path.unlink(missing_ok=True)
        if text is not None:
            path.write_text(text)
        with pytest.raises(DatasetError) as raised:
            RulesDataset(filepath=str(path)).load()
        fault = told(raised.value)
        assert fault is not None
        assert re.search(said, fault.message), fault.message


def test_all_faults_of_a_policy_are_told_at_once() -> None:
    for rules, lines in (
        ([{"variant": "cascade.sam", "usd": 1.0}, {"variant": "cascade.same", "benchmark": "crm",
                                                   "usd": 1.0}],
         ["'cascade.sam'. Did you mean 'cascade.same'", "'crm'. Did you mean 'crm_sim'"]),
        ([{"variant": "cascade.same", "uds": 1.0}], ["'uds'. Did you mean 'usd'"]),
        ([{"variant": "cascade.same"}], ["sets no limit"]),
        ([], ["at least 1"]),
        ([{"variant": "cascade.same", "usd": True}], ["usd: input should be a number (got True)"]),
        ([None], ["rules.0: input should be names with values"]),
    ):  # fmt: skip
        with pytest.raises(UserError) as raised:
            rule_on(RUN, {"rules": rules}, GateParams(), PARAMS)
        assert all(line in raised.value.message for line in lines), raised.value.message
        assert len(raised.value.message.splitlines()) == len(lines), raised.value.message
    run = RUN.assign(run_id="tuesday")
    with pytest.raises(UserError, match=r"run tuesday \(baseline, cascade\).*--pipeline=beam\."):
        rule_on(run, {"rules": [{"variant": "beam.wide", "usd": 1.0}]}, GateParams(), PARAMS)


@pytest.mark.parametrize(
    ("limits", "code"),
    [({"reward_loss": 0.1}, 0), ({"total_tokens": 99.0}, 10), ({"samples": 1000}, 11)],
)
def test_the_exit_code_is_the_verdict(
    kedro_run: KedroRun, project: Path, limits: dict[str, float], code: int
) -> None:
    folder = project / "data/08_reporting"
    folder.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(RUN).to_parquet(folder / "all_scores.parquet")
    policy = {"rules": [{"variant": "cascade.same", **limits}]}
    (project / "own.yml").write_text(yaml.safe_dump(policy))
    result = kedro_run("--pipeline=gate", "--params=gate.policy=own.yml")
    assert result.exit_code == code, result.output
    (case,) = ElementTree.parse(folder / "gate/junit.xml").iter("testcase")
    assert [child.tag for child in case] == {0: [], 10: ["failure"], 11: ["skipped"]}[code]
    assert "Error" not in result.output, "a verdict is none"
    assert "data/08_reporting/gate/junit.xml" in result.output
    assert "The limits, on run " in result.output
    assert (folder / "gate/gate.txt").read_text().splitlines()[0] in result.output
