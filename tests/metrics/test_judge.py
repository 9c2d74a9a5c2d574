from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metrics.support import (
    PLAN,
    batch_of,
    is_null,
    make_job,
    make_response,
    run,
    workflow_job,
)

from ttc_bench.metrics.base import METRICS, Null
from ttc_bench.metrics.judge import (
    BEST,
    NOT_JUDGED,
    JudgeParams,
    pair_prompt,
    read_grades,
    read_verdict,
    rubric_prompt,
)
from ttc_bench.reporting.judge_summary import cohens_kappa

NAMES = ["correctness", "clarity"]


@given(st.text(), st.lists(st.integers(1, BEST), min_size=2, max_size=2))
def test_grades_at_the_end_are_read_whatever_stands_before(text: str, grades: list[int]) -> None:
    lines = [f"{name}: {grade}" for name, grade in zip(NAMES, grades, strict=True)]
    assert read_grades("\n".join([text, *lines]), NAMES) == dict(zip(NAMES, grades, strict=True))


@pytest.mark.parametrize(
    "reply",
    [
        "",
        "correctness: 4",
        "clarity: 4\ncorrectness: 4",
        "correctness: 6\nclarity: 4",
        "correctness: 0\nclarity: 4",
        "correctness: 4.5\nclarity: 4",
        "correctness: 4/5\nclarity: 4",
        "correctness: four\nclarity: 4",
        "correctness: 4\nclarity: 4\nI hope this helps.",
        "correctness: 4, clarity: 4",
        "correctness: N\nclarity: N",
    ],
)
def test_grades_in_any_other_form_are_not_guessed(reply: str) -> None:
    assert read_grades(reply, NAMES) is None


@pytest.mark.parametrize(
    ("reply", "verdict"),
    [
        ("[[A]]", "A"),
        ("B says 3, A says 4.\n\n [[B]] \n", "B"),
        ("As said: [[C]]\n[[C]]", "C"),
        ("", None),
        ("A", None),
        ("[[D]]", None),
        ("[[A]] or [[B]]\n[[A]]", None),
        ("The verdict is [[A]]", None),
        ("[[A]]\nI hope this helps.", None),
    ],
)
def test_a_verdict_stands_alone_on_the_last_line(reply: str, verdict: str | None) -> None:
    assert read_verdict(reply) == verdict


@given(st.text(max_size=300))
def test_any_reply_is_read_without_an_error(reply: str) -> None:
    assert read_verdict(reply) in (None, "A", "B", "C")
    grades = read_grades(reply, NAMES)
    assert grades is None or set(grades.values()) <= set(range(1, BEST + 1))


def test_prompts_show_the_reference_only_if_asked_to() -> None:
    job, odd = make_job(references=("G-17",)), "{task} {0} \\ [[A]]"
    for shown in (True, False):
        params = JudgeParams(reference=shown)
        for prompt in (rubric_prompt(job, odd, params), pair_prompt(job, odd, "B text", params)):
            assert ("G-17" in prompt) is shown
            assert odd in prompt, "what a model wrote is no template"
            assert job.messages[0].content in prompt
    private = make_job(reward_metric="privacy_rejection", references=(None,))
    assert "decline" in rubric_prompt(private, "x", JudgeParams())


def test_the_family_is_off_and_null_without_judgements() -> None:
    assert not METRICS["judge"].default
    job = make_job()
    for values in run("judge", batch_of([(job, make_response(job))])).values():
        assert values == [Null(NOT_JUDGED)]


def test_agreement_needs_an_exact_match() -> None:
    job, plan = make_job(), workflow_job()
    batch = batch_of([(job, make_response(job)), (plan, make_response(plan, PLAN))])
    said = {
        "judge_model": ["j", "j"],
        "judge_grades": ['{"correctness": 4, "clarity": 2}'] * 2,
        "judge_correct_from": [4, 4],
        "judge_first": ["win", "loss"],
        "judge_second": ["win", "tie"],
    }
    numbers = ("judge_calls", "judge_prompt_tokens", "judge_completion_tokens")
    columns = {**batch.columns, **said, **{name: [3, 3] for name in numbers}}
    batch = type(batch)(batch.jobs, columns, batch.params, {"exact_match": [0.0, None]})
    found = run("judge", batch)
    assert found["judge_rubric"] == [0.5, 0.5]
    assert found["judge_correct"] == [1.0, 1.0]
    assert found["judge_agreement"][0] == 0.0
    assert is_null(found["judge_agreement"][1])
    assert found["judge_win"] == [1.0, 0.5]
    assert found["judge_consistency"] == [1.0, 0.0]
    assert found["judge_tokens"] == [6, 6]
    assert all(map(is_null, found["judge_usd"]))


@given(st.lists(st.tuples(st.sampled_from([0.0, 1.0]), st.sampled_from([0.0, 1.0])), min_size=1))
def test_kappa_is_one_for_full_agreement_and_at_most_that(
    pairs: list[tuple[float, float]],
) -> None:
    found = cohens_kappa(pairs)
    same = cohens_kappa([(a, a) for a, _ in pairs])
    if len({a for a, _ in pairs}) == 2:
        assert same == pytest.approx(1.0)
        assert found is not None
        assert -1.0 <= found <= 1.0 + 1e-12
    else:
        assert same is None
