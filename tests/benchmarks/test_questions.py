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


def _excels_csv(path: Path) -> None:
    _csv(path, ";")
    path.write_text("sep=;\n" + path.read_text())


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
    "excel.csv": _excels_csv,
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
    caplog.clear()
    (tmp_path / "q.csv").write_text("question,answer\n2+2?,4\n,6\n2+2?,5\n,7\n3+3?,\n3+3?,6\n")
    with pytest.raises(DataError, match=r"rows 3, 5: 'question' is empty"):
        QUESTIONS.load(QuestionsParams(path=str(tmp_path / "q.csv"), name="mine"))
    assert "mine: rows 2 and 4 ask the same, but their references differ" in caplog.text
    assert caplog.text.count("ask the same") == 1, "what is empty asks nothing"


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
        ({"choices": "['x', 'y']", "answer": "y"}, "B"),
        ({"choices": '{"A": "x", "B": "y"}', "answer": "B"}, "B"),
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


def told(path: Path, rows: list[Any] | str, **settings: Any) -> str:
    """What is wrong with a file of some rows, or with a text of it."""
    if isinstance(rows, str):
        path.write_text(rows, encoding="utf-8")
    else:
        written(path, rows)
    with pytest.raises(DataError) as error:
        load(path, **settings)
    return error.value.message


def warned(caplog: pytest.LogCaptureFixture) -> bool:
    """Whether anything was told that asks for a look."""
    return any(record.levelno >= logging.WARNING for record in caplog.records)


ANSWERS_OF_OBJECTS: list[tuple[Any, tuple[str, ...]]] = [
    ({"text": ["in Rome", "Rome"], "answer_start": [1, 4]}, ("in Rome", "Rome")),
    ({"value": "Paris", "aliases": ["City of Light", "Paris"], "type": "W"},
     ("Paris", "City of Light")),
    ([{"text": "a", "answer_start": 0}, {"text": "b", "answer_start": 9}], ("a", "b")),
    ('{"text": ["a"], "answer_start": [1]}', ("a",)),
    ("{'text': ['a', 'b'], 'answer_start': [1, 2]}", ("a", "b")),
    ('["a", "b"]', ("a", "b")),
    (["a", "b", "a"], ("a", "b")),
    (True, ("true", "yes")),
    (False, ("false", "no")),
    (3.0, ("3",)),
    ("{1, 2}", ("{1, 2}",)),
    ("[1, 2]", ("[1, 2]",)),
]  # fmt: skip


@pytest.mark.parametrize(("cell", "golds"), ANSWERS_OF_OBJECTS, ids=lambda part: str(part)[:30])
def test_answers_in_objects_and_lists_are_read(
    cell: Any, golds: tuple[str, ...], tmp_path: Path
) -> None:
    (sample,) = load(written(tmp_path / "q.jsonl", [{"question": "q", "answers": cell}]))
    assert sample.references == golds


def test_what_an_object_holds_is_named_by_a_dotted_column_or_told(tmp_path: Path) -> None:
    path, rows = tmp_path / "q.jsonl", [{"question": "q", "gold": {"spans": ["a"], "kind": "x"}}]
    (sample,) = load(written(path, rows), columns={"reference": "gold.spans"})
    assert sample.references == ("a",)
    said = told(path, rows)
    assert "row 1: 'gold' holds an object of spans, kind: name the part that is the answer" in said
    assert "row 1: 'gold.span' is empty" in told(path, rows, columns={"reference": "gold.span"})
    assert "row 1: 'gold' is empty" in told(path, [{"question": "q", "gold": {"text": []}}])
    assert "a list in a list" in told(path, [{"question": "q", "gold": [["a"]]}])
    assert "the text of an array" in told(tmp_path / "q.csv", "question,gold\nq,\"['a' 'b']\"\n")
    (sample,) = load(written(path, rows), reward="json")
    assert json.loads(str(sample.references[0])) == rows[0]["gold"]
    (sample,) = load(written(path, [{"question": "q", "gold": [1, 2]}]), reward="json")
    assert sample.references == ("[1, 2]",)
    (sample,) = load(written(path, [{"question": "q", "gold": '["a"]'}]), reward="exact")
    assert sample.references == ('["a"]',)
    (sample,) = load(written(path, [{"question": "q", "gold": False}]), reward="contains")
    assert sample.references == ("false",), "no is in many a sentence"


def test_messages_take_context_and_choices_unless_they_say_them(tmp_path: Path) -> None:
    path, ask = tmp_path / "q.jsonl", {"role": "user", "content": "Which?"}
    row = {"messages": [ask], "context": "In Europe.", "choices": ["Oslo", "Rome"], "answer": "B"}
    (sample,) = load(written(path, [row]))
    assert sample.messages[-1].content == "In Europe.\n\nWhich?\n\nA) Oslo\nB) Rome"
    said = {"role": "user", "content": "In Europe. Which? A. Oslo B. Rome"}
    (sample,) = load(written(path, [row | {"messages": [said]}]))
    assert sample.messages[-1].content == said["content"]
    shuffled = told(path, [row | {"messages": [said]}], shuffle_choices=1)
    assert "row 1: its messages list its choices" in shuffled
    both = {"columns": {"prompt": "q", "messages": "messages"}}
    assert "are both set" in told(path, [row | {"q": "Who?"}], **both)


def test_a_comma_in_a_number_is_read_one_way_and_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A decimal comma where numbers are asked for; a text, and no number, where none are."""
    path, head = tmp_path / "q.csv", "question;answer\n"
    path.write_text(f"{head}q;1,5\nr;2,75\n")
    (first, _) = load(path, reward="numeric")
    assert "'1,5' is 1.5, '2,75' is 2.75" in caplog.text
    for answer, score in (("1.5", 1), ("1,5", 1), ("15", 0), ("1, 5", 0)):
        assert QUESTIONS.score(f"Answer: {answer}", job_of(first))["reward"] == score
    (first, _) = load(path)
    assert first.reward_metric == "normalised"
    assert "may be one number or two" in caplog.text
    assert QUESTIONS.score("Answer: 1, 5", job_of(first))["reward"] == 1.0
    for other in ("2.75", "1,500"):
        said = told(path, f"{head}q;1,5\nr;{other}\n", reward="numeric")
        assert f"row 2: the reference '1,5' has a decimal comma, but {other!r} is written" in said


def test_a_letter_behind_a_number_is_a_factor_where_numbers_are_asked_for_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = written(tmp_path / "q.jsonl", [{"question": "Which flat?", "answer": "5B"}])
    (sample,) = load(path)
    job = job_of(sample)
    assert not warned(caplog)
    assert QUESTIONS.score("Answer: 5b", job)["reward"] == 1.0
    assert QUESTIONS.score("Answer: 5000000000", job)["reward"] == 0.0
    job = job_of(load(path, reward="numeric")[0])
    assert "'5B' is 5000000000" in caplog.text
    assert QUESTIONS.score("Answer: 5 billion", job)["reward"] == 1.0


def test_one_table_names_its_choices_in_one_way(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """As MMLU does by number and MMLU-Pro by letter, where choices are numbers and letters."""
    by_number = [
        {"question": "q", "choices": ["1", "2", "3", "4"], "answer": 2},
        {"question": "r", "choices": ["w", "x", "y", "z"], "answer": 1},
    ]
    by_letter = [
        {"question": "q", "choices": ["C", "B", "A"], "answer": "C"},
        {"question": "r", "choices": ["x", "y", "z"], "answer": "B"},
    ]
    for rows in (by_number, by_letter):
        samples = load(written(tmp_path / "q.jsonl", rows))
        assert [sample.references for sample in samples] == [("C",), ("B",)]
    assert not warned(caplog)
    (sample,) = load(written(tmp_path / "q.jsonl", by_number[:1]))
    assert sample.references == ("B",)
    assert "'2' may be the text or the number of a choice, and is read as its text" in caplog.text


def test_dates_truths_and_numbers_are_the_same_from_every_kind_of_file(tmp_path: Path) -> None:
    import pandas as pd

    rows = {"question": ["day?", "time?"], "answer": pd.to_datetime(["2024-03-05"] * 2)}
    frame = pd.DataFrame(rows)
    frame.to_parquet(tmp_path / "q.parquet")
    frame.to_excel(tmp_path / "q.xlsx", index=False)
    for name in ("q.parquet", "q.xlsx"):
        assert {s.references for s in load(tmp_path / name)} == {("2024-03-05",)}
    pd.DataFrame({"question": ["a", "b"], "answer": [7.0, None]}).to_parquet(tmp_path / "n.parquet")
    with pytest.raises(DataError, match="row 2: 'answer' is empty"):
        load(tmp_path / "n.parquet")
    pd.DataFrame({"question": ["a"], "answer": [7.0]}).to_parquet(tmp_path / "n.parquet")
    assert load(tmp_path / "n.parquet", reward="exact")[0].references == ("7",)


def test_what_one_object_says_twice_and_half_characters_are_told(tmp_path: Path) -> None:
    text = '{"question": "q", "answer": "1", "answer": "2"}\n{"question": "\\ud800", "answer": "1"}'
    said = told(tmp_path / "q.jsonl", text)
    assert "row 1: is no JSON ('answer' is there twice in one object)" in said
    assert "row 2: holds half of a character" in said


def test_a_pattern_that_never_ends_reads_nothing_and_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("ttc_bench.benchmarks.patterns.MOST_SECONDS", 0.05)
    endless = "^(a|a|aa)+$"
    path = written(tmp_path / "q.jsonl", [{"question": "q", "answer": "a" * 99 + "!"}])
    with pytest.raises(DataError, match="row 1: 'answer' holds nothing that reference_pattern"):
        load(path, reference_pattern=endless)
    assert "was given up after 0.05 s" in caplog.text
    job = job_of(load(path, answer_pattern=endless)[0])
    assert QUESTIONS.score("a" * 99 + "?", job)["reward"] == 0.0
    assert QUESTIONS.parse("a" * 99 + "?", job) is None


def test_what_no_reader_could_mean_is_told(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    head = "question,answer\n"
    assert "row 2: 'answer' holds #REF!, a spreadsheet's error" in told(
        tmp_path / "q.csv", f"{head}q,#REF!\n"
    )
    (tmp_path / "q.csv").write_bytes(f"{head}q,1\n".encode("utf-16-le"))
    with pytest.raises(DataError, match="holds NUL characters; save it as UTF-8"):
        load(tmp_path / "q.csv")
    twice = pa.table([pa.array(["a"])] * 3, names=["question", "question", "answer"])
    pq.write_table(twice, tmp_path / "q.parquet")
    with pytest.raises(DataError, match=r"the column 'question' is there twice\.$"):
        load(tmp_path / "q.parquet")
    pq.write_table(pa.table({"question": ["q"], "answer": [b"Rome"]}), tmp_path / "q.parquet")
    assert load(tmp_path / "q.parquet")[0].references == ("Rome",)
    raw = pa.array([b"Rome", b"Caf\xe9"])
    text = pa.Array.from_buffers(pa.string(), 2, raw.buffers())
    lists = pa.array([[b"Rome"], [b"Caf\xe9"]])
    for cells, what in ((raw, "bytes that are no"), (lists, "bytes that are no"), (text, "")):
        pq.write_table(pa.table({"question": ["q", "r"], "answer": cells}), tmp_path / "q.parquet")
        with pytest.raises(DataError, match=rf"row 2: 'answer' holds {what}.* UTF-8\.$"):
            load(tmp_path / "q.parquet")
    pictures = {"question": ["q"], "answer": ["Rome"], "image": [b"\xff\xd8"]}
    pq.write_table(pa.table(pictures), tmp_path / "q.parquet")
    assert load(tmp_path / "q.parquet")[0].references == ("Rome",)
    loaded(tmp_path / "q.csv", f"{head}q,NaN\n")
    assert "the reference of row 2 is the text 'NaN': is it missing?" in caplog.text


def test_a_number_is_the_one_that_its_file_shows(tmp_path: Path) -> None:
    import pyarrow
    import pyarrow.parquet
    from openpyxl import Workbook

    book = Workbook()
    for cells in (("question", "answer"), ("a", 0.1 + 0.2), ("b", 0.5), ("c", 1), ("d", 7)):
        book.active.append(cells)
    book.active["B3"].number_format = book.active["B4"].number_format = "0%"
    book.save(tmp_path / "q.xlsx")
    shown = [sample.references for sample in load(tmp_path / "q.xlsx")]
    assert shown == [("0.3",), ("50%",), ("100%",), ("7",)]
    single = pyarrow.array([0.1, 2.5], pyarrow.float32())
    table = pyarrow.table({"question": ["a", "b"], "answer": single})
    pyarrow.parquet.write_table(table, tmp_path / "q.parquet")
    assert [s.references for s in load(tmp_path / "q.parquet")] == [("0.1",), ("2.5",)]
    samples = loaded(tmp_path / "q.csv", '"question, in full";answer\na, b;007\nc;012\n',
                     columns={"prompt": "question, in full"})  # fmt: skip
    assert [s.reward_metric for s in samples] == ["normalised"] * 2, "a postcode is no number"


def test_instructions_have_inputs_and_choices_may_stand_by_their_letters(tmp_path: Path) -> None:
    rows = [{"instruction": "Add.", "input": "2+2", "output": "4"},
            {"instruction": "Greet.", "input": "", "output": "Hi"}]  # fmt: skip
    samples = load(written(tmp_path / "alpaca.jsonl", rows))
    assert [s.messages[-1].content for s in samples] == ["2+2\n\nAdd.", "Greet."]
    rows = [{"question": "q", "choices": "x; y", "answer": "B"}]
    (tmp_path / "q.jsonl").write_text(json.dumps(rows[0]))
    with pytest.raises(DataError, match=r"'choices' is no list of choices: give .* between \|\.$"):
        load(tmp_path / "q.jsonl")
    rows = [{"question": "q", "options": {"A": "x", "B": "y"}, "answer": "B"}]
    (sample,) = load(written(tmp_path / "letters.jsonl", rows))
    assert (sample.references, sample.grading) == (("B",), {"choices": ["x", "y"]})
