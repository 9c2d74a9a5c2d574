from __future__ import annotations

import json
from dataclasses import replace
from itertools import combinations
from math import inf

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.metrics.support import batch_of, is_null, make_job, make_response, run

from ttc_bench.errors import DataError
from ttc_bench.metrics.base import Null, Value
from ttc_bench.metrics.sampling import expected_calibration_error, pass_at_k

JOB = make_job(references=("a",), task="other")


def sampled(*answers: str, text: str = "Answer: a", **changes: object) -> dict[str, list[Value]]:
    samples = tuple(f"Answer: {answer}" if answer else "?" for answer in answers)
    response = make_response(JOB, text, samples=samples, **changes)
    return run("sampling", batch_of([(JOB, response)], [1.0]))


@given(st.lists(st.booleans(), min_size=1, max_size=9), st.data())
def test_pass_at_k_is_the_share_of_subsets_with_a_correct_sample(
    correct: list[bool], data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, len(correct)))
    subsets = list(combinations(correct, k))
    share = sum(any(subset) for subset in subsets) / len(subsets)
    assert pass_at_k(len(correct), sum(correct), k) == pytest.approx(share)


def test_samples_are_worth_their_answers() -> None:
    found = sampled("b", "a", "b", "", "A and b")
    assert found["samples_drawn"] == [5]
    assert found["pass_at_1"] == [pytest.approx(0.2)]
    assert found["pass_at_2"] == [pytest.approx(0.4)]
    assert found["pass_at_4"] == [pytest.approx(0.8)]
    assert found["pass_at_8"] == [Null("fewer than 8 samples")]
    assert found["majority_reward"] == [0.0]
    assert found["oracle_reward"] == [1.0]
    assert found["mean_sample_reward"] == [pytest.approx(0.2)]
    assert found["selection_regret"] == [0.0]
    assert found["answer_diversity"] == [pytest.approx(0.8)]
    assert found["unreadable_share"] == [pytest.approx(0.2)]
    assert found["confidence"] == [pytest.approx(0.2)]
    assert found["brier"] == [pytest.approx(0.64)]
    assert found["ece"] == [pytest.approx(0.8)]


def test_a_tie_goes_to_the_first_answer() -> None:
    assert sampled("a", "b")["majority_reward"] == [1.0]
    assert sampled("b", "a")["majority_reward"] == [0.0]
    assert sampled("", "")["majority_reward"] == [0.0]


def test_one_answer_has_no_vote() -> None:
    found = sampled()
    assert found["samples_drawn"] == [0]
    for name in ("majority_reward", "confidence", "brier", "ece", "pass_at_1"):
        assert is_null(found[name][0]), name


def test_the_policys_own_confidence_counts() -> None:
    found = sampled("b", "b", info={"confidence": 0.75})
    assert found["confidence"] == [0.75]
    assert found["brier"] == [0.0625]


@given(st.lists(st.tuples(st.floats(0, 1), st.sampled_from([0.0, 1.0])), min_size=1, max_size=60))
def test_calibration_error_by_brute_force(pairs: list[tuple[float, float]]) -> None:
    error = 0.0
    for low in range(10):
        rows = [p for p in pairs if low <= min(int(p[0] * 10), 9) < low + 1]
        if rows:
            gap = abs(sum(c for c, _ in rows) / len(rows) - sum(h for _, h in rows) / len(rows))
            error += gap * len(rows) / len(pairs)
    assert expected_calibration_error(*zip(*pairs, strict=True)) == pytest.approx(error)


def test_calibration_of_a_perfect_and_of_a_wrong_oracle() -> None:
    assert expected_calibration_error([1.0, 1.0], [1.0, 1.0]) == 0.0
    assert expected_calibration_error([1.0, 1.0], [0.0, 0.0]) == 1.0


@pytest.mark.parametrize(
    ("info", "said"),
    [
        ("{", "damaged: invalid JSON"),
        ("[1]", "damaged: input should be"),
        ('"text"', "damaged: input should be"),
        ('{"pool": 1}', "damaged at pool: input should be"),
        ('{"pool": {"n": "many"}}', "damaged at pool.n: input should be"),
        ('{"pool": {}, "scores": ["high", 1]}', "damaged at scores.0: input should be"),
        ('{"pool": {}, "scores": [0.5], "scored_by": "verifier"}', "damaged at scores: 1 of 2"),
    ],
)
def test_notes_of_others_that_are_damaged_are_one_line_with_the_response(
    info: str, said: str
) -> None:
    batch = batch_of([(JOB, make_response(JOB, samples=("a", "b")))], [1.0])
    (policy,), (variant,) = batch.column("policy"), batch.column("variant")
    with pytest.raises(DataError) as failure:
        run("sampling", replace(batch, columns={**batch.columns, "info": [info]}))
    of = f"The column info of the response of {policy}.{variant} to {JOB.id} is damaged"
    assert failure.value.message.startswith(of)
    assert said in failure.value.message
    assert "\n" not in failure.value.message


@pytest.mark.parametrize("unanswered", [-inf, None], ids=["as scored", "as stored"])
def test_the_pool_is_noted_for_later_stages(unanswered: float | None) -> None:
    scores = [0.5, unanswered, 0.25]
    info = {"pool": {"temperature": 0.8}, "scores": scores, "scored_by": "verifier"}
    (note,) = sampled("b", "a", "b", info=info)["samples"]
    assert json.loads(str(note)) == {
        "pool": {"temperature": 0.8},
        "rewards": [0.0, 1.0, 0.0],
        "answers": [0, 1, 0],
        "scores": {"verifier": [0.5, None, 0.25]},
        "success": 1.0,
        "distinct": 2,
    }
    assert sampled("b", "a")["samples"] == [None], "a policy that noted no pool has none"
    assert sampled(info=info)["samples"] == [None], "no sample, no pool"
