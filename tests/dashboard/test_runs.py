"""Every page tells its run, and any run that is kept can be chosen there."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest
from tests.dashboard.conftest import Open, copy_of, words
from tests.dashboard.test_decide import told

from ttc_bench.reporting.kept_runs import keep_run

LAST, EARLIER = "run 1", "run 0/ä"
FIRST = "baseline.greedy"


@pytest.fixture(scope="module")
def folder(measured: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that keeps two runs: in the earlier one the baseline was always right."""
    project = copy_of(measured, tmp_path_factory.mktemp("runs") / "project")
    last = pd.read_parquet(project / "data/08_reporting/all_scores.parquet")
    earlier = last.assign(run_id=EARLIER)
    is_base = earlier["policy"] == "baseline"
    earlier.loc[is_base, "reward"] = 1.0
    earlier.loc[is_base & (earlier["benchmark"] == "crm_sim"), "answer"] = "another"
    earlier.loc[earlier["benchmark"] == "worf_sim", "question"] = "2:another"
    for scores, day in ((earlier, 1), (last, 2)):
        _keep(project, scores, f"2026-11-0{day}T12:30:00+00:00")
    return project


def _keep(project: Path, scores: pd.DataFrame, at: str) -> None:
    kept, settings = keep_run(scores, {"limit": 3}, "speculative, self_refine")
    for key, table in kept.items():
        place = project / f"data/08_reporting/runs/{key}"
        place.parent.mkdir(parents=True, exist_ok=True)
        table.to_parquet(f"{place}.parquet")
        text = json.dumps({**settings[key], "recorded_at": at})
        Path(f"{place}.json").write_text(text)


@pytest.mark.parametrize("name", ["decide", "compare", "answers"])
def test_a_page_tells_its_run_and_the_last_one_comes_first(
    name: str, folder: Path, open_page: Open
) -> None:
    page = open_page(folder, name)
    assert page.selectbox(key="run").options == [LAST, EARLIER]
    assert page.selectbox(key="run").value == LAST
    head = page.caption[0].value.replace("\\", "")
    for fact in ("pipeline speculative, self_refine", "2026-11-02 12:30 UTC",
                 "at most 3 questions a benchmark", "model target"):  # fmt: skip
        assert fact in head
    assert "Not the last run" not in head
    page.selectbox(key="run").set_value(EARLIER).run()
    assert not page.exception
    assert f"Not the last run, which is {LAST}" in words(page)


def test_an_earlier_run_is_decided_by_its_own_scores(folder: Path, open_page: Open) -> None:
    page = open_page(folder, "decide", run=EARLIER)
    scores = next((folder / "data/08_reporting/runs").rglob("run 0*/*/target.parquet"))
    assert told(folder, scores=scores) in words(page)
    assert told(folder) not in words(page)
    assert told(folder) in words(open_page(folder, "decide"))
    rows = open_page(folder, "compare", run=EARLIER).dataframe[0].value
    assert (rows.loc[rows["policy"] == "baseline", "reward"] == 1.0).all()


def test_a_run_that_is_not_kept_is_told(folder: Path, open_page: Open) -> None:
    page = open_page(folder, "decide", run="gone")
    assert f"No run gone is kept here; shown is {LAST}." in words(page)
    assert told(folder) in words(page)


def test_plots_of_an_earlier_run_are_made_from_its_scores(folder: Path, open_page: Open) -> None:
    def points(run: str, title: str) -> dict[tuple[str, str], tuple[float, float]]:
        page = open_page(folder, "compare", view="Plots", plot=title, run=run)
        assert not page.error
        (chart,) = page.get("plotly_chart")
        data = json.loads(chart.proto.spec)["data"]
        return {(t["name"], t["hovertemplate"]): (t["x"], t["y"]) for t in data
                if t.get("mode", "").startswith("markers") and len(t["x"]) == 1}  # fmt: skip

    for title in ("Quality against cost", "Latency by variant"):
        last, earlier = points(LAST, title), points(EARLIER, title)
        assert len(earlier) == len(last) > 0
        if title == "Latency by variant":
            assert earlier == last, "its latencies are the same"
    page = open_page(folder, "compare", view="Plots", run=EARLIER,
                     plot="Scaling with the number of samples")  # fmt: skip
    assert "Samples are kept of the last run alone" in words(page)


def test_answers_of_an_earlier_run_are_shown_where_they_are_still_stored(
    folder: Path, open_page: Open
) -> None:
    second = "self_refine.feedback"
    address = {"run": EARLIER, "first": FIRST, "second": second, "benchmark": "crm_sim"}
    page = open_page(folder, "answers", **address)
    job = page.selectbox(key="question").value
    table = pd.read_parquet(folder / f"data/07_model_output/responses/{second}.parquet")
    text = table.set_index("job_id").loc[job, "text"]
    assert text in [code.value for code in page.code]
    assert words(page).count("a later run answered otherwise") == 1, "the baseline's is another"
    page = open_page(folder, "answers", **{**address, "benchmark": "worf_sim"})
    assert "another one has its id now" in words(page)
    assert not page.exception


def test_two_runs_are_compared_from_the_one_that_is_shown(folder: Path, open_page: Open) -> None:
    page = open_page(folder, "compare", view="Two runs", run=EARLIER)
    assert page.selectbox(key="after").value.startswith("run 0")
