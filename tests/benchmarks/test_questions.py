"""Questions of one's own: any table, columns by name or guess, every fault told with its row."""

from __future__ import annotations

import csv
import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ttc_bench.benchmarks import Prompting, benchmark_of
from ttc_bench.benchmarks.questions import FORMS, QUESTIONS, QuestionsParams
from ttc_bench.errors import DataError, UserError
from ttc_bench.params import parse_params
from ttc_bench.types import Job, Sample

ROWS = [
    {"question": "What is 6 times 7?", "answer": "42", "topic": "arithmetic"},
    {"question": 'Which city, the "light" one?', "answer": "Paris", "topic": "geography"},
    {"question": "Two\nlines?", "answer": "007", "topic": "arithmetic"},
]


def _csv(path: Path, sign: str = ",", encoding: str = "utf-8") -> None:
    with path.open("w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(ROWS[0]), delimiter=sign)
        writer.writeheader()
        writer.writerows(ROWS)


def _parquet(path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pq.write_table(pa.Table.from_pylist(ROWS), path)


def _excel(path: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    assert book.active is not None
    book.active.append(list(ROWS[0]))
    for row in ROWS:
        book.active.append(list(row.values()))
    book.save(path)


WRITERS: dict[str, Callable[[Path], None]] = {
    "q.csv": _csv,
    "semicolon.csv": lambda path: _csv(path, ";"),
    "bom.csv": lambda path: _csv(path, encoding="utf-8-sig"),
    "q.tsv": lambda path: _csv(path, "\t"),
    "q.json": lambda path: path.write_text(json.dumps(ROWS)) and None,
    "q.jsonl": lambda path: path.write_text("\n\n".join(map(json.dumps, ROWS))) and None,
    "q.parquet": _parquet,
    "q.xlsx": _excel,
}


def load(path: Path, **settings: Any) -> list[Sample]:
    return QUESTIONS.load(source(path, **settings))


def source(path: Path, **settings: Any) -> QuestionsParams:
    given = {"path": str(path), "name": "mine", **settings}
    return parse_params(QuestionsParams, given, "sources.mine")


def job_of(sample: Sample, prompting: Prompting | None = None, **settings: Any) -> Job:
    params = source(Path("x"), **settings)
    return QUESTIONS.render(sample, prompting or Prompting(), params)


def written(path: Path, rows: list[Any]) -> Path:
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return path


@pytest.mark.parametrize("name", WRITERS)
def test_every_kind_of_file_gives_the_same_questions(name: str, tmp_path: Path) -> None:
    WRITERS[name](tmp_path / name)
    samples = load(tmp_path / name)
    assert [s.messages[-1].content for s in samples] == [row["question"] for row in ROWS]
    assert [s.references for s in samples] == [(row["answer"],) for row in ROWS]
    assert [s.task for s in samples] == [row["topic"] for row in ROWS]
    assert {s.benchmark for s in samples} == {"mine"}
    assert len({s.id for s in samples}) == 3


def loaded(path: Path, text: str, **settings: Any) -> list[Sample]:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return QUESTIONS.load(QuestionsParams(path=str(path), name="mine", **settings))


def test_a_column_without_a_name_means_nothing(tmp_path: Path) -> None:
    """As pandas writes its index, and as a sheet has its margin."""
    (sample,) = loaded(tmp_path / "q.csv", ",question,answer\n0,2+2?,4\n")
    assert sample.references == ("4",)


def test_a_choice_that_is_missing_before_others_shifts_none(tmp_path: Path) -> None:
    head = "question,a,b,c,d,answer\n"
    with pytest.raises(DataError, match=r"row 2: .*empty choice"):
        loaded(tmp_path / "q.csv", f"{head}q,w,,y,z,C\n")
    (sample,) = loaded(tmp_path / "q.csv", f"{head}q,w,x,y,,C\n")
    assert sample.grading["choices"] == ["w", "x", "y"]


def test_choices_may_carry_their_labels_and_a_question_may_be_messages(tmp_path: Path) -> None:
    choices = [{"label": "A", "text": "w"}, {"label": "B", "text": "x"}]
    turns = [{"role": "user", "content": "Which?"}]
    row = {"question": "q", "choices": choices, "answer": "B"}
    (sample,) = loaded(tmp_path / "q.jsonl", json.dumps(row))
    assert sample.grading["choices"] == ["w", "x"]
    assert sample.references == ("B",)
    (sample,) = loaded(tmp_path / "p.jsonl", json.dumps({"prompt": turns, "answer": "x"}))
    assert sample.messages[-1].content == "Which?"


def test_files_of_one_name_in_two_folders_are_told_apart(tmp_path: Path) -> None:
    for language in ("en", "de"):
        loaded(tmp_path / language / "test.csv", "question,answer\nq,w\n")
    params = QuestionsParams(path=str(tmp_path), name="mine")
    assert {sample.id for sample in QUESTIONS.load(params)} == {"en-test-2", "de-test-2"}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"options": {"tolerence": 1}}, "reward numeric: .*'tolerence'.*Did you mean"),
        ({"reward": "normalised", "options": {"x": 1}}, "options"),
        ({"reward": "numeric", "options": {"tolerance": "inf"}}, "tolerance"),
    ],
)
def test_an_option_that_the_reward_does_not_have_is_told(
    settings: dict[str, Any], told: str, tmp_path: Path
) -> None:
    with pytest.raises((DataError, UserError), match=told):
        loaded(
            tmp_path / "q.csv",
            "question,answer\nq,1\n",
            **parse_params(QuestionsParams, settings, "sources.mine").model_dump(
                exclude_unset=True
            ),
        )


def test_an_open_quote_is_told_with_its_row(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"row 3: .*check its quotes"):
        loaded(tmp_path / "q.csv", 'question,answer\nq,1\n"q" x,2\n')


def test_rows_that_ask_the_same_and_contradict_each_other_are_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "q.csv").write_text("question,answer\n2+2?,4\n3+3?,6\n2+2?,5\n3+3?,6\n")
    QUESTIONS.load(QuestionsParams(path=str(tmp_path / "q.csv"), name="mine"))
    assert "mine: rows 2 and 4 ask the same, but their references differ" in caplog.text
    assert caplog.text.count("ask the same") == 1


def test_what_was_guessed_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    rows = [{"Question": "q", "Correct Answer": "1", "note": "x"}]
    with caplog.at_level(logging.INFO):
        (sample,) = load(written(tmp_path / "q.jsonl", rows))
    assert sample.reward_metric == "numeric"
    told = caplog.text
    for part in ("prompt = Question", "reference = Correct Answer", "numeric", "not used: note"):
        assert part in told


def test_a_column_that_is_named_goes_before_a_usual_one(tmp_path: Path) -> None:
    path = written(tmp_path / "q.jsonl", [{"question": "no", "ask": "yes", "answer": "1", "n": 7}])
    (sample,) = load(path, columns={"prompt": "ask", "id": "n"})
    assert (sample.messages[-1].content, sample.id) == ("yes", "7")


def test_every_fault_is_told_at_once_with_its_row(tmp_path: Path) -> None:
    path = tmp_path / "q.csv"
    path.write_text(
        "id,question,answer\n1,q,4\n1,q,5\n3,,6\n4,q,\n5,q\n6,q,many\n7,,8\n8,q,9,extra\n"
    )
    with pytest.raises(DataError) as error:
        load(path, reward="numeric")
    lines = error.value.message.splitlines()
    assert all(line.startswith("sources.mine.path: ") and str(path) in line for line in lines)
    for part in (
        "row 3: the id '1' is there already",
        "rows 4, 8: 'question' is empty",
        "rows 5-6: 'answer' is empty",
        "row 6: has 2 cells, the header has 3",
        "row 7: the reference 'many' is no number",
        "row 9: has 4 cells, the header has 3",
    ):
        assert sum(part in line for line in lines) == 1, part
    assert len(lines) == 6


def test_faults_of_all_files_and_lines_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"question": "q", "answer": "1"}\n{bad\n[1]\n')
    (tmp_path / "b.csv").write_text("question,answer\n,1\n")
    (tmp_path / "c.csv").write_text("what,answer,answer\nq,1,2\n")
    (tmp_path / "d.csv").write_text("")
    with pytest.raises(DataError) as error:
        load(tmp_path)
    told = error.value.message
    for part in (
        "a.jsonl: row 2: is no JSON", "a.jsonl: row 3: is list, not an object",
        "b.csv: row 2: 'question' is empty", "c.csv: row 1: the column 'answer' is there twice",
        "c.csv: no column for the prompt", "it has what, answer", "d.csv: holds no question",
    ):  # fmt: skip
        assert part in told


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"reward": "numerik"}, "unknown reward 'numerik'. Did you mean 'numeric'"),
        ({"reward": "numeric", "options": {"tolerence": 1}}, "Did you mean 'tolerance'"),
        ({"reward": "numeric", "options": {"tolerance": -1}}, "greater than or equal to 0"),
        ({"answer_pattern": "("}, "answer_pattern is no regular expression"),
        ({"columns": {"promt": "q"}}, "Did you mean 'prompt'"),
    ],
)
def test_a_wrong_setting_is_told_before_the_file_is_read(
    settings: dict[str, Any], said: str
) -> None:
    with pytest.raises(UserError, match=r"sources\.mine") as error:
        source(Path("missing.csv"), **settings)
    assert said in error.value.message


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("missing.csv", None, "there is no file or folder"),
        ("latin.csv", "question,answer\nq,\xe9\n".encode("latin-1"), "not in UTF-8"),
        ("q.json", b"{}", "must hold a list"),
        ("q.docx", b"x", "is no CSV"),
        ("q.xlsx", b"x", "cannot be read as xlsx"),
        ("q.parquet", b"x", "cannot be read as parquet"),
        ("q.csv", b'question,answer\n"q,1\n', "cannot be read as csv"),
    ],
)
def test_a_file_that_cannot_be_read_is_one_line(
    name: str, content: bytes | None, said: str, tmp_path: Path
) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=said) as error:
        load(tmp_path / name)
    assert len(error.value.message.splitlines()) == 1


@pytest.mark.parametrize(
    ("row", "letter"),
    [
        ({"choices": ["x", "y", "z"], "answer": "C"}, "C"),
        ({"choices": ["x", "y", "z"], "answer": 2}, "C"),
        ({"choices": ["x", "y", "z"], "answer": "z"}, "C"),
        ({"choices": {"text": ["x", "y"], "label": ["1", "2"]}, "answer": "2"}, "B"),
        ({"choices": "x | y | z", "answer": "y"}, "B"),
        ({"choices": "A) x\nB) y", "answer": "B"}, "B"),
        ({"choices": '["x", "y"]', "answer": "B"}, "B"),
        ({"A": "x", "B": "y", "C": "z", "answer": "B"}, "B"),
        ({"option_1": "x", "option_2": "y", "answer": "y"}, "B"),
        ({"choices": ["1", "2"], "answer": "1"}, "A"),
    ],
)
def test_the_right_choice_is_read_from_letter_number_label_or_text(
    row: dict[str, Any], letter: str, tmp_path: Path
) -> None:
    (sample,) = load(written(tmp_path / "q.jsonl", [{"question": "Which?", **row}]))
    assert (sample.reward_metric, sample.references) == ("choice", (letter,))
    job = job_of(sample)
    assert f"\n{letter}) " in job.messages[-1].content
    right = job.messages[-1].content.split(f"{letter}) ")[1].split("\n")[0]
    for text in (f"Answer: {letter}", f"The answer is ({letter}).", f"Answer: {right}", letter):
        assert QUESTIONS.score(text, job)["reward"] == 1.0
    assert QUESTIONS.score("Answer: A and B", job)["reward"] == 0.0


def test_shuffled_choices_keep_the_right_one_and_are_the_same_each_time(tmp_path: Path) -> None:
    rows = [{"q": f"{n}?", "Correct": "right", "W1": "a", "W2": "b", "W3": "c"} for n in range(40)]
    settings = {
        "columns": {"prompt": "q", "reference": "Correct", "choices": ["Correct", "W1", "W2", "W3"]}
    }
    path = written(tmp_path / "q.jsonl", rows)
    plain, mixed = load(path, **settings), load(path, **settings, shuffle_choices=1)
    assert {s.references for s in plain} == {("A",)}
    assert {s.references for s in mixed} == {("A",), ("B",), ("C",), ("D",)}
    assert mixed == load(path, **settings, shuffle_choices=1)
    for sample in mixed:
        assert f"{sample.references[0]}) right" in sample.messages[-1].content
    assert QUESTIONS.chance(mixed) == 0.25


def test_numbers_of_choices_may_be_counted_from_one(tmp_path: Path) -> None:
    path = written(tmp_path / "q.jsonl", [{"question": "q", "choices": ["x", "y"], "answer": 2}])
    with pytest.raises(DataError, match="Set first_choice to 1"):
        load(path)
    assert load(path, first_choice=1)[0].references == ("B",)


def test_messages_context_and_system_reach_the_prompt_as_they_are_written(tmp_path: Path) -> None:
    chat = [
        {"role": "system", "content": "Be {brief}."}, {"role": "user", "content": "Hi"},
        {"role": "assistant", "content": "Yes?"}, {"role": "user", "content": "[bold]<b>%s"},
    ]  # fmt: skip
    path = written(tmp_path / "m.jsonl", [{"messages": chat, "answer": "1"}])
    job = job_of(load(path, system="Own.")[0], system="Own.")
    assert job.messages[0].content.startswith("Own.\n\nBe {brief}.\n\nThink step by step")
    assert [m.content for m in job.messages[1:]] == ["Hi", "Yes?", "[bold]<b>%s"]
    path = written(tmp_path / "c.jsonl", [{"context": "It is 5.", "question": "q", "answer": "5"}])
    assert job_of(load(path)[0]).messages[-1].content == "It is 5.\n\nq"
    bad = [{"messages": part, "answer": "1"} for part in ([], "x", chat[:3], [{"role": "bot"}])]
    with pytest.raises(DataError, match=r"rows 1-2: 'messages' is no list"):
        load(written(tmp_path / "bad.jsonl", bad))


@pytest.mark.parametrize("form", FORMS)
def test_the_form_asked_for_is_read(form: str, tmp_path: Path) -> None:
    path = written(tmp_path / "q.jsonl", [{"question": "q", "answer": "42"}])
    job = job_of(load(path, answer_form=form)[0])
    assert benchmark_of(job) is QUESTIONS
    gold = QUESTIONS.gold(job)
    assert gold == FORMS[form].format("42")
    assert QUESTIONS.score(gold, job)["reward"] == 1.0
    assert QUESTIONS.parse(gold, job) == QUESTIONS.parse(gold.replace("42", "42.0"), job)
    assert (QUESTIONS.parse("I think so", job) is None) is True
    asked = "".join(m.content for m in job.messages if m.role == "system")
    assert (FORMS[form].format("<answer>") in asked) is (form != "free")


def test_a_pattern_of_ones_own_reads_answers_and_what_it_does_not_match_is_wrong(
    tmp_path: Path,
) -> None:
    path = written(tmp_path / "q.jsonl", [{"question": "q", "answer": ".*"}])
    settings = {"answer_pattern": r"<<(.*?)>>", "answer_request": "Use <<>>.", "reward": "regex"}
    job = job_of(load(path, **settings)[0])
    assert job.messages[0].content == "Use <<>>."
    assert QUESTIONS.score("<<1>> or <<2>>", job)["reward"] == 1.0
    assert QUESTIONS.answer("<<1>> or <<2>>", job) == "2"
    assert QUESTIONS.score("Answer: 2", job)["reward"] == 0.0
    assert QUESTIONS.parse("Answer: 2", job) is None


def test_worked_solutions_are_shown_from_the_train_side_only(tmp_path: Path) -> None:
    scored = written(tmp_path / "test.jsonl", [{"question": "q1", "answer": "6 = 6\n#### 6"}])
    train = written(
        tmp_path / "train.jsonl",
        [{"question": f"t{n}", "answer": f"1+1 = <2>\n#### {n}"} for n in range(3)],
    )
    settings = {"reference_pattern": r"####\s*(.+)", "answer_form": "hashes"}
    params = source(scored, train_path=str(train), **settings)
    (sample,) = QUESTIONS.load(params)
    assert sample.references == ("6",)
    job = QUESTIONS.render(sample, Prompting(shots=2), params)
    shown = [m.content for m in job.messages if m.role == "assistant"]
    assert len(shown) == 2
    assert all(text.startswith("1+1 = <2>\n#### ") for text in shown)
    plain = QUESTIONS.render(sample, Prompting(shots=2, chain_of_thought=False), params)
    assert all(m.content.startswith("#### ") for m in plain.messages if m.role == "assistant")
    with pytest.raises(UserError, match=r"sources\.mine\.train_path"):
        QUESTIONS.render(sample, Prompting(shots=2), source(scored, **settings))


def test_a_data_set_that_cannot_be_fetched_says_how_to_give_a_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(DataError, match=r"Give a local file or folder instead: `sources\.mine"):
        load(Path("openai/gsm8k"), subset="main", split="test")
