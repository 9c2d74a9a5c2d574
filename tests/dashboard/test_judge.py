"""The page on which people judge: blind, kept at once, taken back, for several raters."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner, Result
from streamlit.testing.v1 import AppTest
from tests.dashboard.conftest import RUN, Open, response, words

from ttc_bench.cli import cli
from ttc_bench.dashboard.store import opened
from ttc_bench.metrics.base import answer_digest
from ttc_bench.ratings.standing import digests_of
from ttc_bench.ratings.store import CRITERIA, Ratings


def ratings_of(project: Path) -> Ratings:
    return Ratings(f"sqlite:///{project}/data/ratings.db")


def test_two_raters_judge_blind_and_every_click_is_a_row(copied: Path, open_page: Open) -> None:
    pages = {rater: open_page(copied, "judge", rater=rater) for rater in ("ann", "bo")}
    for turn in range(6):
        for rater, page in pages.items():
            assert not page.exception
            assert not any(name in words(page) for name in RUN), "nobody sees who made an answer"
            page.button(key=("left", "right", "tie")[turn % 3]).click().run()
            assert ratings_of(copied).rows()["rater"].tolist().count(rater) == turn + 1
    rows = ratings_of(copied).rows()
    assert rows.groupby("rater")["preference"].value_counts().eq(2).all()
    pairs = rows.apply(lambda row: (row["job_id"], frozenset((row["left"], row["right"]))), axis=1)
    assert not rows.assign(pair=pairs).duplicated(["rater", "pair"]).any()
    assert (rows["seconds"] >= 0).all()
    stored = pd.concat(map(pd.read_parquet, (copied / "data/07_model_output/responses").iterdir()))
    digests = digests_of(stored)
    for _, row in rows.iterrows():
        for side in ("left", "right"):
            answer = (row["model"], row["benchmark"], row["job_id"], row[side])
            assert row[f"{side}_answer"] == digests[answer]
    back = next(button for button in pages["ann"].button if "back" in button.label)
    back.click().run()
    assert ratings_of(copied).rows()["rater"].tolist().count("ann") == 5
    pages["ann"].toggle[0].set_value(True).run()
    assert "11 comparisons by 2 raters" in words(pages["ann"])


def test_grades_of_one_answer_are_kept_and_none_is_needed(copied: Path, open_page: Open) -> None:
    page = open_page(copied, "judge", rater="ann", mode="single answers")
    page.radio[0].set_value(4)
    page.radio[2].set_value(1)
    next(button for button in page.button if button.label == "Keep").click().run()
    assert not page.exception
    (row,) = ratings_of(copied).rows("gradings").to_dict("records")
    assert (row["correct"], row["safe"]) == (4, 1)
    assert row["complete"] is None or row["complete"] != row["complete"]


def pressed(page: AppTest, label: str) -> None:
    next(button for button in page.button if button.label == label).click().run()
    assert not page.exception


def test_grades_are_of_the_answer_that_was_shown_whatever_others_did_meanwhile(
    copied: Path, open_page: Open
) -> None:
    """The variant with the fewest grades comes next, and grades of others make another one that."""
    ann, bo = (open_page(copied, "judge", rater=name, mode="single answers")
               for name in ("ann", "bo"))  # fmt: skip
    for _ in range(3):
        bo.radio[0].set_value(3)
        pressed(bo, "Keep")
    shown = [code.value for code in ann.code]
    ann.radio[0].set_value(5)
    pressed(ann, "Keep")
    (row,) = (r for r in ratings_of(copied).rows("gradings").to_dict("records")
              if r["rater"] == "ann")  # fmt: skip
    text = response(copied, row["variant"], row["job_id"])["text"]
    assert text == shown[-1]
    assert row["answer"] == answer_digest(text)
    assert [radio.value for radio in ann.radio] == [None] * len(CRITERIA), "another answer"
    pressed(ann, "Keep")
    assert "Your last grades were not kept: no criterion has one." in words(ann)


def test_grades_that_cannot_be_kept_stay_on_the_page(copied: Path, open_page: Open) -> None:
    page = open_page(copied, "judge", rater="ann", mode="single answers")
    page.radio[1].set_value(2)
    place = copied / "data/ratings.db"
    place.rename(copied / "away.db")
    place.mkdir()
    pressed(page, "Keep")
    assert "Your last grades were not kept: parameter human_evaluation.database" in words(page)
    place.rmdir()
    (copied / "away.db").rename(place)
    page.run()
    assert page.radio[1].value == 2
    pressed(page, "Keep")
    assert ratings_of(copied).rows("gradings")["complete"].tolist() == [2]


def test_what_is_taken_back_in_two_windows_is_what_each_shows(
    copied: Path, open_page: Open
) -> None:
    first = open_page(copied, "judge", rater="ann")
    first.button(key="left").click().run()
    other, bo = (open_page(copied, "judge", rater=name) for name in ("ann", "bo"))
    bo.button(key="tie").click().run()
    other.button(key="right").click().run()
    back = "Take the last one back"
    pressed(first, back)
    assert ratings_of(copied).rows()["preference"].tolist() == ["tie", "right"]
    assert "1 judged by you." in words(first)
    pressed(other, back)
    assert ratings_of(copied).rows()["rater"].tolist() == ["bo"]
    pressed(first, back)
    assert "Nothing was taken back: it was taken back before, in another window." in words(first)
    assert "0 judged by you." in words(first)
    assert ratings_of(copied).rows()["rater"].tolist() == ["bo"]


def test_who_has_no_name_judges_nothing(copied: Path, open_page: Open) -> None:
    page = open_page(copied, "judge")
    assert not page.exception
    assert "Who judges?" in words(page)
    assert not [button for button in page.button if button.key == "left"]


def test_a_sheet_goes_out_and_comes_back_by_commands(
    copied: Path, monkeypatch: pytest.MonkeyPatch, open_page: Open
) -> None:
    monkeypatch.chdir(copied)

    def sheet(*arguments: str) -> Result:
        return CliRunner().invoke(cli, ["sheet", *arguments])

    result = sheet("export", "--rater", "  Ann  Lee ", "--pairs", "4")
    assert result.exit_code == 0, result.output
    assert "4 pairs on your sheets" in words(open_page(copied, "judge", rater="Ann Lee"))
    handed = pd.read_csv(copied / "sheet-Ann-Lee.csv", dtype=str, keep_default_na=False)
    assert len(handed) == 4
    assert not any(name in handed.to_csv() for name in RUN), "nobody sees who made an answer"
    assert handed["question"].str.len().min() > 20
    handed["preference"] = ["left", "both bad", "", "tie"]
    handed.to_csv("filled.csv", index=False)
    for kept in ("3 new ratings by Ann Lee", "0 new ratings"):
        result = sheet("read", "filled.csv")
        assert (result.exit_code, kept in result.output) == (0, True), result.output
    assert ratings_of(copied).rows()["preference"].tolist() == ["left", "both bad", "tie"]
    assert "1 pair on your sheets" in words(open_page(copied, "judge", rater="Ann Lee"))
    handed.assign(preference="lift").to_csv("wrong.csv", index=False)
    for arguments in (
        ("export", "--rater", "Ann Lee"), ("export", "--rater", " "), ("read", "away.csv"),
        ("export", "--rater", "bo", "--to", "no/folder.csv"), ("read", "wrong.csv"),
    ):  # fmt: skip
        result = sheet(*arguments)
        assert result.exit_code == 1
        assert result.output.startswith("Error: ")
        assert "Traceback" not in result.output


def test_a_rating_that_cannot_be_kept_is_told_and_no_other_is_lost(
    copied: Path, open_page: Open
) -> None:
    page = open_page(copied, "judge", rater="ann")
    page.button(key="left").click().run()
    (copied / "data/ratings.db").write_bytes(b"no database at all, and long enough to be read" * 9)
    page.button(key="right").click().run()
    assert not page.exception
    assert "Your last rating was not kept: parameter human_evaluation.database" in words(page)
    (copied / "data/ratings.db").unlink()
    page.run()
    page = open_page(copied, "judge", rater="ann")
    page.button(key="right").click().run()
    assert "not kept" not in words(page)
    assert ratings_of(copied).rows()["preference"].tolist() == ["right"]


def test_answers_to_what_is_not_stored_as_it_was_asked_are_judged_by_nobody(
    copied: Path, open_page: Open
) -> None:
    """Jobs are those of the last run: another seed asks other questions under the same ids."""
    jobs = copied / "data/05_model_input/jobs.jsonl"
    first, *others = jobs.read_text().splitlines()
    changed = json.loads(others[0])
    changed |= {"question": "2:another", "messages": [{"role": "user", "content": "Another?"}]}
    jobs.write_text("\n".join([first, json.dumps(changed)]) + "\n")
    store = opened(copied)
    assert set(store.answers()["job_id"]) == {json.loads(first)["id"]}
    jobs.write_text(json.dumps(changed) + "\n")
    page = open_page(copied, "judge", rater="ann")
    assert "There is nothing to judge" in words(page)
    assert not page.exception


def test_what_is_left_is_told_until_nothing_is(copied: Path, open_page: Open) -> None:
    page = open_page(copied, "judge", rater="ann")

    def left() -> int:
        found = re.search(r"(\d+) left to judge here", words(page))
        assert found
        return int(found[1])

    first = left()
    for count in range(first):
        assert left() == first - count
        assert f"{count} judged by you." in words(page)
        page.button(key="left").click().run()
    assert left() == 0
    assert "You have judged all that there is" in words(page)


def test_questions_of_another_run_are_told_as_why_nothing_is_judged(
    copied: Path, open_page: Open
) -> None:
    page = open_page(copied, "judge", rater="ann")
    page.button(key="left").click().run()
    jobs = copied / "data/05_model_input/jobs.jsonl"
    line = json.loads(jobs.read_text().splitlines()[0])
    jobs.write_text(json.dumps({**line, "id": "mine/1", "benchmark": "mine"}) + "\n")
    page = open_page(copied, "judge", rater="ann")
    assert "the questions that they were asked are not stored any more" in words(page)
    assert "(1 of mine)" in words(page)
    page.toggle[0].set_value(True).run()
    assert "1 comparison by 1 rater" in words(page), "what was judged before is told"


@pytest.mark.parametrize("mode", ["pairs", "single answers"])
@pytest.mark.parametrize("is_measured", [False, True])
def test_where_there_is_nothing_to_judge_no_database_is_made(
    mode: str, is_measured: bool, copied: Path, open_page: Open
) -> None:
    (copied / "data/05_model_input/jobs.jsonl").write_text("")
    if not is_measured:
        shutil.rmtree(copied / "data/07_model_output")
    page = open_page(copied, "judge", rater="ann", mode=mode)
    assert not page.exception
    assert len(page.info) == 1
    if not is_measured:
        page.toggle[0].set_value(True).run()
    assert not list(copied.rglob("ratings.db"))
