"""A control: the baseline's decoding, timed beside a variant's own answer to the same job.

A machine drifts, by minutes and in bursts, so that two blocks of jobs timed one after the other
differ whatever ran in them. A variant's time means something beside that of the same plain
decoding on the same job at the same moment; a fair coin per job says which of the two goes first.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import AsyncIterator, Sequence

from ttc_bench.engines.completion import CallError
from ttc_bench.engines.ledger import Ledger
from ttc_bench.policies.session import Session
from ttc_bench.types import Job


class Control:
    """The baseline's decoding of one job; its bill is its own.

    Args:
        session: A session for the job whose journal replays nothing.
        goes_first: Whether it runs before the variant or after it.

    Attributes:
        goes_first: The same.
    """

    def __init__(self, session: Session, goes_first: bool) -> None:
        self._session = session
        self.goes_first = goes_first

    @property
    def ledger(self) -> Ledger:
        """The bill, without calls as long as the control has not run."""
        return self._session.ledger

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
            await self._session.complete(self._session.request(purpose="control"))
        except CallError as error:
            if error.fatal:
                raise


def timed_jobs(jobs: Sequence[Job], most: int, seed: int) -> frozenset[str]:
    """Return the ids of the jobs that get a control: the same ones for every variant.

    Args:
        jobs: The jobs of the run.
        most: Jobs of each benchmark.
        seed: Seed of the choice.
    """
    by_benchmark: dict[str, list[str]] = {}
    for job in jobs:
        by_benchmark.setdefault(job.benchmark, []).append(job.id)
    return frozenset(
        chosen
        for name, ids in by_benchmark.items()
        for chosen in random.Random(f"{seed}/{name}").sample(ids, min(most, len(ids)))
    )


def goes_first(variant: str, job: Job, seed: int) -> bool:
    """Return the toss of the coin of one variant and job."""
    return random.Random(f"{seed}/{variant}/{job.id}").random() < 0.5
