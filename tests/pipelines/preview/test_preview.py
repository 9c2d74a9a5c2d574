"""The preview shows what the model gets and what is read, with no call; the README's table runs."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import REFERENCE, ROOT, ingested

from ttc_bench.benchmarks import benchmark_of
from ttc_bench.benchmarks.questions import QuestionsParams
from ttc_bench.engines.base import Engine
from ttc_bench.engines.local import LocalModels
from ttc_bench.hooks.parameters import with_sources
from ttc_bench.pipelines.ingest_benchmarks.nodes import ingest_questions
from ttc_bench.pipelines.ingest_benchmarks.params import QuestionSet, prompting_of
from ttc_bench.pipelines.preview.nodes import as_plain, preview
from ttc_bench.pipelines.preview.params import PreviewParams
from ttc_bench.types import Job


def table_of_the_readme(folder: Path) -> Path:
    text = re.search(r"```csv\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert text is not None
    (folder / "questions.csv").write_text(text[1])
    return folder / "questions.csv"


def questions(path: Path, **settings: Any) -> list[Job]:
    source = QuestionsParams(path=str(path), name="mine", **settings)
    own = QuestionSet(source=source, prompting=prompting_of("mine", {}))
    return ingest_questions(None, {"mine": own}, 0)


def test_the_table_of_the_readme_is_shown_as_the_model_gets_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    jobs = questions(table_of_the_readme(tmp_path))
    # One that no other test has let load its weights.
    engine = LocalModels(target=str(REFERENCE / "target")).build()
    text = preview(jobs, engine, PreviewParams(prompts=2))
    assert text == capsys.readouterr().out
    assert text.startswith(f"mine: 2 of {len(jobs)} questions")
    assert text.count("===") == 4
    assert "<|user|>What is 17 + 25?<|end|><|assistant|>" in text
    assert "Answer: 42  ->  reward 1.00, vote '42'" in text
    assert "\n  42  ->  reward 1.00, no vote: no answer in the form asked for" in text
    assert "I do not know.  ->  reward 0.00, no vote: no answer in the form asked for" in text
    assert text.splitlines()[1].startswith("vote: the answer by which policies compare")
    assert not engine._loaded


def test_sample_answers_are_right_but_the_last_two(tmp_path: Path, engine: Engine) -> None:
    from ttc_bench.pipelines.preview.nodes import sample_answers

    jobs = [*questions(table_of_the_readme(tmp_path)), *ingested("crm_sim", 3)]
    for job in jobs:
        others = [other for other in jobs if other.benchmark == job.benchmark]
        *right, wrong, unknown = sample_answers(job, others)
        rewards = [benchmark_of(job).score(text, job)["reward"] for text in right]
        assert rewards
        assert set(rewards) == {1.0}
        assert benchmark_of(job).score(wrong, job)["reward"] == 0.0
        assert benchmark_of(job).parse(unknown, job) is None


def test_what_a_terminal_would_act_on_is_written_out(tmp_path: Path, engine: Engine) -> None:
    (tmp_path / "q.csv").write_text('question,answer\n"[red]\x1b[31m{x} \u202e<b>",1\n')
    text = preview(questions(tmp_path / "q.csv"), engine, PreviewParams())
    assert "[red]\\x1b[31m{x} \\u202e<b>" in text
    assert as_plain("a\n\tb") == "a\n\tb"


def test_a_path_on_the_command_line_names_the_benchmark() -> None:
    settings = {"benchmarks": ["crm_sim"], "sources": {}}
    asked = {"sources": {"mine": {"path": "q.csv"}}}
    assert with_sources(settings, asked)["benchmarks"] == ["mine"]
    assert with_sources(settings, {**asked, "benchmarks": ["crm_sim"]}) is settings
    assert with_sources(settings, {"sources": {"mine": {"reward": "exact"}}}) is settings
