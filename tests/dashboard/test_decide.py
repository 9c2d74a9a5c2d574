"""The page that answers which variant for which limits."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pandas as pd
import pytest
from streamlit.testing.v1 import AppTest
from tests.conftest import ROOT
from tests.dashboard.conftest import Open, words
from tests.reporting.support import PARAMS

from ttc_bench.dashboard import parts
from ttc_bench.dashboard.parts import plain
from ttc_bench.dashboard.serving import PASSWORD
from ttc_bench.dashboard.store import opened
from ttc_bench.dashboard.views import decide as decide_page
from ttc_bench.dashboard.views import prepare
from ttc_bench.reporting.decision import decide, lines
from ttc_bench.reporting.limits import all_limits, answer
from ttc_bench.reporting.params import DecideParams
from ttc_bench.reporting.scopes import verdict_rows, verdicts_on


def told(
    project: Path, query: str = "index == index", scores: Path | None = None, **limits: float
) -> str:
    """What the report would say of the scores of a project, or of those of a file."""
    file = scores or project / "data/08_reporting/all_scores.parquet"
    table = pd.read_parquet(file, dtype_backend="pyarrow").query(query)
    rows = verdict_rows(verdicts_on(table, PARAMS))
    return answer(rows, all_limits(DecideParams(**limits)))


def test_the_page_says_what_the_report_would(measured: Path, open_page: Open) -> None:
    page = open_page(measured, "decide")
    assert told(measured) in words(page)
    page.slider(key="reward").set_value(0.05).run()
    assert told(measured, least_reward=0.05) in words(page)
    page.selectbox(key="benchmark").set_value("crm_sim").run()
    assert told(measured, "benchmark == 'crm_sim'", least_reward=0.05) in words(page)


def test_the_decision_of_the_report_comes_first(measured: Path, open_page: Open) -> None:
    for name in (None, "crm_sim"):
        table = pd.read_parquet(measured / "data/08_reporting/verdicts.parquet")
        table = table if name is None else table[table["benchmark"] == name]
        said = words(open_page(measured, "decide", **({} if name is None else {"benchmark": name})))
        told_first = lines(decide(table, DecideParams()), table["model"].iloc[0])
        assert len(told_first) == 3
        assert all(line in said for line in told_first)


def test_on_what_no_speed_rests_is_told(copied: Path, open_page: Open) -> None:
    file = copied / "data/08_reporting/all_scores.parquet"
    table = pd.read_parquet(file, dtype_backend="pyarrow")
    own = table["benchmark"] == "crm_sim"
    of_others = own & (table["policy"] == "self_consistency")
    whole = own & (table["policy"] == "baseline")
    table.loc[of_others, "spent_calls"] = table.loc[of_others, "calls"] - 1
    table["replayed"] = whole
    table.loc[~(of_others | whole), "spent_calls"] = table["calls"]
    table.to_parquet(file)
    for page in ("decide", "compare"):
        said = words(open_page(copied, page, benchmark="crm_sim"))
        taken = (of_others | whole).sum()
        assert f"Of {own.sum()} responses, {taken} took calls from the journal" in said
        assert "the journal" not in words(open_page(copied, page, benchmark="worf_sim"))


def test_an_address_holds_the_limits_and_the_questions(measured: Path, open_page: Open) -> None:
    page = open_page(measured, "decide", benchmark="worf_sim", reward="0.1")
    assert told(measured, "benchmark == 'worf_sim'", least_reward=0.1) in words(page)


def test_what_an_address_asks_for_and_is_not_there_is_told(
    measured: Path, open_page: Open
) -> None:  # fmt: skip
    asked = {"benchmark": "zzz", "difficulty": "odd", "budget_s": "0.123456 s", "by": "Nothing"}
    page = open_page(measured, "decide", **asked)
    told_of = [one.value for one in page.info]
    assert len(told_of) == len(asked)
    assert all(any(plain(value) in line for line in told_of) for value in asked.values())
    assert not open_page(measured, "decide", benchmark="crm_sim", by="Task").info


def test_parts_are_answered_each_by_its_own_questions(measured: Path, open_page: Open) -> None:
    page = open_page(measured, "decide", by="Difficulty")
    for level in ("easy", "hard"):
        part = told(measured, f"difficulty == '{level}'")
        assert f"{level}: {part}" in words(page)


def test_a_damaged_file_and_an_empty_project_give_a_sentence(
    copied: Path, open_page: Open
) -> None:  # fmt: skip
    scores = copied / "data/08_reporting/all_scores.parquet"
    scores.write_bytes(scores.read_bytes()[:5000])
    assert "is damaged" in words(open_page(copied, "decide"))
    scores.unlink()
    page = open_page(copied, "decide")
    assert "kedro run" in words(page)
    assert not page.exception


def test_what_is_shown_first_is_known_before_anybody_looks(
    copied: Path, open_page: Open
) -> None:  # fmt: skip
    """Neither verdicts nor frontiers are computed by who opens the page; what is wrong is told."""
    prepare(opened(copied, None))
    known = [one.cache_info().misses for one in (parts._verdicts, decide_page._frontier_of)]
    assert told(copied) in words(open_page(copied, "decide"))
    assert known == [one.cache_info().misses for one in (parts._verdicts, decide_page._frontier_of)]
    (copied / "data/08_reporting/all_scores.parquet").write_bytes(b"PAR1")
    prepare(opened(copied, None))
    assert "is damaged" in words(open_page(copied, "decide"))


def test_one_variant_alone_is_told_so(copied: Path, open_page: Open) -> None:
    file = copied / "data/08_reporting/all_scores.parquet"
    table = pd.read_parquet(file)
    table[table["policy"] == "baseline"].to_parquet(file)
    assert "better than baseline.greedy" in words(open_page(copied, "decide"))
    table[table["policy"] == "self_refine"].to_parquet(file)
    assert "There is no baseline" in words(open_page(copied, "decide"))


def test_what_leaks_on_privacy_tasks_is_best_on_no_page(copied: Path, open_page: Open) -> None:
    file = copied / "data/08_reporting/all_scores.parquet"
    table = pd.read_parquet(file).query(
        "benchmark == 'crm_sim' and policy in ('baseline', 'self_refine')"
    )
    copies = [table.assign(job_id=table["job_id"] + f"/{n}", status="ok") for n in range(8)]
    plain = pd.concat(copies, ignore_index=True)
    gains = (plain["policy"] == "self_refine").astype(float)
    private = plain.assign(reward=1 - gains, benchmark="crm_sim.privacy")
    leaking = [plain.assign(reward=gains), private]
    best = "Best at any price: self_refine.feedback"
    leaking[0].to_parquet(file)
    assert best in words(open_page(copied, "decide", benchmark="crm_sim"))
    pd.concat(leaking, ignore_index=True).to_parquet(file)
    for benchmark in ("crm_sim", "all"):
        assert best not in words(open_page(copied, "decide", benchmark=benchmark))


def test_a_baseline_without_a_reward_compares_with_nobody(copied: Path, open_page: Open) -> None:
    file = copied / "data/08_reporting/all_scores.parquet"
    scores = pd.read_parquet(file)
    scores.loc[scores["policy"] == "baseline", "reward"] = None
    scores.to_parquet(file)
    page = open_page(copied, "decide")
    assert page.subheader[0].value.startswith("The baseline has no reward")
    assert "could not be made" not in words(page)


def test_the_script_itself_shows_the_first_page(measured: Path) -> None:
    with contextlib.chdir(measured):
        script = ROOT / "src/ttc_bench/dashboard/app.py"
        page = AppTest.from_file(script, default_timeout=60).run()
    assert told(measured) in words(page)


def test_nothing_is_shown_before_the_password_is_given(
    measured: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(PASSWORD, "open sesame ü")
    with contextlib.chdir(measured):
        page = AppTest.from_file(ROOT / "src/ttc_bench/dashboard/app.py", default_timeout=60).run()
        assert [one.label for one in page.text_input] == ["Password"]
        assert "baseline" not in words(page)
        page.text_input[0].set_value("wrong").run()
        assert "This is not the password." in words(page)
        assert "baseline" not in words(page)
        page.text_input[0].set_value("open sesame ü").run()
    assert not page.exception
    assert told(measured) in words(page)


@pytest.mark.parametrize(
    ("page", "key"), [("decide", "cost"), ("decide", "by"), ("compare", "view")]
)
def test_an_address_with_a_key_and_no_value_is_as_one_without(
    page: str, key: str, measured: Path, open_page: Open
) -> None:
    assert words(open_page(measured, page, **{key: ""})) == words(open_page(measured, page))
