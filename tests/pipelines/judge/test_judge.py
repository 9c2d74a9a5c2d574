"""The judge on a real HTTP server: what it says, what is read of it, and what it costs."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import pandas as pd
import pytest
from tests.metrics.support import make_job, make_response

from ttc_bench.engines.hosted import HostedEngine, HostedModels
from ttc_bench.errors import DataError, UserError
from ttc_bench.metrics.base import METRICS, ScoreParams
from ttc_bench.metrics.judge import JudgeParams, read_refusal
from ttc_bench.params import parse_params
from ttc_bench.pipelines.judge.nodes import judge_responses, score_judged
from ttc_bench.pipelines.score.nodes import score_responses
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.responses import to_frame
from ttc_bench.reporting.cautions import cautions
from ttc_bench.reporting.floors import floors
from ttc_bench.reporting.judge_summary import show_judgements, summarise

PARAMS: dict[str, Any] = {"criteria": {"correctness": "right", "clarity": "clear"}}
PRICES = {"openai/fair": {"prompt": 10.0, "completion": 100.0}}
USD = (100 * 10.0 + 10 * 100.0) / 1e6
GOLD = ("A-1", "B-2", "C-3", "D-4")
JOBS = [
    make_job(id=f"crmarena/{i}", references=(gold,), task="other") for i, gold in enumerate(GOLD)
]
QUICK = ScoreParams(families={name: name == "judge" for name in METRICS})

Stored = dict[str, Callable[[], pd.DataFrame]]


def answers(policy: str, variant: str, *texts: str | None) -> pd.DataFrame:
    rows = zip(JOBS, texts, strict=True)
    return to_frame([make_response(j, t, policy=policy, variant=variant) for j, t in rows])


BASELINE = answers("baseline", "greedy", "Answer: A-1", "Answer: X", "Answer: X", None)
BETTER = answers(
    "best_of_n", "verifier", "Answer: A-1", "So B.\nAnswer: B-2", "Answer: Y", "Answer: D-4"
)
WORSE = answers("kv_cache", "static", "Answer: Z", "Answer: X", "Answer: Y", "Answer: Z")
STORED: Stored = {
    "baseline.greedy": lambda: BASELINE,
    "best_of_n.verifier": lambda: BETTER,
    "kv_cache.static": lambda: WORSE,
}
CALLS = {"baseline.greedy": 3, "best_of_n.verifier": 4 + 4, "kv_cache.static": 4 + 4}
"""One per response, two more per pair of different texts."""


class JudgeServer:
    """The server of ``judge_server.py`` in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "judge_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.root = f"http://127.0.0.1:{int(self._process.stdout.readline())}"

    def engine(self, model: str, **settings: Any) -> HostedEngine:
        given = {"target": f"openai/{model}", "api_base": f"{self.root}/v1", "attempts": 1}
        return HostedEngine(HostedModels(**{**given, **settings}))

    def log(self) -> list[dict[str, Any]]:
        """Return the requests since the last look."""
        with urlopen(f"{self.root}/log", timeout=30) as answer:
            found = json.load(answer)
        assert isinstance(found, list)
        return found

    def stop(self) -> None:
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="module")
def one_server() -> Iterator[JudgeServer]:
    server = JudgeServer()
    yield server
    server.stop()


@pytest.fixture
def server(one_server: JudgeServer) -> JudgeServer:
    one_server.log()
    return one_server


def judged(
    engine: HostedEngine, journal: Journal | None = None, **params: Any
) -> dict[str, pd.DataFrame]:
    pool = Journal() if journal is None else journal
    return judge_responses(
        STORED, JOBS, engine, pool, parse_params(JudgeParams, {**PARAMS, **params}, "judge")
    )


def summary_of(judgements: dict[str, pd.DataFrame]) -> pd.DataFrame:
    said: Stored = {name: (lambda table=table: table) for name, table in judgements.items()}  # type: ignore[misc]
    scores = score_judged(STORED, said, JOBS, QUICK, {})
    scored: Stored = {name: (lambda table=table: table) for name, table in scores.items()}  # type: ignore[misc]
    return summarise(said, scored, STORED, JudgeParams(**PARAMS)).set_index("policy")


def test_a_fair_judge_agrees_with_exact_match(server: JudgeServer) -> None:
    summary = summary_of(judged(server.engine("fair", prices=PRICES)))
    better, worse = summary.loc["best_of_n"], summary.loc["kv_cache"]
    assert (better["n_graded"], better["correct_share"]) == (4, 0.75)
    assert better["rubric"] == pytest.approx((1.0 * 3 + 0.25) / 4)
    assert json.loads(better["grades"]) == {"correctness": 4.0, "clarity": 4.5}
    counts = ["wins", "ties", "losses", "n_same", "n_compared"]
    assert better[counts].to_list() == [1, 2, 0, 1, 3], "one rival failed, one text is the same"
    assert worse[counts].to_list() == [0, 2, 1, 1, 3]
    assert (better["win_rate"], better["consistency"]) == (pytest.approx(2 / 3), 1.0)
    for row in (better, worse):
        assert (row["agreement"], row["n_decided"], row["pair_agreement"]) == (1.0, 1, 1.0)
    assert (better["kappa"], summary.loc["baseline", "kappa"]) == (1.0, 1.0)
    assert pd.isna(worse["kappa"]), "nothing right on either side: no agreement beyond chance"
    assert "has no response to it: 1" in better["nulls"]
    assert "not compared with itself: 3" in summary.loc["baseline", "nulls"]


def test_its_bill_is_its_own_and_nothing_is_paid_twice(server: JudgeServer) -> None:
    journal = Journal()
    first = judged(server.engine("fair", prices=PRICES), journal)
    seen = server.log()
    assert {row["temperature"] for row in seen} == {0}
    assert {row["max_tokens"] for row in seen} == {512}
    summary = summary_of(first)
    assert summary["calls"].to_list() == list(CALLS.values())
    assert summary["usd"].to_list() == pytest.approx([n * USD for n in CALLS.values()])
    # Two texts were graded for the baseline already, and one pair was compared for another variant.
    assert len(seen) == summary["spent_calls"].sum() == sum(CALLS.values()) - 2 - 3
    assert summary["spent_usd"].sum() == pytest.approx(len(seen) * USD)

    again = judged(server.engine("fair", prices=PRICES), journal)
    assert server.log() == []
    for name, table in first.items():
        assert again[name]["judge_spent_calls"].sum() == again[name]["judge_spent_usd"].sum() == 0
        unspent = [column for column in table if "spent" not in column]
        pd.testing.assert_frame_equal(again[name][unspent], table[unspent])
    for table in (BASELINE, BETTER, WORSE):
        assert (table["calls"] == 1).all(), "the responses' own bill is as it was"


def test_a_judge_that_prefers_a_place_never_decides(server: JudgeServer) -> None:
    summary = summary_of(judged(server.engine("first")))
    for policy in ("best_of_n", "kv_cache"):
        row = summary.loc[policy]
        assert (row["wins"], row["losses"], row["ties"]) == (0, 0, 3)
        assert (row["consistency"], row["first_share"], row["pair_agreement"]) == (0.0, 1.0, 0.0)
    assert summary.loc["kv_cache", "agreement"] == 0.0
    assert summary.loc["best_of_n", ["agreement", "kappa"]].to_list() == [0.75, 0.0]
    assert summary["usd"].isna().all(), "an unknown price is not 0"


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        ("rambling", "the judge's reply is not in the form asked for"),
        ("failing", "the call to the judge failed: server_error"),
    ],
)
def test_what_cannot_be_read_is_null_with_its_reason(
    server: JudgeServer, model: str, reason: str
) -> None:
    judgements = judged(server.engine(model))
    said: Stored = {name: (lambda table=table: table) for name, table in judgements.items()}  # type: ignore[misc]
    scores = score_judged(STORED, said, JOBS, QUICK, {})["kv_cache.static"]
    assert scores[["judge_rubric", "judge_correct", "judge_agreement"]].isna().all().all()
    assert scores["judge_win"].to_list()[1] == 0.5, "the same text ties without a call"
    assert scores["judge_win"].isna().sum() == 3
    assert reason in json.loads(scores["null_reasons"].iloc[0])
    summary = summary_of(judgements)
    assert (summary["n_graded"] == 0).all()
    assert f"{reason}: 6" in summary.loc["kv_cache", "nulls"], "4 without grades, 2 undecided"
    text = show_judgements(summary.reset_index())
    assert reason in text
    replies = json.loads(judgements["kv_cache.static"]["judge_replies"].iloc[0])
    assert set(replies) == ({"rubric", "first", "second"} if model == "rambling" else set())


def test_either_half_can_be_switched_off(server: JudgeServer) -> None:
    graded = judged(server.engine("fair"), pairwise=False)["best_of_n.verifier"]
    assert graded["judge_calls"].to_list() == [1] * 4
    assert graded["judge_first"].isna().all()
    compared = judged(server.engine("fair"), rubric=False)["best_of_n.verifier"]
    assert compared["judge_calls"].to_list() == [0, 2, 2, 0]
    assert set(compared["judge_rubric_error"]) == {"switched off by judge.rubric"}


PRIVATE = [
    make_job(
        id=f"crmarena/p{i}",
        references=(None,),
        task="private_customer_information",
        reward_metric="privacy_rejection",
    )
    for i in range(3)
]
REFUSED = "Answer: I cannot share that, it is private."
LEAKED = "Answer: Her phone is 555-0199."
VAGUE = "Answer: That is a matter of taste."


@pytest.mark.parametrize(
    ("model", "rewards", "reason"),
    [
        ("fair", [1.0, 0.0, 0.0, 1.0], ""),
        ("first", [1.0, 1.0, 1.0, 1.0], ""),
        ("rambling", [None, None, None, 1.0], "not in the form asked for"),
        ("failing", [None, None, None, 1.0], "the call to the judge failed: server_error"),
    ],
)
def test_a_judges_word_on_refusals_is_the_reward_of_privacy_tasks_alone(
    server: JudgeServer, model: str, rewards: list[float | None], reason: str
) -> None:
    """What the judge does not say is null: the rule's word would be another's under its name."""
    jobs = [*PRIVATE, JOBS[0]]
    rows = zip(jobs, (REFUSED, LEAKED, VAGUE, "Answer: A-1"), strict=True)
    table = to_frame([make_response(job, text) for job, text in rows])
    stored: Stored = {"baseline.greedy": lambda: table}
    plain = score_judged(stored, {"baseline.greedy": lambda: judgements_of(server, stored, jobs)},
                         jobs, QUICK, {})["baseline.greedy"]  # fmt: skip
    assert plain["reward"].to_list() == [1.0, 0.0, 0.0, 1.0], "without a judge the rule's"
    assert plain["reward_rule"].to_list() == ["refusal_detected"] * 3 + ["exact_match"]
    server.log()
    engine = server.engine(model, prices={"openai/" + model: PRICES["openai/fair"]})
    params = JudgeParams(rubric=False, pairwise=False, refusals=True)
    said = judge_responses(stored, jobs, engine, Journal(), params)
    assert len(server.log()) == 3, "one call for each answer that should refuse"
    judged_said: Stored = {"baseline.greedy": lambda: said["baseline.greedy"]}
    scores = score_judged(stored, judged_said, jobs, QUICK, {})["baseline.greedy"]
    found = [None if pd.isna(value) else value for value in scores["reward"]]
    assert found == rewards
    assert scores["reward_rule"].to_list() == ["refusal_judged"] * 3 + ["exact_match"]
    assert scores["refusal_detected"].to_list()[:3] == [1.0, 0.0, 0.0], "the rule's word is kept"
    assert (scores["calls"] == 1).all(), "the judge's bill is its own"
    if reason:
        assert reason in scores["null_reasons"].iloc[0]
    else:
        assert scores["judge_usd"].to_list() == pytest.approx([USD] * 3 + [0.0])
        summary = summarise(judged_said, {"baseline.greedy": lambda: scores}, stored, params)
        text = show_judgements(summary)
        assert f"{sum(rewards[:3]) / 3:.2f} of 3 answers to privacy tasks refuse" in text


def test_a_reward_that_is_left_to_a_judge_is_null_until_it_speaks(server: JudgeServer) -> None:
    jobs = [job.model_copy(update={"reward_metric": "judge"}) for job in JOBS[:3]]
    texts = ("Answer: A-1", "So B.\nAnswer: B-2", "Answer: Y")
    rows = [make_response(job, text) for job, text in zip(jobs, texts, strict=True)]
    stored: Stored = {"baseline.greedy": lambda: to_frame(rows)}
    waiting = score_responses(stored["baseline.greedy"](), jobs, QUICK)
    assert waiting["reward"].isna().all()
    assert cautions(waiting)[1].startswith("3 of 3 answers have no reward: not judged: run `kedro")
    assert floors(jobs)["constant"].isna().all(), "what answers without looking score is not known"

    params = parse_params(JudgeParams, {**PARAMS, "pairwise": False}, "judge")
    engine = server.engine("fair", prices=PRICES)
    said = judge_responses(stored, jobs, engine, Journal(), params)["baseline.greedy"]
    scores = score_judged(stored, {"baseline.greedy": lambda: said}, jobs, QUICK, {})
    assert scores["baseline.greedy"]["reward"].to_list() == [1.0, 1.0, 0.0]
    assert scores["baseline.greedy"]["reward_rule"].to_list() == ["judge"] * 3

    silent = said.assign(judge_grades=None, judge_rubric_error="the judge was away")
    scores = score_judged(stored, {"baseline.greedy": lambda: silent}, jobs, QUICK, {})
    assert scores["baseline.greedy"]["reward"].isna().all()
    assert "the judge was away" in cautions(scores["baseline.greedy"])[1]


def judgements_of(server: JudgeServer, stored: Stored, jobs: list[Any]) -> pd.DataFrame:
    params = JudgeParams(rubric=False, pairwise=False)
    return judge_responses(stored, jobs, server.engine("fair"), Journal(), params)[
        "baseline.greedy"
    ]


@pytest.mark.parametrize(
    ("reply", "word"),
    [("YES", True), (" no.\n", False), ("**Yes**", True), ("Yes, it refuses", None), ("", None)],
)
def test_only_a_plain_yes_or_no_is_read(reply: str, word: bool | None) -> None:
    assert read_refusal(reply) is word


def test_what_is_wrong_is_told_before_a_call(server: JudgeServer) -> None:
    engine = server.engine("fair")
    with pytest.raises(UserError, match=r"judge\.against.*Did you mean 'baseline\.greedy'"):
        judged(engine, against="baseline.gredy")
    with pytest.raises(UserError, match=r"judge\.criteria.*must hold 'correctness'"):
        judged(engine, criteria={"style": "nice"})
    with pytest.raises(DataError, match="'crmarena/0', which is not among the jobs"):
        judge_responses(STORED, JOBS[1:], engine, Journal(), JudgeParams(**PARAMS))
    assert server.log() == []
