"""What a variant costs against the baseline is told only where all of its bill is known."""

from __future__ import annotations

import pandas as pd
import pytest
from tests.reporting.support import PARAMS, scores

from ttc_bench.reporting.decision import sentences
from ttc_bench.reporting.params import AggregateParams
from ttc_bench.reporting.speeds import speeds
from ttc_bench.reporting.verdicts import verdicts, word_of

REWARDS: list[float | None] = [1.0, 0.0] * 12


def told(rival: pd.DataFrame, params: AggregateParams = PARAMS) -> pd.Series:
    base = scores("baseline", "greedy", REWARDS, usd=0.01)
    table = pd.concat([base, rival], ignore_index=True)
    rows = verdicts(table, speeds(table, params), params).set_index("policy")
    return rows.loc["cascade"]


def test_a_bill_with_a_gap_has_neither_ratio_nor_mean() -> None:
    rival = scores("cascade", "confidence", REWARDS, usd=0.001, flops=1e9)
    whole = told(rival)
    assert whole["usd_ratio"] == 0.1
    assert whole["usd_mean"] == 0.001
    rival.loc[3, "usd"] = float("nan")
    gap = told(rival)
    assert pd.isna(gap["usd_ratio"])
    assert pd.isna(gap["usd_mean"])
    assert gap["flops_ratio"] == 0.5
    (sentence,) = sentences(pd.DataFrame([gap.to_dict() | {"policy": "cascade"}]))
    assert "dollars" not in sentence
    assert "cheaper by FLOPs" in sentence


def test_a_failed_job_is_no_gap_in_the_bill() -> None:
    rewards: list[float | None] = [None, *REWARDS[1:]]
    assert told(scores("cascade", "confidence", rewards, usd=0.001))["usd_ratio"] == 0.1


@pytest.mark.parametrize(
    ("lossless", "told_as"),
    [
        ([True] * 24, "identical on these 24, lossless by construction"),
        ([True] * 23 + [None], "identical on these 24; up to 12% of others may differ"),
        (None, "identical on these 24; up to 12% of others may differ"),
    ],
)
def test_what_declares_itself_lossless_is_said_to_be_so(
    lossless: list[bool | None] | None, told_as: str
) -> None:
    answers = [str(reward) for reward in REWARDS]
    base, rival = (
        scores(policy, "x", REWARDS).assign(answer=answers) for policy in ("baseline", "cascade")
    )
    base["variant"] = "greedy"
    if lossless is not None:
        rival["lossless"] = pd.array(lossless, dtype="boolean")
    table = pd.concat([base, rival], ignore_index=True)
    words = verdicts(table, speeds(table, PARAMS), PARAMS).set_index("policy")
    assert word_of(words.loc["cascade"].to_dict()) == told_as
    differing = table.assign(answer=["other", *answers[1:], *answers])
    word = verdicts(differing, speeds(table, PARAMS), PARAMS).set_index("policy").loc["cascade"]
    assert word["verdict"] != "identical", "what is declared is no answer"
    assert words.loc["cascade", "same_share"] == 1.0
    assert word["same_share"] == pytest.approx(23 / 24)


def test_a_failed_answer_is_neither_the_same_nor_another() -> None:
    answers = pd.array([None, *map(str, REWARDS[1:])], dtype="object")
    rival = scores("cascade", "confidence", [None, *REWARDS[1:]]).assign(answer=answers)
    assert told(rival)["same_share"] is pd.NA, "the baseline's answers are not known"
    base = scores("baseline", "greedy", REWARDS).assign(answer=[str(r) for r in REWARDS])
    table = pd.concat([base, rival], ignore_index=True)
    rows = verdicts(table, speeds(table, PARAMS), PARAMS).set_index("policy")
    assert rows.loc["cascade", "same_share"] == 1.0


def test_times_that_were_not_taken_side_by_side_have_no_ratio() -> None:
    rival = told(scores("cascade", "confidence", REWARDS, usd=0.01, ttft_s=0.1, energy_j=1.0))
    assert pd.isna(rival["speed"])
    assert not [name for name in rival.index if name.startswith(("ttft", "energy"))]
