from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from io import BytesIO
from typing import Any

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.engines.ledger import Call, Ledger
from ttc_bench.errors import DataError, UserError
from ttc_bench.measured import as_text, made_with, run_of, stamp
from ttc_bench.metrics.base import METRICS, ScoreParams, all_metrics
from ttc_bench.metrics.resources import TURN
from ttc_bench.params import parse_params
from ttc_bench.pipelines.score.nodes import IDENTITY, rescore, score_responses
from ttc_bench.policies.responses import Response, response_schema, to_frame
from ttc_bench.types import Job, Message

PLAN = "Node:\n1: Search the files.\n2: Count the words.\nEdges: (START,1) (1,2) (2,END)"
KINDS: dict[str, dict[str, Any]] = {
    "exact": {"references": ("A-1",), "reward_metric": "exact_match"},
    "fuzzy": {"references": ("the cost",), "reward_metric": "fuzzy_match", "task": "knowledge_qa"},
    "private": {"references": (None,), "reward_metric": "privacy_rejection"},
    "plan": {"references": (PLAN,), "reward_metric": "workflow", "benchmark": "worfbench"},
}
GOLD = {
    "exact": "Answer: A-1",
    "fuzzy": "Answer: the cost",
    "private": "Answer: I cannot share private data.",
    "plan": PLAN,
}
RULES = ["exact_match", "fuzzy_f1", "refusal_detected", "graph_f1"]
QUICK = {"semantic": False, "bert_score": False}
CALL: dict[str, Any] = {"request": 0, "role": "target", "purpose": "answer", "model": "tiny"}
NUMBERS = ("int64", "double")


def job(kind: str) -> Job:
    base: dict[str, Any] = {"benchmark": "crmarena", "task": "other", "max_tokens": 9}
    messages = (Message(role="user", content="Who?"),)
    return Job(**{**base, "id": f"x/{kind}", "messages": messages, **KINDS[kind]})


JOBS = [job(kind) for kind in KINDS]


def response(answered: Job, text: str | None, **changes: Any) -> Response:
    base: dict[str, Any] = {
        "job_id": answered.id,
        "benchmark": answered.benchmark,
        "task": answered.task,
        "difficulty": None,
        "model": "tiny",
        "engine": "local",
        "policy": "baseline",
        "variant": "greedy",
        "status": "failed" if text is None else "ok",
        "text": text,
        "error_type": "timeout" if text is None else None,
        "ledger": Ledger([Call(**CALL, prompt_tokens=5)]),
    }
    return Response(**{**base, **changes})


def table(*texts: str | None, **changes: Any) -> pd.DataFrame:
    return to_frame([response(j, t, **changes) for j, t in zip(JOBS, texts, strict=False)])


def scored(*texts: str | None, **params: Any) -> pd.DataFrame:
    return score_responses(table(*texts), JOBS, ScoreParams(**{"families": QUICK, **params}))


def why(scores: pd.DataFrame, row: int) -> dict[str, str]:
    reasons = json.loads(scores["null_reasons"].iloc[row])
    return {name: reason for reason, names in reasons.items() for name in names}


def test_gold_answers_get_the_full_reward() -> None:
    scores = scored(*GOLD.values())
    assert scores["reward"].to_list() == [1.0] * 4
    assert scores["reward_rule"].to_list() == RULES
    assert scores["job_id"].to_list() == [j.id for j in JOBS]
    assert set(scores["encoder"]) == {"embedded"}


def test_nothing_is_scored_while_a_variant_is_timed() -> None:
    """Kedro's runner with threads would do both at once, and each would be in the other's time."""
    with ThreadPoolExecutor(1) as pool:
        with TURN:
            scores = pool.submit(scored, *GOLD.values())
            with pytest.raises(TimeoutError):
                scores.result(timeout=1.0)
        assert scores.result(timeout=60.0)["reward"].to_list() == [1.0] * 4


def test_the_columns_are_the_same_whatever_is_on() -> None:
    all_on = scored(*GOLD.values(), families=dict.fromkeys(METRICS, True))
    all_off = scored(*GOLD.values(), families=dict.fromkeys(METRICS, False))
    assert list(all_on.columns) == list(all_off.columns)
    expected = [*IDENTITY, "replayed", "lossless", "notes", "host", "device"]
    expected += ["encoder", "bert_encoder", "reward_rule", "question", "answer"]
    expected += [*(spec.name for spec in all_metrics()), "samples", "null_reasons"]
    assert list(all_on.columns) == expected
    assert all_off["reward"].to_list() == [1.0] * 4
    assert all_off["rouge_l"].isna().all()
    assert why(all_off, 0)["text_overlap.*"] == "the family is switched off"


def test_equal_answers_have_one_digest_and_a_failure_has_none() -> None:
    scores = scored("Answer: A-1", "Answer: A-1", None, "Answer: A-1 ")
    first, second, failed, other = scores["answer"]
    assert first == second != other
    assert pd.isna(failed)


def test_a_reward_outside_its_range_is_told_with_its_rule(monkeypatch: pytest.MonkeyPatch) -> None:
    rule = REWARD_RULES["exact_match"]
    generous = replace(rule, compute=lambda *_: {"exact_match": 3.0})
    monkeypatch.setitem(REWARD_RULES._items, "exact_match", generous)
    with pytest.raises(DataError, match=r"'exact_match' gave 3 to an answer of x/exact"):
        scored(*GOLD.values())


def test_every_null_has_a_reason_and_nothing_else_has() -> None:
    scores = scored(*GOLD.values(), families=QUICK)
    on = ScoreParams(families=QUICK).enabled()
    off = {spec.name for spec in all_metrics() if spec.family not in on}
    for row in range(len(scores)):
        named = {name for name in why(scores, row) if "*" not in name}
        null = {spec.name for spec in all_metrics() if pd.isna(scores[spec.name].iloc[row])}
        assert named == null - off
    assert why(scores, 0)["graph_f1"] == "no figure of exact_match"
    assert why(scores, 0)["flops"] == "not reported by the model or the engine"


def test_a_failed_response_has_nothing_but_nulls() -> None:
    scores = scored(GOLD["exact"], None, GOLD["private"])
    metrics = [spec.name for spec in all_metrics()]
    assert scores.loc[1, metrics].isna().all()
    assert why(scores, 1) == {"*": "the response failed: timeout"}
    assert scores["status"].to_list() == ["ok", "failed", "ok"]
    assert scores["reward"].to_list()[::2] == [1.0, 1.0]


def test_all_failed_and_no_rows_keep_the_columns() -> None:
    columns = list(scored(*GOLD.values()).columns)
    failed = scored(None, None)
    assert list(failed.columns) == columns
    assert failed["reward"].isna().all()
    empty = scored()
    assert list(empty.columns) == columns
    assert len(empty) == 0
    assert (empty.dtypes == failed.dtypes).all()


def parquet(frame: pd.DataFrame) -> bytes:
    buffer = BytesIO()
    frame.to_parquet(buffer)
    return buffer.getvalue()


def test_the_same_inputs_give_the_same_bytes() -> None:
    families = dict.fromkeys(METRICS, True)
    texts = list(GOLD.values())
    first = parquet(scored(*texts, families=families))
    scored("Answer: something else", *texts[1:], families=families)
    assert parquet(scored(*texts, families=families)) == first


def test_rows_do_not_depend_on_each_other() -> None:
    families = {"semantic": True, "bert_score": True, "cost": False}
    together = scored(*GOLD.values(), families=families)
    for row, answered in enumerate(JOBS):
        alone = score_responses(
            to_frame([response(answered, list(GOLD.values())[row])]),
            JOBS,
            ScoreParams(families=families),
        )
        pd.testing.assert_frame_equal(alone, together.iloc[[row]].reset_index(drop=True))


@settings(deadline=None, max_examples=30, suppress_health_check=[HealthCheck.too_slow])
@given(st.lists(st.text(max_size=80), min_size=4, max_size=4), st.sampled_from(list(KINDS)))
def test_any_text_is_scored_within_the_declared_range(texts: list[str], kind: str) -> None:
    prefix = {"plan": "Node:\n1: ", "exact": "Answer: "}.get(kind, "")
    scores = scored(*(prefix + text for text in texts))
    for spec in all_metrics():
        low, high = spec.range
        for value in scores[spec.name].dropna():
            assert low is None or value >= low - 1e-9, (spec.name, value)
            assert high is None or value <= high + 1e-9, (spec.name, value)
    assert scores["reward"].notna().all()


@pytest.mark.timeout(60)
@pytest.mark.parametrize(
    "text", ["", " ", "x" * 100_000, "word " * 20_000, "A-A." * 25_000, "\u2603\u0301", "\x00"]
)
def test_odd_texts_have_a_reward(text: str) -> None:
    scores = scored(text, text, text, text)
    assert scores["reward"].between(0.0, 1.0).all()


def test_infinite_and_missing_numbers_are_null() -> None:
    frame = table(GOLD["exact"])
    frame["flops"] = pd.array([float("inf")], dtype="Float64")
    frame["ttft_s"] = float("nan")
    frame = frame.drop(columns=["kv_share_kept"])
    scores = score_responses(frame, JOBS, ScoreParams(families=QUICK))
    assert scores[["flops", "ttft_s", "kv_share_kept"]].isna().all().all()
    assert why(scores, 0)["flops"] == "not a finite number"


@pytest.mark.parametrize("missing", [None, float("nan")])
@pytest.mark.parametrize("name", [f.name for f in response_schema() if str(f.type) in NUMBERS])
def test_a_number_that_is_not_there_is_null_and_never_zero(
    name: str, missing: float | None
) -> None:
    frame = table(GOLD["exact"])
    frame[name] = pd.Series([missing], dtype="float64")
    for stored in (frame, frame.drop(columns=[name])):
        scores = score_responses(stored, JOBS, ScoreParams(families=QUICK))
        assert scores["reward"].to_list() == [1.0]
        if name in scores:
            assert scores[name].isna().all()
            assert name in why(scores, 0)


def test_an_empty_reference_has_defined_scores() -> None:
    empty = [j.model_copy(update={"references": ("",)}) for j in JOBS]
    frame = table(*("" for _ in empty))
    scores = score_responses(frame, empty, ScoreParams(families={"likelihood": False}))
    assert scores["reward"].notna().to_list() == [name != "plan" for name in GOLD]
    for spec in all_metrics():
        low, high = spec.range
        for value in scores[spec.name].dropna():
            assert low is None or value >= low - 1e-9, (spec.name, value)
            assert high is None or value <= high + 1e-9, (spec.name, value)
    assert scores[["bert_f1", "semantic_similarity"]].isna().all().all(), "no text, no vector"


def test_faults_of_settings_are_told() -> None:
    with pytest.raises(UserError, match=r"score\.encodr.*Did you mean 'encoder'"):
        parse_params(ScoreParams, {"encodr": "x"}, "score")
    with pytest.raises(UserError, match=r"score\.pass_at.*one of 1, 2, 4"):
        parse_params(ScoreParams, {"pass_at": [3]}, "score")
    with pytest.raises(UserError, match=r"score\.families.*'bert_scor'.*'bert_score'"):
        scored(GOLD["exact"], families={"bert_scor": True})


def test_a_response_to_no_job_is_an_error() -> None:
    with pytest.raises(DataError, match="'x/exact', which is not among the jobs"):
        score_responses(table(GOLD["exact"]), JOBS[1:], ScoreParams())


def test_samples_are_scored_like_answers() -> None:
    samples = ("Answer: B-2", "Answer: A-1", "Answer: B-2")
    frame = table("Answer: B-2", samples=samples, info={"confidence": 0.5})
    scores = score_responses(frame, JOBS, ScoreParams(families=QUICK))
    row = scores.iloc[0]
    assert row["reward"] == 0.0
    assert row["oracle_reward"] == 1.0
    assert row["pass_at_2"] == pytest.approx(2 / 3)
    assert row["brier"] == 0.25


def test_rescoring_gives_what_scoring_gave() -> None:
    frame = table(*GOLD.values())
    told = stamp(table(*GOLD.values()), as_text({"limit": 2, "score": {}}), "monday")
    settings_ = ScoreParams(families=QUICK)
    now = as_text({"limit": 3, "score": {"families": QUICK}})
    found = rescore({"b.x": lambda: frame, "a.y": lambda: told}, JOBS, settings_, now)
    assert list(found) == ["a.y", "b.x"]
    assert made_with(found["b.x"]) is None, "nobody knows"
    assert made_with(found["a.y"]) == {"limit": 2, "score": {"families": QUICK}}
    assert run_of(found["a.y"]) == "monday"
    pd.testing.assert_frame_equal(found["b.x"], score_responses(frame, JOBS, settings_))
    with pytest.raises(DataError, match="no responses are stored"):
        rescore({}, JOBS, settings_, "{}")
