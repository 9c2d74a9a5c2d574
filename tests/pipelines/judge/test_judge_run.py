"""The judge and the score stage as a user runs them, on the embedded reference model."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
from tests.conftest import KedroRun

from ttc_bench.pipeline_registry import register_pipelines

QUICK = "score.families.bert_score=false"
GENERATE = f"--params=benchmarks=[crm_sim],limit=2,{QUICK}"


def test_no_pipeline_but_its_own_calls_the_judge() -> None:
    found = {n for n, p in register_pipelines().items() if any("judge" in k.tags for k in p.nodes)}
    assert found == {"judge"}


def test_stored_responses_are_judged_and_rescored(kedro_run: KedroRun, project: Path) -> None:
    wanted = "--to-outputs=baseline.greedy.scores,self_refine.feedback.scores"
    done = kedro_run("--pipeline=self_refine", wanted, GENERATE)
    assert done.exit_code == 0, done.output
    output = project / "data" / "07_model_output"
    responses = {p.name: p.read_bytes() for p in (output / "responses").iterdir()}

    table = pd.read_parquet(output / "scores" / "baseline.greedy.parquet")
    assert (table["peak_rss_bytes"] > 50e6).all(), "the run was monitored"
    assert table["cpu_share"].between(0, 1).all()
    assert (table["mean_logprob"] < 0).all()
    why = json.loads(table["null_reasons"].iloc[0])
    assert "judge.*" in why["the family is switched off"]

    stored = _scores(output)
    lines = _lines(output)
    scored = kedro_run("--pipeline=score", f"--params={QUICK}")
    assert scored.exit_code == 0, scored.output
    assert _scores(output) == stored, "the same inputs give the same bytes"
    assert _lines(output) == lines, "scoring calls no model"

    judged = kedro_run("--pipeline=judge", f"--params={QUICK},judge.max_tokens=16")
    assert judged.exit_code == 0, judged.output
    assert "judged by target" in judged.output
    said = pd.read_parquet(output / "judgements" / "self_refine.feedback.parquet")
    graded = said["judge_grades"].notna() ^ said["judge_rubric_error"].notna()
    assert graded.all(), "grades, or why there are none"
    assert (said["judge_calls"] >= 1).all()
    scores = pd.read_parquet(output / "scores" / "self_refine.feedback.parquet")
    assert (
        scores["judge_tokens"].to_list()
        == (said["judge_prompt_tokens"] + said["judge_completion_tokens"]).to_list()
    )
    after = {p.name: p.read_bytes() for p in (output / "responses").iterdir()}
    assert after == responses, "the judge's bill is not the responses'"

    lines = _lines(output)
    summary = project / "data" / "08_reporting" / "judge_summary.parquet"
    assert pd.read_parquet(summary)["spent_calls"].sum() > 0
    again = kedro_run("--pipeline=judge", f"--params={QUICK},judge.max_tokens=16")
    assert again.exit_code == 0, again.output
    assert _lines(output) == lines, "nothing is paid twice"
    assert pd.read_parquet(summary)["spent_calls"].sum() == 0


def _scores(output: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (output / "scores").iterdir()}


def _lines(output: Path) -> int:
    return (output / "journal.jsonl").read_bytes().count(b"\n")
