"""Answers in sentences are read as the authors' model is told to read them."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ttc_bench.benchmarks.scoring.crm_answers import extract
from ttc_bench.benchmarks.scoring.crm_reward import exact_match

TASKS = {
    "id": "case_routing",
    "month": "monthly_trend_analysis",
    "state": "best_region_identification",
    "bant": "lead_qualification",
    "stage": "wrong_stage_rectification",
}
GOLD = {
    "id": ["None"],
    "month": ["None", "May", "June"],
    "state": ["None", "CA", "TX"],
    "bant": ["None", "Budget", "Authority", "Need", "Timeline"],
    "stage": ["None", "Qualification", "Discovery", "Quote", "Negotiation", "Closed"],
}
CASES = [
    line.split(" | ")
    for line in Path(__file__).with_name("crm_answer_cases.txt").read_text().splitlines()
    if line and not line.startswith("#")
]
NAMES = st.sampled_from(["June", "October", "January", "November", "April"])
IDS = st.lists(
    st.from_regex(r"005Wt[A-Z0-9]{10}", fullmatch=True), min_size=1, max_size=7, unique=True
)


@pytest.mark.parametrize(("kind", "answer", "named"), CASES)
def test_an_answer_names_what_a_reader_says(kind: str, answer: str, named: str) -> None:
    if named != "?":
        assert extract(answer, TASKS[kind]) == tuple(sorted(named.split(",")))
    for gold in GOLD[kind]:  # and is right for no other gold answer
        reference = None if gold == "None" else gold
        assert exact_match(answer, (reference,), TASKS[kind]) == (named == gold)


@given(IDS, st.sampled_from([", ", " and ", "\n", ";\n", " as well as "]))
def test_all_ids_and_only_they_are_named(ids: list[str], separator: str) -> None:
    answer = f"These are the tasks: {separator.join(ids)}."
    assert extract(answer, "activity_priority") == tuple(sorted(ids))
    assert exact_match(answer, ids, "activity_priority")
    assert not exact_match(answer, [*ids, "005WtZZZZZZZZZ9"], "activity_priority")
    assert not exact_match(answer, ids[1:] or [None], "activity_priority")


@given(NAMES, NAMES, st.sampled_from(["{}, not {}", "{} rather than {}", "{} instead of {}"]))
def test_what_is_ruled_out_is_not_named(right: str, wrong: str, form: str) -> None:
    if right != wrong:
        assert extract(form.format(right, wrong), "monthly_trend_analysis") == (right,)
        both = extract(f"{right} or {wrong}", "monthly_trend_analysis")
        assert both == tuple(sorted([right, wrong]))


FACTORS = ["Budget", "Authority", "Need", "Timeline"]


@given(st.permutations(FACTORS), st.integers(1, 3), st.sampled_from(range(4)))
def test_only_unmet_factors_are_named(factors: list[str], count: int, form: int) -> None:
    met, unmet = ", ".join(factors[count:]), " and ".join(factors[:count])
    answer = [
        f"The lead meets {met} but fails {unmet}.",
        f"{met} are met, but {unmet} are not.",
        f"It lacks {unmet}. It has {met}.",
        f"All factors are satisfied except {unmet}.",
    ][form]
    assert extract(answer, "lead_qualification") == tuple(sorted(factors[:count]))


@given(st.text(max_size=200), st.sampled_from([*TASKS.values(), "unknown", None]))
def test_any_text_is_read(text: str, task: str | None) -> None:
    names = extract(text, task)
    assert names is None or names == tuple(sorted(names))


@pytest.mark.timeout(20)
@pytest.mark.parametrize("task", TASKS.values())
@pytest.mark.parametrize(
    "text", ["not " * 20_000, "Quote " * 10_000, "no a " * 10_000, "Budget, " * 9_000, "a" * 90_000]
)
def test_long_texts_are_read_in_reasonable_time(task: str, text: str) -> None:
    extract(text, task)
