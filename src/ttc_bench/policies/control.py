"""A control: the baseline's decoding, timed beside a variant's own answer to the same job.

A machine drifts, by minutes and in bursts, so that two blocks of jobs timed one after the other
differ whatever ran in them. A variant's time means something beside that of the same plain
decoding on the same job at the same moment; a fair coin per job says which of the two goes first.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import AbstractContextManager

from ttc_bench.benchmarks.scoring.base import REWARD_RULES
from ttc_bench.engines.base import Engine, key_of
from ttc_bench.engines.completion import CallError, Completion
from ttc_bench.engines.ledger import Ledger
from ttc_bench.policies.base import Variant
from ttc_bench.policies.journal import Anew, Journal
from ttc_bench.policies.session import Session
from ttc_bench.types import Job


class Control:
    """The baseline's decoding of one job; its bill is its own.

    Args:
        session: A session for the job whose journal replays nothing.
        goes_first: Whether it runs before the variant or after it.
        done: Called once it has run.

    Attributes:
        session: The same.
        goes_first: The same.
        apart: Makes the block in which it runs, so that what it takes is not read as the variant's.
        completion: What it came to, once it has run; none if it failed.
    """

    def __init__(self, session: Session, goes_first: bool, done: Callable[[], None]) -> None:
        self.session = session
        self._done = done
        self.goes_first = goes_first
        self.apart: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
        self.completion: Completion | None = None

    @property
    def ledger(self) -> Ledger:
        """The bill, without calls as long as the control has not run."""
        return self.session.ledger

    @contextlib.asynccontextmanager
    async def beside(self) -> AsyncIterator[None]:
        """Run before or after what stands in the block; not at all if that fails first."""
        if self.goes_first:
            await self._run()
        yield
        if not self.goes_first:
            await self._run()

    async def _run(self) -> None:
        """Decode the job.

        Raises:
            CallError: If no other call of the run can succeed either; without an answer there is
                no control, which costs the job nothing else.
        """
        try:
            with self.apart():
                request = self.session.request(purpose="control")
                (self.completion,) = await self.session.complete(request)
        except CallError as error:
            if error.fatal:
                raise
        else:
            self._done()


def timed_jobs(jobs: Sequence[Job], most: int, seed: int) -> frozenset[str]:
    """Return the ids of the jobs that are timed: the same ones for every variant.

    Args:
        jobs: The jobs of the run.
        most: Jobs of each benchmark, and as many of those of its jobs that should be refused.
        seed: Seed of the choice.
    """
    by_benchmark: dict[str, list[str]] = {}
    for job in jobs:
        # Refusals are told apart from answers, and so are their speeds.
        is_private = REWARD_RULES[job.reward_metric].gold == "refusal"
        name = f"{job.benchmark}/refusals" if is_private else job.benchmark
        by_benchmark.setdefault(name, []).append(job.id)
    return frozenset(
        chosen
        for name, ids in by_benchmark.items()
        for chosen in random.Random(f"{seed}/{name}").sample(ids, min(most, len(ids)))
    )


def sessions(
    name: str,
    variant: Variant,
    jobs: Sequence[Job],
    engine: Engine,
    journal: Journal,
    seed: int,
    timed: Collection[str],
) -> list[Session]:
    """Return a session for each job, beside a control where its time is measured.

    Of a timed job nothing is replayed: the time would be of another run. A model that is paid for
    is asked nothing twice: there the journal replays, and a control is made once.

    Args:
        name: ``{policy}.{variant}``, sweep point included.
        variant: The variant.
        jobs: The jobs.
        engine: The engine.
        journal: Completions of earlier calls.
        seed: Seed of the run.
        timed: Ids of the jobs whose time is measured.
    """
    decodings = variant.decodings()
    anew = journal if engine.is_paid else Anew(journal)

    def session(job: Job) -> Session:
        if job.id not in timed:
            return Session(engine, journal, job, seed, decodings=decodings)
        plain = Session(engine, Journal(), job, seed)
        control = None if variant.is_control else _control(name, variant, plain, journal)
        return Session(engine, anew, job, seed, control, decodings)

    return [session(job) for job in jobs]


def _control(name: str, variant: Variant, plain: Session, journal: Journal) -> Control | None:
    """Return the control of a job; none if one was paid for in an earlier run."""
    beside = {"variant": name, "settings": variant.model_dump(mode="json")}
    models = plain.engine.fingerprint()
    identity = {**plain.request().identity(models, 0), "timed_beside": beside}
    key = key_of(identity)
    if plain.engine.is_paid and journal.get(key) is not None:
        return None
    is_heads = random.Random(f"{plain.seed}/{name}/{plain.job.id}").random() < 0.5
    return Control(plain, is_heads, lambda: journal.put(key, {"made": True}, identity))
