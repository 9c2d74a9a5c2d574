"""The presets read rows as they are published, and the answers that models of each set give."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT

from ttc_bench.benchmarks import Prompting
from ttc_bench.benchmarks.questions import QUESTIONS, QuestionsParams
from ttc_bench.errors import UserError
from ttc_bench.params import parse_params
from ttc_bench.types import Job

PRESETS = yaml.safe_load((ROOT / "conf/base/parameters_presets.yml").read_text())["sources"]

ROWS: dict[str, dict[str, Any]] = {
    "gsm8k": {
        "question": "Natalia sold clips to 48 of her friends in April, and half as many in May.",
        "answer": "In May: 48/2 = <<48/2=24>>24 clips.\nAltogether <<48+24=72>>1,072.\n#### 1,072",
    },
    "math500": {
        "problem": "Convert $(0,3)$ to polar coordinates.",
        "solution": "Hence $r = 3$. Therefore $\\boxed{\\left( 3, \\frac{\\pi}{2} \\right)}$",
        "answer": "\\left( 3, \\frac{\\pi}{2} \\right)",
        "subject": "Precalculus",
        "level": 2,
        "unique_id": "test/precalculus/807.json",
    },
    "gpqa": {
        "Record ID": "rec06pnAkLOr2t2mp",
        "Question": "Which energy difference would be clearly resolved?\n",
        "Correct Answer": "10^-4 eV\n",
        "Incorrect Answer 1": "10^-11 eV",
        "Incorrect Answer 2": "10^-8 eV\n",
        "Incorrect Answer 3": "10^-9 eV",
        "High-level domain": "Physics",
    },
    "mmlu_pro": {
        "question_id": 70,
        "question": "Typical advertising bodies suggest that ads must not be?",
        "options": ["Safe", "Unsafe", "Fear", "Distress", "Fear", "x", "y", "z", "v", "w"],
        "answer": "D",
        "answer_index": 3,
        "cot_content": "A: Let's think step by step. We refer to Wikipedia. The answer is (D).",
        "category": "business",
        "src": "ori_mmlu-business_ethics",
    },
}
ANSWERS = {
    "gsm8k": (
        "72 * ...\n#### 1072",
        "The answer is $1,072.",
        "Answer: 1072 clips",
        "\\boxed{1072}",
    ),
    "math500": (
        "So $\\boxed{(3, \\pi/2)}$.",
        "Final Answer: The final answer is $(3,\\frac{\\pi}{2})$. I hope it is correct.",
        "Answer: $\\left(3,\\frac{\\pi}{2}\\right)$",
    ),
    "gpqa": (
        "The correct answer is ({})",
        "Answer: {}",
        "**Answer: {}**",
        "The answer is {}.",
        "Answer: 10^-4 eV",
    ),
    "mmlu_pro": (
        "The answer is ({}).",
        "Answer: {}",
        "\\boxed{{{}}}",
        "The best answer is {}: distress",
    ),
}


def preset(name: str, tmp_path: Path, **changes: Any) -> tuple[QuestionsParams, Job]:
    path = tmp_path / f"{PRESETS[name]['split']}.jsonl"
    path.write_text(json.dumps(ROWS[name]) + "\n")
    settings = {**PRESETS[name], "path": str(path), "name": name, **changes}
    params = parse_params(QuestionsParams, settings, f"sources.{name}")
    (sample,) = QUESTIONS.load(params)
    return params, QUESTIONS.render(sample, Prompting(), params)


@pytest.mark.parametrize("name", PRESETS)
def test_published_rows_and_answer_forms_are_read(name: str, tmp_path: Path) -> None:
    _, job = preset(name, tmp_path)
    gold = str(job.references[0])
    right = [form.format(gold) if name in ("gpqa", "mmlu_pro") else form for form in ANSWERS[name]]
    for text in (*right, QUESTIONS.gold(job)):
        assert QUESTIONS.score(text, job)["reward"] == 1.0, text
    assert len({QUESTIONS.parse(text, job) for text in right}) == 1
    for wrong in ("I do not know.", "Answer: 7", "The answer is (E).", "#### 10721"):
        assert QUESTIONS.score(wrong, job)["reward"] == 0.0


def test_gold_answers_are_what_was_published(tmp_path: Path) -> None:
    jobs = {name: preset(name, tmp_path)[1] for name in PRESETS}
    assert jobs["gsm8k"].references == ("1,072",)
    assert jobs["mmlu_pro"].references == ("D",)
    assert (jobs["mmlu_pro"].task, jobs["math500"].difficulty) == ("business", "2")
    assert "\nJ) w" in jobs["mmlu_pro"].messages[-1].content
    letter = jobs["gpqa"].references[0]
    assert f"{letter}) 10^-4 eV" in jobs["gpqa"].messages[-1].content


def test_worked_solutions_are_shown_as_they_were_published(tmp_path: Path) -> None:
    for name, place in (("gsm8k", "answer"), ("mmlu_pro", "cot_content")):
        train = tmp_path / "train.jsonl"
        other = {**ROWS[name], "question": "Another one?"}
        train.write_text(json.dumps(other) + "\n")
        changes = {"train_path": str(train), "train_split": None}
        params, _ = preset(name, tmp_path, **changes)
        (sample,) = QUESTIONS.load(params)
        job = QUESTIONS.render(sample, Prompting(shots=1), params)
        (shown,) = (m.content for m in job.messages if m.role == "assistant")
        assert shown == ROWS[name][place]


PUBLISHED_MATH = {
    "\\left( 3, \\frac{\\pi}{2} \\right)": ("(3, \\pi/2)", "(3, \\pi/3)"),
    "p - q": ("-q + p", "q - p"),
    "\\frac{14}{3}": ("14/3", "3/14"),
    "\\text{Evelyn}": ("Evelyn", "Carla"),
    "90^\\circ": ("90", "45^\\circ"),
    "3\\sqrt{13}": ("\\sqrt{117}", "\\sqrt{13}"),
    "6 - 5i": ("-5i + 6", "6 + 5i"),
    "1,-2": ("-2, 1", "1, 2"),
    "52_8": ("52_8", "53_8"),
    "11\\sqrt2": ("11\\sqrt{2}", "2\\sqrt{11}"),
    "(-\\infty,0]": ("(-\\infty, 0]", "(0, \\infty)"),
    "\\$32,\\!348": ("32348", "32.348"),
    "10\\%": ("10%", "11\\%"),
    "x=5": ("5", "x=6"),
    "2k+2": ("2(k+1)", "2k+1"),
    "\\text{(C)}": ("(C)", "(D)"),
    "1 \\pm \\sqrt{19}": ("1+\\sqrt{19}, 1-\\sqrt{19}", "1 \\pm \\sqrt{17}"),
    "\\begin{pmatrix} -1/3 \\\\ 2/3 \\\\ 5/3 \\end{pmatrix}": (
        "\\begin{pmatrix} -\\frac{1}{3} \\\\ \\frac{2}{3} \\\\ \\frac{5}{3} \\end{pmatrix}",
        "\\begin{pmatrix} 1 \\\\ 2 \\\\ 5 \\end{pmatrix}",
    ),
}
"""Kinds of answers in the published file, each in another writing, and what differs."""


@pytest.mark.parametrize("gold", PUBLISHED_MATH)
def test_every_kind_of_published_mathematics_is_read(gold: str, tmp_path: Path) -> None:
    row = ROWS["math500"] | {"answer": gold}
    (tmp_path / "test.jsonl").write_text(json.dumps(row))
    settings = {**PRESETS["math500"], "path": str(tmp_path / "test.jsonl"), "name": "math500"}
    params = parse_params(QuestionsParams, settings, "sources.math500")
    job = QUESTIONS.render(QUESTIONS.load(params)[0], Prompting(), params)
    right, wrong = PUBLISHED_MATH[gold]
    for form in ("So $\\boxed{{{}}}$.", "ANSWER: ${}$", "Answer: {}"):
        assert QUESTIONS.score(form.format(gold), job)["reward"] == 1.0
        assert QUESTIONS.score(form.format(right), job)["reward"] == 1.0
        assert QUESTIONS.score(form.format(wrong), job)["reward"] == 0.0


PUBLISHED_FILES: dict[str, tuple[str, ...]] = {
    "gsm8k": (
        "main/test-00000-of-00001.parquet", "main/train-00000-of-00001.parquet",
        "socratic/test-00000-of-00001.parquet",
    ),
    "math500": ("test.jsonl",),
    "gpqa": ("gpqa_diamond.csv", "gpqa_extended.csv", "gpqa_main.csv"),
    "mmlu_pro": ("data/test-00000-of-00001.parquet", "data/validation-00000-of-00001.parquet"),
}  # fmt: skip
"""Files of each data set as it lies on the hub, the one that is scored first."""


def write_published(folder: Path, name: str) -> None:
    """Write files of a data set's form, each of one row; all but the first are named in it."""
    import pandas as pd

    question = PRESETS[name]["columns"]["prompt"]
    for place, file in enumerate(PUBLISHED_FILES[name]):
        frame = pd.DataFrame([ROWS[name] | ({question: file} if place else {})])
        path = folder / file
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            frame.to_parquet(path)
        elif path.suffix == ".csv":
            frame.to_csv(path, index=False)
        else:
            frame.to_json(path, orient="records", lines=True)


@pytest.mark.parametrize("name", PRESETS)
def test_a_copy_of_the_published_files_takes_the_hubs_place(name: str, tmp_path: Path) -> None:
    write_published(tmp_path, name)
    asked = ROWS[name][PRESETS[name]["columns"]["prompt"]].strip()
    for path in (tmp_path, tmp_path / PUBLISHED_FILES[name][0]):
        settings = {**PRESETS[name], "path": str(path), "name": name}
        params = parse_params(QuestionsParams, settings, f"sources.{name}")
        (sample,) = QUESTIONS.load(params)
        assert asked in sample.messages[-1].content
        if "train_split" not in settings:
            continue
        if path.is_dir():
            (shown,) = QUESTIONS.examples(sample, 1, params)
            assert PUBLISHED_FILES[name][1] in shown.messages[-1].content
        else:
            with pytest.raises(UserError, match="is a single file, whose questions are scored"):
                QUESTIONS.examples(sample, 1, params)
