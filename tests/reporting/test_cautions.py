"""What soothes is said with what does not: worthless answers, and samples that are copies."""

from __future__ import annotations

import json

import pandas as pd
from tests.reporting.support import scores

from ttc_bench.metrics.sampling import Candidates, pool_note
from ttc_bench.pipelines.aggregate.nodes import collect_scores
from ttc_bench.reporting.cautions import cautions


def sampled(distinct: list[int]) -> pd.DataFrame:
    """A variant with three samples of the same answer a question, of so many different texts."""
    noted = {"pool": {"temperature": 0.7}}
    candidates = Candidates([1.0] * 3, ["42"] * 3)
    notes = [pool_note(candidates, noted, 1.0, number) for number in distinct]
    return scores("self_consistency", "majority", [1.0] * len(distinct)).assign(samples=notes)


def test_answers_without_a_reward_and_without_a_form_are_counted_failures_apart() -> None:
    table = scores("baseline", "greedy", [1.0, 0.0, 0.0, None]).assign(
        format_compliance=[1.0, 1.0, 0.0, None]
    )
    (line,) = cautions(table)
    assert "Of 3 answers, 2 have the reward 0, and 1 does not have the form" in line


def test_samples_that_never_vary_are_told_and_agreement_alone_is_not() -> None:
    base = scores("baseline", "greedy", [1.0] * 5).assign(samples=None)
    (_, line) = cautions(collect_scores(base, sampled([1] * 5)))
    assert line.startswith("self_consistency.majority on crm_sim: the samples of each of 5")
    assert len(cautions(collect_scores(base, sampled([1, 1, 1, 1, 2])))) == 1
    assert len(cautions(sampled([1, 1, 1]))) == 1, "three questions may be chance"


def test_what_was_odd_about_calls_is_told_with_its_number() -> None:
    notes = json.dumps(["usage: estimated by us", "prompt_cut: the server read 9 of about 99"])
    table = scores("baseline", "greedy", [1.0, 1.0, 0.0]).assign(notes=[notes, None, notes])
    _, cut, usage = cautions(table)
    assert cut == (
        "2 of 3 responses answer a prompt of which the server read a part (baseline.greedy)."
    )
    assert usage.startswith("2 of 3 responses have no token counts from their server")
    assert len(cautions(table.drop(columns="notes"))) == 1, "scores of an earlier version"
