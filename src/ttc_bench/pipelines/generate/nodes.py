"""Run one policy variant over all jobs: every job ends as exactly one row."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import platform
import threading
from collections.abc import (
    AsyncGenerator,
    Callable,
    Collection,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from dataclasses import asdict, dataclass, replace
from functools import partial
from typing import Any

from ttc_bench.bars import progress_bar
from ttc_bench.engines.base import Capability, Engine, ModelRole
from ttc_bench.engines.completion import CallError, Completion
from ttc_bench.engines.trace import of_completion
from ttc_bench.errors import CapabilityError, DataError, UserError
from ttc_bench.measured import stamp
from ttc_bench.metrics.resources import TURN, Monitor, Reading
from ttc_bench.pipelines.generate.params import Points, TimingParams
from ttc_bench.policies import (
    Outcome,
    Session,
    Variant,
    refusal,
)
from ttc_bench.policies.control import sessions, timed_jobs
from ttc_bench.policies.events import Events
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.responses import Response, to_frame, to_traces
from ttc_bench.policies.steering import Passage
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.thinking import Thought, split_thinking
from ttc_bench.types import DataFrame, Job
from ttc_bench.workers.pool import Pool, Work

logger = logging.getLogger(__name__)

NOT_STEERED = "a run by Ray's workers cannot be steered: interrupt it, and repeat the command."

_ENDED = threading.Event()
_AT_WORK: list[tuple[asyncio.AbstractEventLoop, asyncio.Task[Any]]] = []
"""The event loop that has its turn: a signal reaches the main thread alone."""


def end_at_once() -> None:
    """End what runs in other threads, and let nothing begin that waits for its turn."""
    _ENDED.set()
    for loop, task in list(_AT_WORK):
        # One that has just finished needs no end.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(task.cancel)


def begin_again() -> None:
    """Let variants run again, in a process that goes on after a run that was ended."""
    _ENDED.clear()


def generate(
    points: Points,
    jobs: Sequence[Job],
    engine: Engine,
    journal: Journal,
    seed: int,
    timing: TimingParams,
    events: Events | None = None,
    workers: Pool | None = None,
) -> DataFrame:
    """Return the responses of one policy variant as a table; see `respond_all`."""
    return to_frame(respond_all(points, jobs, engine, journal, seed, timing, events, workers))


def respond_all(
    points: Points,
    jobs: Sequence[Job],
    engine: Engine,
    journal: Journal,
    seed: int,
    timing: TimingParams,
    events: Events | None = None,
    workers: Pool | None = None,
) -> list[Response]:
    """Return the responses of one policy variant, one per job and sweep point.

    Jobs of a benchmark that the variant does not suit are left out, and the log says so.

    Args:
        points: The variant at each of its sweep points.
        jobs: The jobs of the run.
        engine: Runs what the journal does not hold.
        journal: Completions of earlier calls.
        seed: Seed of the run.
        timing: On how many jobs the variant is timed beside a control.
        events: Is told of every call and job; without it nobody is.
        workers: Answer in the place of this process, with models and a journal of their own.

    Raises:
        DataError: If there is no job.
        UserError: If no call of the run can succeed.
        CapabilityError: If the model cannot execute the variant.
    """
    if not jobs:
        raise DataError("there is no job to run: run the pipeline ingest_benchmarks first.")
    timed = timed_jobs(jobs, timing.jobs, seed)
    responses: list[Response] = []
    for label, variant in points:
        name = f"{variant.policy}.{label}"
        suited = [job for job in jobs if variant.suits(job)]
        for benchmark in sorted({j.benchmark for j in jobs} - {j.benchmark for j in suited}):
            logger.warning("%s: not run on %s, whose answers have no marker", name, benchmark)
        if suited:
            if line := refusal(name, [variant], engine):
                raise CapabilityError(line)
            told = events or Events()
            if workers is not None:
                work = partial(answer_block, label, variant, seed, timed)
                responses += _by_workers(name, work, suited, workers, workers.homes_of(jobs), told)
                continue
            own = sessions(name, variant, suited, engine, journal, seed, timed)
            responses += _measured(label, variant, own, told)
    journal.tell_damage()
    return responses


def generate_node(
    name: str,
) -> Callable[..., tuple[DataFrame, DataFrame]]:
    """Return the node function of one policy variant; see `generate`.

    The table says what it was made with, see `ttc_bench.measured`.

    A variant that the model cannot execute leaves its table empty, and preflight says so. It stops
    the run before the first node only if that leaves nothing of a policy asked for by name, or of
    the baseline.
    """

    def node_function(
        points: Points,
        jobs: list[Job],
        engine: Engine,
        journal: Journal,
        seed: int,
        timing: TimingParams,
        events: Events,
        workers: Pool | None,
        measured_settings: str,
        run_name: str,
    ) -> tuple[DataFrame, DataFrame]:
        if any(point.lacking(engine) for _, point in points):
            return to_frame([]), to_traces([])  # Preflight has said so.
        responses = respond_all(points, jobs, engine, journal, seed, timing, events, workers)
        table = stamp(to_frame(responses), measured_settings, run_name)
        return table, to_traces(responses)

    node_function.__name__ = f"generate_{name.replace('.', '_')}"
    return node_function


def _measured(
    label: str, variant: Variant, sessions: Sequence[Session], events: Events
) -> list[Response]:
    """Return the responses of one sweep point, with what it took of this machine."""
    with TURN, Monitor() as monitor:
        _set_apart(sessions, monitor)
        events.steering.apart = monitor.left_out
        responses = asyncio.run(_in_turn(label, variant, sessions, events))
    readings = asdict(monitor.reading)
    return [replace(response, resources=readings) for response in responses]


def _set_apart(sessions: Sequence[Session], monitor: Monitor) -> None:
    """Keep what controls take out of the readings of a variant."""
    one_by_one = sessions[0].engine.concurrency == 1
    for control in (session.control for session in sessions if session.control):
        control.apart = monitor.left_out if one_by_one else monitor.mixed


@dataclass(frozen=True)
class BlockReading:
    """What a block of jobs took of a worker's machine, and what it was answered by.

    Attributes:
        jobs: Ids of the jobs.
        reading: The readings.
        host: The machine.
        device: What computes there.
        models: Fingerprint of the model in each role; that of a device, as number types may differ.
    """

    jobs: frozenset[str]
    reading: Reading
    host: str
    device: str | None
    models: Mapping[ModelRole, str]


def answer_block(
    label: str,
    variant: Variant,
    seed: int,
    timed: Collection[str],
    engine: Engine,
    journal: Journal,
    jobs: Sequence[Job],
) -> Iterator[tuple[str | None, Response | BlockReading]]:
    """Yield the responses of one sweep point as they come, each with its job, then the readings.

    Runs in a worker; the arguments up to ``timed`` are those of `respond_all`, one sweep point.
    """
    name = f"{variant.policy}.{label}"
    own = sessions(name, variant, jobs, engine, journal, seed, timed)
    with Monitor() as monitor, asyncio.Runner() as loop:
        _set_apart(own, monitor)
        outcomes = _outcomes(name, variant, own)
        while (pair := loop.run(_next(outcomes))) is not None:
            response = respond(label, variant, *pair)
            yield response.job_id, response
        loop.run(engine.close())
    models = {role: engine.fingerprint(role) for role in engine.roles()}
    answered = frozenset(job.id for job in jobs)
    yield None, BlockReading(answered, monitor.reading, platform.node(), engine.device(), models)


async def _next(
    outcomes: AsyncGenerator[tuple[Session, Outcome | Exception], None],
) -> tuple[Session, Outcome | Exception] | None:
    return await anext(outcomes, None)


def _by_workers(
    name: str,
    work: Work[Job, Response | BlockReading],
    jobs: Sequence[Job],
    workers: Pool,
    homes: Mapping[str, int],
    events: Events,
) -> list[Response]:
    """Return the responses of one sweep point that workers give, in the order of the jobs."""
    done: dict[str, Response] = {}
    readings: list[BlockReading] = []
    events.begin(name, len(jobs))
    with TURN, progress_bar(name, len(jobs), "job") as bar:
        for _, item in workers.answer(work, jobs, homes):
            if _ENDED.is_set():
                raise KeyboardInterrupt
            events.steering.refuse(NOT_STEERED)
            if isinstance(item, BlockReading):
                readings.append(item)
                check_alike(readings)
                continue
            done[item.job_id] = item
            for call in item.ledger.calls:
                events.call(name, call)
            _tell_done(events, name, item)
            bar.update()
    for block in readings:
        resources = asdict(block.reading)
        done |= {job: replace(done[job], resources=resources) for job in block.jobs}
    report(name, done.values())
    return [done[job.id] for job in jobs]


def check_alike(readings: Sequence[BlockReading]) -> None:
    """Raise where the last block was answered by other models than one on a like device.

    Raises:
        UserError: Naming the machines and the model: their rows would be of two models.
    """
    last = readings[-1]
    first = next(block for block in readings if block.device == last.device)
    parted = [role for role in last.models if last.models[role] != first.models[role]]
    if parted:
        raise UserError(
            f"model.{parted[0]} is not the same on {last.host} and {first.host}: bring its files to"
            " one state on all machines, then repeat the command."
        )


async def _in_turn(
    label: str, variant: Variant, sessions: Sequence[Session], events: Events
) -> list[Response]:
    """Run one sweep point so that `end_at_once` reaches it.

    Raises:
        KeyboardInterrupt: If the run was ended before its turn came.
    """
    if _ENDED.is_set():
        raise KeyboardInterrupt
    task = asyncio.current_task()
    assert task is not None
    here = (asyncio.get_running_loop(), task)
    _AT_WORK.append(here)
    try:
        return await _run(label, variant, sessions, events)
    finally:
        _AT_WORK.remove(here)


async def _run(
    label: str, variant: Variant, sessions: Sequence[Session], events: Events
) -> list[Response]:
    """Run one sweep point, with a progress bar, keeping the order of the jobs."""
    done: dict[str, Response] = {}
    engine, name = sessions[0].engine, f"{variant.policy}.{label}"
    events.begin(name, len(sessions))
    for session in sessions:
        session.ledger.on_call = partial(events.call, name)
        session.go_by(Passage(events.steering, engine))
    outcomes_of = contextlib.aclosing(_ended(_outcomes(name, variant, sessions)))
    try:
        with progress_bar(name, len(sessions), "job") as bar:
            async with events.steering.watched(engine), outcomes_of as outcomes:
                async for session, outcome in outcomes:
                    response = done[session.job.id] = respond(label, variant, session, outcome)
                    _tell_done(events, name, response)
                    bar.update()
                    # A local engine never yields by itself, and Ctrl-C would wait for the last job.
                    await asyncio.sleep(0)
    finally:
        await engine.close()
    report(name, done.values())
    return [done[session.job.id] for session in sessions]


async def _ended(
    outcomes: AsyncGenerator[tuple[Session, Outcome | Exception], None],
) -> AsyncGenerator[tuple[Session, Outcome | Exception], None]:
    """Yield outcomes; where a limit stops the run, once all calls on their way have ended.

    Raises:
        UserError: If there was a limit.
    """
    stop: CallError | None = None
    async with contextlib.aclosing(outcomes):
        async for session, outcome in outcomes:
            if isinstance(outcome, CallError) and outcome.lets_end:
                stop = outcome
            else:
                yield session, outcome
    if stop is not None:
        raise UserError(str(stop)) from stop


def _tell_done(events: Events, name: str, response: Response) -> None:
    """Tell that a job is done."""
    measured = {"measured": response.is_measured}
    events.job(name, vars(response) | response.ledger.totals() | measured)


async def _outcomes(
    name: str, variant: Variant, sessions: Sequence[Session]
) -> AsyncGenerator[tuple[Session, Outcome | Exception], None]:
    """Yield every session with its outcome; a variant that breaks as a whole fails the rest."""
    waiting = {session.job.id: session for session in sessions}
    try:
        async with contextlib.aclosing(variant.outcomes(sessions)) as outcomes:
            async for session, outcome in outcomes:
                del waiting[session.job.id]
                yield session, outcome
    except Exception as error:
        is_told = isinstance(error, UserError)
        logger.error("%s broke: %s", name, error, exc_info=None if is_told else error)
        for session in waiting.values():
            yield session, CallError(type(error).__name__, str(error))


def respond(
    label: str, variant: Variant, session: Session, outcome: Outcome | Exception
) -> Response:
    """Return the row of one job: an answer with its bill, or a failure with its bill.

    Raises:
        UserError: If the failure means that no call of the run can succeed.
    """
    if not isinstance(outcome, Outcome | Exception):
        outcome = TypeError(f"the answer is {outcome!r}: no outcome.")
    job, engine = session.job, session.engine
    identity: dict[str, Any] = {
        "job_id": job.id,
        "benchmark": job.benchmark,
        "task": job.task,
        "difficulty": job.difficulty,
        "model": engine.model_name(),
        "engine": engine.name,
        "policy": variant.policy,
        "variant": label,
        "ledger": session.ledger,
        "lossless": variant.lossless and Capability.FLOAT32 in engine.capabilities(),
        "host": platform.node() or None,
        "device": engine.device(),
        "steered": session.passage.changes,
    }
    if (control := session.control) is not None:
        identity |= {"control": control.ledger, "control_first": control.goes_first}
        if control.completion is not None:
            plain = Outcome(control.completion.text, control.completion)
            identity["control_ttft_s"] = _ttft_s(control.session, plain)
    if isinstance(outcome, Exception):
        return Response(**identity, status="failed", text=None, **_failure(job, outcome))
    thought, source = split_thinking(outcome.text), outcome.source
    is_counted = thought.reasoning is None or bool(source and source.usage.reasoning_tokens)
    ttft_s = _ttft_s(session, outcome)
    is_seen_growing = ttft_s is not None and ttft_s < session.elapsed_s
    return Response(
        **identity,
        status="ok",
        text=thought.answer,
        finish_reason=source.finish_reason if source else None,
        ttft_s=ttft_s,
        itl_s=source.timing.itl_s if source and is_seen_growing else (),
        answer_tokens=source.answer_tokens if source and is_counted else None,
        reasoning=_reasoning(thought, source),
        samples=tuple(split_thinking(text).answer for text in outcome.samples),
        trace=outcome.trace or of_completion(source.extra.get("trace") if source else None),
        info=outcome.info,
        mean_logprob=source.mean_logprob if source else None,
    )


def _reasoning(thought: Thought, source: Completion | None) -> str | None:
    """Return the reasoning behind an answer: what the provider showed, then what its text holds."""
    parts = (source.extra.get("reasoning") if source else None, thought.reasoning)
    return "\n".join(part for part in parts if part) or None


def _failure(job: Job, error: Exception) -> dict[str, Any]:
    if isinstance(error, UserError):
        raise error
    if isinstance(error, CallError):
        if error.fatal:
            raise UserError(str(error)) from error
        return {
            "error_type": error.error_type,
            "error_message": str(error),
            "info": {"attempts": error.attempts},
            "is_timed": bool(error.broken),
        }
    logger.error("%s failed: %s", job.id, error, exc_info=error)
    return {"error_type": type(error).__name__, "error_message": str(error), "is_timed": False}


def _ttft_s(session: Session, outcome: Outcome) -> float | None:
    """Return when the user could see the first token of the answer; ``None`` if there is none.

    An answer that streams from the last request starts after all requests before it; one that is
    chosen among samples, or judged before it is shown, starts when all of that is done; one that
    grows over several calls says when. The clock of a text that holds its reasoning, too, does not
    tell where its answer begins, unless it says so.
    """
    thought, source = split_thinking(outcome.text), outcome.source
    is_mixed = thought.reasoning is not None and not (source and source.timing.reasoning_s)
    if is_mixed or not thought.answer.strip():
        return None
    if outcome.first_shown_s is not None:
        return outcome.first_shown_s
    calls = [call for call in session.ledger.calls if not call.is_broken]
    if not calls:
        return None
    last = [call for call in calls if call.request == calls[-1].request]
    latency_s = session.elapsed_s
    if not outcome.streams or outcome.source is None or len(last) > 1 or last[0].ttft_s is None:
        return latency_s
    clock = outcome.source.timing
    if (clock.ttft_s, clock.latency_s) != (last[0].ttft_s, last[0].latency_s):
        return latency_s
    return latency_s - last[0].latency_s + last[0].ttft_s


def report(name: str, responses: Iterable[Response]) -> None:
    """Log how many jobs failed, and how many calls were replayed from the journal."""
    rows = list(responses)
    failed = [row for row in rows if row.status == "failed"]
    if failed:
        reasons = sorted({f"{row.error_type}: {row.error_message}" for row in failed})
        of = counted_as(len(rows), "job")
        logger.warning("%s: %d of %s failed (%s)", name, len(failed), of, reasons[0])
    calls = [call for row in rows for call in row.ledger.calls if not call.is_broken]
    replayed = sum(call.replayed for call in calls)
    if replayed:
        logger.info(
            "%s: %d of %d calls replayed from the journal: what they answer has no time",
            name,
            replayed,
            len(calls),
        )
