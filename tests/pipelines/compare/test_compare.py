"""Two runs side by side: paired by question, sides told apart, and what has no partner is named."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from kedro_datasets.json import JSONDataset
from tests.conftest import ingested
from tests.reporting.support import PARAMS, scores

from ttc_bench.benchmarks.base import question_of
from ttc_bench.errors import UserError
from ttc_bench.params import parse_params
from ttc_bench.pipelines.aggregate.nodes import collect_scores, name_run
from ttc_bench.pipelines.compare.nodes import show_changes
from ttc_bench.reporting.changes import headlines
from ttc_bench.reporting.kept_runs import keep_run
from ttc_bench.reporting.run_changes import changed_answers, changed_settings, changes, load_runs
from ttc_bench.reporting.run_choice import ComparedRuns, CompareParams, choose_runs
from ttc_bench.reporting.speeds import speeds
from ttc_bench.reporting.verdicts import ENDS, ratio_word, verdicts


class Store:
    """Runs as the catalog keeps them."""

    def __init__(self) -> None:
        self.scores: dict[str, Callable[[], pd.DataFrame]] = {}
        self.settings: dict[str, Callable[[], dict[str, Any]]] = {}

    def keep(self, run: str, table: pd.DataFrame, **parameters: Any) -> None:
        asked = table if "question" in table else table.assign(question=table["job_id"])
        kept, settings = keep_run(name_run(asked, run, parameters, PARAMS), parameters)
        self.scores |= {key: lambda part=part: part for key, part in kept.items()}
        self.settings |= {key: lambda one=one: one for key, one in settings.items()}

    def choose(self, **params: Any) -> ComparedRuns:
        asked = parse_params(CompareParams, params, "compare")
        return choose_runs(self.settings, self.scores, asked)

    def compare(self, **params: Any) -> tuple[pd.DataFrame, pd.DataFrame]:
        return load_runs(self.scores, self.choose(**params), PARAMS)


def names(sides: ComparedRuns) -> list[tuple[str, str, str, str]]:
    return [(old.run, old.model, new.run, new.model) for old, new in sides.pairs]


@pytest.fixture
def store() -> Store:
    rng = np.random.default_rng(0)
    before = rng.integers(0, 2, 40).astype(float)
    after = np.where(rng.random(40) < 0.5, 1.0, before)
    found = Store()
    found.keep("monday", scores("baseline", "greedy", list(before)), limit=40, seed=0)
    table = scores("baseline", "greedy", [*after[:38], None, *after[39:]], latency_s=0.5)
    more = scores("cascade", "agreement", list(after))
    found.keep("tuesday", collect_scores(table, more), limit=40, seed=1)
    return found


def test_change_is_after_minus_before_over_what_both_answered(store: Store) -> None:
    table, left_out = store.compare()
    found = changes(table, PARAMS).set_index("metric")
    sides = {
        side: part.set_index("job_id")["reward"].astype(float)
        for side, part in table.groupby("side")
    }
    difference = sides["after"].fillna(0.0) - sides["before"].fillna(0.0)
    reward = found.loc["reward"]
    assert reward["n_pairs"] == len(difference) == 40, "a failed response has the reward 0"
    assert reward["difference"] == pytest.approx(difference.mean())
    assert reward["mean_after"] - reward["mean_before"] == pytest.approx(difference.mean())
    assert reward["difference_low"] < reward["difference"] < reward["difference_high"]
    assert (reward["n_up"], reward["n_down"]) == ((difference > 0).sum(), 0)
    assert reward["verdict"] == "better"
    time = found.loc["latency_s"]
    assert (time["mean_before"], time["mean_after"]) == (1.0, 0.5)
    assert pd.isna(time["difference"]), "two runs are not timed beside each other"
    assert time["verdict"] == "not comparable"
    assert left_out["reason"].tolist() == ["variant run only after"]
    assert left_out["policy"].tolist() == ["cascade"]


def test_answers_that_may_be_compared_with_themselves_are_counted(store: Store) -> None:
    table, _ = store.compare()
    assert "replayed" not in headlines(changes(table, PARAMS))[0]
    first = table["job_id"].isin(["crm_sim/0", "crm_sim/1"])
    stored = table.assign(replayed=first & (table["side"] == "after"))
    in_part = table["job_id"].eq("crm_sim/2")
    stored = stored.assign(calls=3.0, spent_calls=np.where(in_part, 1.0, 3.0))
    rows = changes(stored, PARAMS)
    assert rows.set_index("metric").loc["reward", "n_replayed"] == 3
    assert "Of 40 pairs 3 have a side that was replayed" in headlines(rows)[0]


def test_sides_swap_by_their_names(store: Store) -> None:
    there = changes(store.compare()[0], PARAMS)
    back = changes(store.compare(before={"run": "tuesday"}, after={"run": "monday"})[0], PARAMS)
    both = there.merge(back, on="metric", suffixes=("", "_back"))
    ways = [both[name].dropna().astype(float) for name in ("difference", "difference_back")]
    assert len(ways[0]) == 3
    assert np.allclose(ways[0], -ways[1])
    assert dict(zip(back["metric"], back["verdict"], strict=True))["reward"] == "worse"


def test_answers_and_settings_that_changed_are_told(store: Store) -> None:
    answers = changed_answers(store.compare()[0])
    fixed = answers[answers["status_after"] == "ok"]
    assert (fixed["reward_after"].astype(float) > fixed["reward_before"].astype(float)).all()
    assert answers.query("status_after == 'failed'")["job_id"].tolist() == ["crm_sim/38"]
    settings = changed_settings(store.choose()).set_index("setting")
    assert settings.loc["seed", ["before", "after"]].tolist() == ["0", "1"]
    assert "limit" not in settings.index


def test_the_recipe_of_the_models_is_no_setting_of_a_run(store: Store) -> None:
    recipe = {"verifier": {"slips": 3000}}
    store.keep("friday", scores("baseline", "greedy", [1.0] * 40), seed=2, train_reference=recipe)
    settings = changed_settings(store.choose())
    assert "seed" in set(settings["setting"])
    assert not settings["setting"].str.startswith("train_reference").any()


def test_another_question_under_the_same_id_is_no_pair(store: Store) -> None:
    table = scores("baseline", "greedy", [1.0] * 40)
    changed = table["job_id"].where(table.index >= 10, "another " + table["job_id"])
    store.keep("wednesday", table.assign(question=changed), limit=40, seed=2)
    compared, left_out = store.compare()
    assert compared["job_id"].nunique() == 30
    row = left_out[left_out["policy"] == "baseline"].iloc[0]
    assert (row["reason"], row["n_questions"]) == ("another question under the same id", 10)


def crmarena_questions(folder: Path, first_id: int, today: str) -> list[str]:
    """The questions of a CRMArena file of ten tasks, as the score stage tells them apart."""
    folder.mkdir()
    tasks = [
        {
            "idx": first_id + number,
            "task": "handle_time",
            "query": f"Which agent was the fastest in the last {number + 1} weeks?",
            "answer": [f"agent {number % 3}"],
            "reward_metric": "exact_match",
            "persona": "brief",
            "metadata": {"required": f"Today is {today}.", "optional": ""},
        }
        for number in range(10)
    ]
    (folder / "tasks.json").write_text(json.dumps(tasks))
    source = {"path": str(folder / "tasks.json")}
    return [question_of(job) for job in ingested("crmarena", None, source=source)]


@pytest.mark.parametrize(
    ("first_id", "today", "n_pairs"), [(0, "1 May", 10), (500, "1 May", 10), (0, "2 May", 0)]
)
def test_the_same_questions_pair_under_new_ids_and_not_with_another_context(
    tmp_path: Path, first_id: int, today: str, n_pairs: int
) -> None:
    store = Store()
    for run, start, day in (("a", 0, "1 May"), ("b", first_id, today)):
        table = scores("baseline", "greedy", [1.0] * 10)
        table["job_id"] = [f"crmarena/{start + number}" for number in range(10)]
        asked = crmarena_questions(tmp_path / run, start, day)
        store.keep(run, table.assign(benchmark="crmarena", question=asked))
    compared, left_out = store.compare(before={"run": "a"})
    assert len(compared) == 2 * n_pairs
    assert left_out["n_questions"].sum() == 10 - n_pairs
    if n_pairs:
        assert changes(compared, PARAMS).set_index("metric").loc["reward", "n_pairs"] == 10


def test_the_form_of_the_prompt_makes_no_other_question() -> None:
    plain, other = (
        ingested("crm_sim", 5, prompting) for prompting in ({}, {"chain_of_thought": False})
    )
    shown = ingested("crm_sim", 5, {"shots": 2})
    assert plain[0].messages != other[0].messages
    asked = [[question_of(job) for job in jobs] for jobs in (plain, other, shown)]
    assert asked[0] == asked[1] == asked[2]
    assert len(set(asked[0])) == len(plain)


def test_what_is_asked_twice_pairs_as_often_as_both_runs_ask_it() -> None:
    store = Store()
    for run, ids in (("a", ["1", "2", "3"]), ("b", ["7", "8"])):
        table = scores("baseline", "greedy", [1.0] * len(ids)).assign(question="the same")
        store.keep(run, table.assign(job_id=[f"crm_sim/{each}" for each in ids]))
    compared, left_out = store.compare()
    assert compared.groupby("side").size().to_dict() == {"before": 2, "after": 2}
    assert left_out["n_questions"].tolist() == [1]


def test_verdicts_are_those_of_one_run_in_the_same_words() -> None:
    """Sides take the place of baseline and variant; every figure is the same."""
    rng = np.random.default_rng(5)
    base = rng.integers(0, 2, 60).astype(float)
    cases = {
        "identical": (base, {}),
        "better": (np.ones(60), {"total_tokens": 50.0}),
        "undecided": (np.where(rng.random(60) < 0.2, 1 - base, base), {"total_tokens": 200.0}),
    }
    for word, (rewards, costs) in cases.items():
        answers = {"before": [str(v) for v in base], "after": [str(v) for v in rewards]}
        old = scores("baseline", "greedy", list(base)).assign(answer=answers["before"])
        new = scores("baseline", "greedy", list(rewards), **costs).assign(answer=answers["after"])
        store = Store()
        store.keep("a", old)
        store.keep("b", new)
        change = changes(store.compare()[0], PARAMS).set_index("metric")
        both = collect_scores(old, new.assign(policy="a", variant="x"))
        row = verdicts(both, speeds(both, PARAMS), PARAMS).set_index("policy").loc["a"]
        assert change.loc["reward", "verdict"] == row["verdict"] == word
        for name in ("difference", "difference_low", "difference_high", "differ_high", "n_needed"):
            sides = change.loc["reward", name], row[name]
            assert all(map(pd.isna, sides)) or sides[0] == sides[1]
        assert change.loc["total_tokens", "ratio"] == row["total_tokens_ratio"]
        assert change.loc["total_tokens", "verdict"] == ratio_word(
            *(row[f"total_tokens_ratio{end}"] for end in ENDS)
        )
        text = show_changes(store.choose(), change.reset_index(), *[pd.DataFrame()] * 2)
        assert word in text


def test_both_times_are_shown_with_machine_and_day_and_without_a_ratio(store: Store) -> None:
    for key, host, day in (("monday", "old-box", "2026-11-01"), ("tuesday", "new", "2026-11-02")):
        (name,) = (name for name in store.settings if name.startswith(key))
        kept = store.settings[name]()
        assert kept["host"]
        assert kept["device"]
        changed = {**kept, "host": host, "device": "8 processors", "recorded_at": f"{day}T10:00:00"}
        store.settings[name] = lambda one=changed: one
    table, left_out = store.compare()
    rest = changes(table, PARAMS), changed_settings(store.choose()), left_out
    text = show_changes(store.choose(), *rest)
    assert "2026-11-01T10:00:00 UTC on old-box (8 processors)" in text
    assert "2026-11-02T10:00:00 UTC on new (8 processors)" in text
    (line,) = (line for line in text.splitlines() if line.startswith("baseline.greedy"))
    assert "1.000 | 0.500" in line
    assert "-50" not in line
    del changed["host"], changed["device"]
    assert "on unknown (unknown)" in show_changes(store.choose(), *rest), (
        "a run that an older version kept says nothing of its machine"
    )


def test_what_is_printed_fits_its_terminal_and_what_is_kept_has_all(
    store: Store, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    table, left_out = store.compare()
    text = show_changes(
        store.choose(), changes(table, PARAMS), changed_settings(store.choose()), left_out
    )
    printed = capsys.readouterr().out
    assert max(map(len, printed.splitlines())) <= 100
    assert "are in changes.txt" in printed
    assert "seconds, before | after" in text
    assert "are in changes.txt" not in text


def test_two_models_of_one_run(store: Store) -> None:
    small = scores("baseline", "greedy", [0.0] * 30).assign(model="small")
    large = scores("baseline", "greedy", [1.0] * 30).assign(model="org/large: v1")
    store.keep("both", collect_scores(small, large))
    sides = {"before": {"model": "small"}, "after": {"model": "org/large: v1"}}
    assert names(store.choose(**sides)) == [("both", "small", "both", "org/large: v1")]
    found = changes(store.compare(**sides)[0], PARAMS).set_index("metric")
    assert found.loc["reward", "difference"] == 1.0
    assert found.loc["reward", "verdict"] == "better"


def test_runs_of_the_same_models_are_paired_by_model(store: Store) -> None:
    both = collect_scores(
        *(scores("baseline", "greedy", [1.0]).assign(model=name) for name in ("a", "b"))
    )
    store.keep("one", both)
    store.keep("two", both)
    assert names(store.choose()) == [("one", "a", "two", "a"), ("one", "b", "two", "b")]
    store.keep("three", both.replace({"model": {"a": "c", "b": "d"}}))
    with pytest.raises(UserError, match=r"none in common: name one of each"):
        store.choose()


def test_last_run_is_compared_with_the_one_before_it(store: Store) -> None:
    assert names(store.choose()) == [("monday", "target", "tuesday", "target")]
    store.keep("monday", scores("baseline", "greedy", [1.0]), limit=40, seed=0)
    assert names(store.choose()) == [("tuesday", "target", "monday", "target")]


@pytest.mark.parametrize(
    ("params", "says"),
    [
        ({"after": {"run": "tuesdy"}}, r"compare\.after\.run: unknown run 'tuesdy'.*'tuesday'"),
        ({"before": {"model": "x"}}, r"compare\.before\.model: unknown model 'x'.*target"),
        ({"before": {"runs": "x"}}, r"compare\.before\.runs: unknown key.*'run'"),
        ({"after": {"run": "monday"}}, r"nothing to compare run 'monday' with.*Kept are"),
    ],
)
def test_what_is_not_there_is_told_in_a_line(
    store: Store, params: dict[str, Any], says: str
) -> None:
    with pytest.raises(UserError, match=says) as error:
        store.choose(**params)
    assert len(str(error.value).splitlines()) == 1


def test_without_runs_it_says_how_to_make_one() -> None:
    with pytest.raises(UserError, match="no run is kept yet"):
        Store().choose()


def test_nothing_in_common_is_said(store: Store) -> None:
    store.keep("wednesday", scores("self_refine", "feedback", [1.0]))
    sides = {"before": {"run": "tuesday"}}
    table, left_out = store.compare(**sides)
    chosen = store.choose(**sides)
    text = show_changes(chosen, changes(table, PARAMS), changed_settings(chosen), left_out)
    assert "Nothing can be compared" in text
    assert "variant run only after: self_refine.feedback" in text


def test_without_names_a_run_is_compared_with_the_latest_that_is_like_it(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """Neither other questions nor other variants are; what is passed over is told."""
    others = scores("baseline", "greedy", [1.0] * 9).assign(benchmark="worf_sim")
    store.keep("wednesday", others)
    store.keep("thursday", scores("self_refine", "feedback", [1.0] * 9))
    store.keep("friday", scores("cascade", "agreement", [1.0] * 3))
    with caplog.at_level("INFO"):
        assert names(store.choose()) == [("tuesday", "target", "friday", "target")]
    assert "'tuesday'" in caplog.text
    assert "passed over: 'thursday', 'wednesday'" in caplog.text
    store.keep("saturday", others.assign(question="of nobody else"))
    with pytest.raises(UserError, match=r"a variant in common with run 'saturday'.*thursday") as no:
        store.choose()
    assert len(str(no.value).splitlines()) == 1
    named = store.choose(before={"run": "friday"})
    assert names(named) == [("friday", "target", "saturday", "target")]


def test_one_question_has_a_change_and_no_interval() -> None:
    store = Store()
    for run, reward in (("a", 0.0), ("b", 1.0)):
        store.keep(run, scores("baseline", "greedy", [reward]))
    table, left_out = store.compare()
    found = changes(table, PARAMS)
    text = show_changes(store.choose(), found, changed_settings(store.choose()), left_out)
    assert "+1.000 [no interval]" in text
    assert set(found["verdict"]) == {"undecided", "not comparable"}


def test_a_run_whose_writing_was_cut_off_costs_no_other(
    store: Store, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    torn = tmp_path / "wednesday.json"
    torn.write_text('{"run": "wedn')
    store.settings["wednesday/1/target"] = JSONDataset(filepath=str(torn)).load
    assert names(store.choose()) == [("monday", "target", "tuesday", "target")]
    assert "the kept run wednesday/1/target cannot be read and is left out" in caplog.text
