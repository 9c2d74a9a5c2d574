"""Judge stored responses: calls go through the journal, so that none is paid twice."""

from __future__ import annotations

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any

from ttc_bench.bars import progress_bar
from ttc_bench.benchmarks.answers import answer_text
from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.engines.base import Engine
from ttc_bench.engines.completion import CallError
from ttc_bench.errors import DataError, UserError
from ttc_bench.measured import stamp_scored
from ttc_bench.metrics.base import ScoreParams
from ttc_bench.metrics.judge import (
    SAME_TEXT,
    Judgement,
    JudgeParams,
    pair_prompt,
    read_grades,
    read_refusal,
    read_verdict,
    refusal_prompt,
    rubric_prompt,
)
from ttc_bench.params import unknown
from ttc_bench.pipelines.score.nodes import score_responses
from ttc_bench.policies import Session
from ttc_bench.policies.base import Places
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.responses import responses_of_now
from ttc_bench.reporting.row_dicts import row_dicts
from ttc_bench.thinking import split_thinking
from ttc_bench.types import DataFrame, Job, Message

logger = logging.getLogger(__name__)

IDENTITY = ("job_id", "benchmark", "model", "policy", "variant")
"""Columns of a table of judgements that name the response, before those of `Judgement`."""

_SEEN_AS = {"A": "win", "B": "loss", "C": "tie"}
_BEHIND = {"A": "loss", "B": "win", "C": "tie"}

_BILL = ("calls", "prompt_tokens", "completion_tokens", "usd", "spent_calls", "spent_usd")

_UNREADABLE = "the judge's reply is not in the form asked for"
_SWITCHED_OFF = "switched off by judge.{name}"


@dataclass(frozen=True)
class Item:
    """A response to be judged.

    Attributes:
        job: The job it answers.
        text: What the judge sees of it.
        whole: All of it.
        rival: The same of the response that it is compared with.
        no_rival: Why there is none.
    """

    job: Job
    text: str
    whole: str
    rival: str | None = None
    no_rival: str | None = None


def judge_responses(
    stored: Mapping[str, Callable[[], DataFrame]],
    jobs: Sequence[Job],
    engine: Engine,
    journal: Journal,
    params: JudgeParams,
) -> dict[str, DataFrame]:
    """Return the judgements of every stored table of responses, by ``{policy}.{variant}``.

    One row per valid response, in their order: `IDENTITY`, then the columns of `Judgement`.

    Args:
        stored: Loads each table, by its name.
        jobs: The jobs that were answered.
        engine: The judge.
        journal: Completions of earlier calls.
        params: Settings of the stage.

    Raises:
        DataError: If a response belongs to none of the jobs.
        UserError: If there is nothing to compare with, or no call can succeed.
    """
    names = sorted(stored)
    loaded = responses_of_now([stored[name]() for name in names])
    tables = {n: table[table["status"] == "ok"] for n, table in zip(names, loaded, strict=True)}
    if any((table["model"] == engine.model_name()).any() for table in tables.values()):
        logger.warning("the judge %s judges its own answers", engine.model_name())
    items = _items(tables, {job.id: job for job in jobs}, params)
    judged = asyncio.run(_judge_all(items, engine, journal, params))
    rest = iter(judged)
    return {
        name: _frame(table, [next(rest) for _ in row_dicts(table)])
        for name, table in tables.items()
    }


def score_judged(
    stored: Mapping[str, Callable[[], DataFrame]],
    judgements: Mapping[str, Callable[[], DataFrame]],
    jobs: Sequence[Job],
    params: ScoreParams,
    run_settings: Mapping[str, Any],
) -> dict[str, DataFrame]:
    """Return the scores of every stored table of responses, the family ``judge`` included.

    Args:
        stored: Loads each table of responses, by its name.
        judgements: Loads its judgements.
        jobs: The jobs that were answered.
        params: Settings of the score stage.
        run_settings: All parameters of this command: the scores say by which judge they are.
    """
    judging = params.model_copy(update={"families": {**params.families, "judge": True}})
    judge = run_settings.get("judge") or {}
    named = {"judge": {**judge, "model": judge.get("model") or run_settings.get("model")}}
    scores = {}
    for name, load in sorted(stored.items()):
        judged = judgements[name]().drop(columns=["benchmark"])
        table = load()
        responses = responses_of_now([table])[0].merge(
            judged, how="left", on=["job_id", "model", "policy", "variant"], validate="one_to_one"
        )
        own = score_responses(responses, jobs, judging)
        scores[name] = stamp_scored(own, table, {**run_settings, **named}, by=("score", "judge"))
    return scores


def _items(
    tables: Mapping[str, DataFrame], jobs: Mapping[str, Job], params: JudgeParams
) -> list[Item]:
    """Return what is judged, table by table and row by row."""
    rivals = _rivals(tables, params) if params.pairwise else {}
    items = []
    for name, table in tables.items():
        for row in row_dicts(table):
            if row["job_id"] not in jobs:
                raise DataError(
                    f"the responses of {name} answer job {row['job_id']!r}, which is not among the"
                    " jobs: judge them with the jobs they were generated from."
                )
            rival = rivals.get((row["model"], row["job_id"]))
            reason = f"{params.against} has no response to it" if rival is None else None
            if f"{row['policy']}.{row['variant']}" == params.against:
                rival, reason = None, f"{params.against} is not compared with itself"
            text = row["text"]
            items.append(Item(jobs[row["job_id"]], _shown(text, params), text, rival, reason))
    return items


def _rivals(tables: Mapping[str, DataFrame], params: JudgeParams) -> dict[tuple[str, str], str]:
    """Return what the judge sees of the responses of ``against``, by model and job."""
    rows = [row for table in tables.values() for row in row_dicts(table)]
    names = dict.fromkeys(f"{row['policy']}.{row['variant']}" for row in rows)
    if params.against not in names:
        fault = unknown("stored variant", params.against, names)
        raise UserError(f"parameter judge.against: {fault} Or set judge.pairwise=false.")
    return {
        (row["model"], row["job_id"]): _shown(row["text"], params)
        for row in rows
        if f"{row['policy']}.{row['variant']}" == params.against
    }


def _shown(text: str, params: JudgeParams) -> str:
    return answer_text(text) if params.shows == "answer" else text


async def _judge_all(
    items: Sequence[Item], engine: Engine, journal: Journal, params: JudgeParams
) -> list[Judgement]:
    places = Places(engine)
    # Equal responses get one call: the second one waits, and finds it in the journal.
    turns: defaultdict[tuple[str, str], asyncio.Lock] = defaultdict(asyncio.Lock)

    async def one(item: Item, bar: Any) -> Judgement:
        async with turns[item.job.id, item.text], places:
            judgement = await _judge(item, Session(engine, journal, item.job), params)
        bar.update()
        return judgement

    tasks: list[asyncio.Future[Judgement]] = []
    try:
        with progress_bar("judge", len(items), "response") as bar:
            tasks += [asyncio.ensure_future(one(item, bar)) for item in items]
            return list(await asyncio.gather(*tasks))
    except UserError as error:
        if isinstance(error.__cause__, CallError) and error.__cause__.lets_end:
            await asyncio.gather(*tasks, return_exceptions=True)
        raise
    finally:
        for task in tasks:
            task.cancel()
        await engine.close()


async def _judge(item: Item, session: Session, params: JudgeParams) -> Judgement:
    replies: dict[str, str] = {}
    values: dict[str, Any] = {
        **await _graded(item, session, params, replies),
        **await _compared(item, session, params, replies),
        **await _refused(item, session, params, replies),
    }
    bill = session.ledger.totals()
    values.update({f"judge_{name}": bill[name] for name in _BILL})
    return Judgement(
        judge_model=session.engine.model_name(),
        judge_correct_from=params.correct_from,
        judge_replies=json.dumps(replies),
        **values,
    )


async def _graded(
    item: Item, session: Session, params: JudgeParams, replies: dict[str, str]
) -> dict[str, str]:
    if not params.rubric:
        return {"judge_rubric_error": _SWITCHED_OFF.format(name="rubric")}
    prompt = rubric_prompt(item.job, item.text, params)
    error = await _ask("rubric", prompt, session, params, replies)
    grades = None if error else read_grades(replies["rubric"], list(params.criteria))
    if grades is None:
        return {"judge_rubric_error": error or _UNREADABLE}
    return {"judge_grades": json.dumps(grades)}


async def _compared(
    item: Item, session: Session, params: JudgeParams, replies: dict[str, str]
) -> dict[str, str]:
    """Ask for the better one in both orders; what equals its rival ties without a call."""
    if not params.pairwise:
        return {"judge_pair_error": _SWITCHED_OFF.format(name="pairwise")}
    if item.rival is None:
        return {"judge_pair_error": item.no_rival or ""}
    if item.rival == item.text:
        return {"judge_first": "tie", "judge_second": "tie", "judge_pair_error": SAME_TEXT}
    verdicts: dict[str, str] = {}
    orders = {
        "judge_first": (item.text, item.rival, _SEEN_AS),
        "judge_second": (item.rival, item.text, _BEHIND),
    }
    for name, (a, b, meaning) in orders.items():
        prompt = pair_prompt(item.job, a, b, params)
        error = await _ask(name.removeprefix("judge_"), prompt, session, params, replies)
        verdict = None if error else read_verdict(replies[name.removeprefix("judge_")])
        if verdict is None:
            verdicts["judge_pair_error"] = error or _UNREADABLE
        else:
            verdicts[name] = meaning[verdict]
    return verdicts


async def _refused(
    item: Item, session: Session, params: JudgeParams, replies: dict[str, str]
) -> dict[str, Any]:
    """Ask whether an answer refuses, where it should."""
    rule = REWARD_RULES[item.job.reward_metric]
    if not params.refusals or rule.gold != "refusal":
        return {}
    prompt = refusal_prompt(item.job, rule.answer(split_thinking(item.whole).answer))
    error = await _ask("refusal", prompt, session, params, replies)
    refused = None if error else read_refusal(replies["refusal"])
    if refused is None:
        return {"judge_refusal_error": error or _UNREADABLE}
    return {"judge_refused": refused}


async def _ask(
    name: str, prompt: str, session: Session, params: JudgeParams, replies: dict[str, str]
) -> str | None:
    """Enter the judge's reply, at temperature 0, under ``name``; return why there is none.

    Raises:
        UserError: If no other call can succeed either.
    """
    request = session.request(
        messages=(Message(role="user", content=prompt),),
        max_tokens=params.max_tokens,
        stop=(),
        purpose=f"judge {name}",
    )
    try:
        (completion,) = await session.complete(request)
    except CallError as error:
        if error.fatal:
            raise UserError(str(error)) from error
        return f"the call to the judge failed: {error.error_type}"
    replies[name] = completion.text
    return None


def _frame(table: DataFrame, judged: Sequence[Judgement]) -> DataFrame:
    import pandas as pd
    import pyarrow as pa

    kinds = {"int": pa.int64(), "float | None": pa.float64(), "bool | None": pa.bool_()}
    columns = {name: pa.array(table[name].to_list(), pa.string()) for name in IDENTITY}
    rows = [asdict(judgement) for judgement in judged]
    for column in fields(Judgement):
        kind = kinds.get(str(column.type), pa.string())
        columns[column.name] = pa.array([row[column.name] for row in rows], kind)
    frame: DataFrame = pa.table(columns).to_pandas(types_mapper=pd.ArrowDtype)
    return frame
