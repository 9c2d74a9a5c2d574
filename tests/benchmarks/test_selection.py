"""A limit takes every task and difficulty in its share, the same questions in every run."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.benchmarks.selection import stratified
from ttc_bench.types import Message, Sample

CELLS = st.lists(
    st.tuples(st.sampled_from("abcd"), st.sampled_from(["easy", "hard", None])),
    min_size=1,
    max_size=60,
)


def samples_of(cells: list[tuple[str, str | None]]) -> list[Sample]:
    """One sample per cell, in the order given, as a file sorted by task would have them."""
    return [
        Sample(
            id=str(number),
            benchmark="b",
            task=task,
            difficulty=difficulty,
            messages=(Message(role="user", content=str(number)),),
            references=("x",),
            reward_metric="exact_match",
        )
        for number, (task, difficulty) in enumerate(cells)
    ]


@given(CELLS, st.integers(1, 60), st.integers(0, 5))
def test_each_task_is_within_one_question_of_its_share(
    cells: list[tuple[str, str | None]], limit: int, seed: int
) -> None:
    samples = samples_of(cells)
    taken = stratified(samples, limit, seed)
    assert len(taken) == min(limit, len(samples))
    assert len({sample.id for sample in taken}) == len(taken)
    everything, chosen = (Counter(s.task for s in part) for part in (samples, taken))
    for task, number in everything.items():
        assert abs(chosen[task] - number * len(taken) / len(samples)) < 2


@given(CELLS, st.integers(1, 30), st.integers(0, 5))
def test_a_higher_limit_adds_to_a_lower_one(
    cells: list[tuple[str, str | None]], limit: int, seed: int
) -> None:
    samples = samples_of(cells)
    fewer = stratified(samples, min(limit, len(samples) - 1) or 1, seed)
    more = stratified(samples, limit + 5, seed)
    assert {sample.id for sample in fewer} <= {sample.id for sample in more}


def test_a_file_sorted_by_task_is_covered_by_a_small_limit() -> None:
    samples = samples_of([(task, level) for task in "abcdefgh" for level in ("easy", "hard") * 20])
    taken = stratified(samples, 24, seed=0)
    assert Counter(sample.task for sample in taken) == dict.fromkeys("abcdefgh", 3)
    assert Counter(sample.difficulty for sample in taken) == {"easy": 12, "hard": 12}


def test_the_seed_decides_which_questions_stand_for_a_task() -> None:
    samples = samples_of([("a", None)] * 100)
    first, second = stratified(samples, 10, seed=0), stratified(samples, 10, seed=1)
    assert first == stratified(samples, 10, seed=0)
    assert first != second


def test_without_a_limit_the_order_of_the_source_stays() -> None:
    samples = samples_of([("b", None), ("a", None), ("b", "hard")])
    assert stratified(samples, None, seed=3) == samples == stratified(samples, 3, seed=3)
