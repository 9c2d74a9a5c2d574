"""The contract of a policy: typed variants that answer a job through a metered session.

A variant is one Pydantic model: its fields are its settings (unknown keys are rejected) and
`Variant.answer` is its algorithm. It sees the model only through a `Session`, which keeps the
bill and replays what the journal already holds, so a policy can neither forget to bill a call nor
pay twice for one.
"""

from __future__ import annotations

import asyncio
import contextlib
from abc import abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, TypeVar

from pydantic import Field

from ttc_bench.benchmarks import benchmark_of
from ttc_bench.engines.base import (
    Capability,
    Decoding,
    Engine,
    Requirements,
    check_concurrency,
    check_requirements,
)
from ttc_bench.engines.completion import Completion
from ttc_bench.engines.trace import TraceRecord
from ttc_bench.errors import UserError
from ttc_bench.params import Params
from ttc_bench.policies.session import Session
from ttc_bench.registry import Registry
from ttc_bench.types import Job

GENERATE: Requirements = {"target": frozenset({Capability.GENERATE})}


@dataclass(frozen=True)
class Outcome:
    """What a policy decided for one job.

    Attributes:
        text: The final answer.
        source: The completion that the answer comes from; gives TTFT and token gaps.
        samples: Candidate texts that were chosen from.
        info: Facts about the decision, e.g. ``{"confidence": 0.75}``.
        streams: Whether its tokens can be shown as they are made; not where the whole text is
            read first, by a vote, a score or a threshold.
        first_shown_s: When its first token could be shown, in seconds of the session's clock, where
            it is put together of several calls and shown as it grows.
        trace: The steps or rounds on the way; without any it is that of ``source``.
    """

    text: str
    source: Completion | None = None
    samples: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    streams: bool = True
    first_shown_s: float | None = None
    trace: Sequence[TraceRecord] = ()

    def __post_init__(self) -> None:
        """Raise `TypeError` for what is no answer: it would count as one."""
        if not isinstance(self.text, str):
            raise TypeError(f"the text of an outcome is {self.text!r}: no answer.")
        if isinstance(self.samples, str) or not all(isinstance(s, str) for s in self.samples):
            raise TypeError(f"the samples of an outcome are {self.samples!r}: no texts.")


class Places:
    """Room for as many jobs at a time as the engine takes, which may become more or fewer.

    Args:
        engine: The engine.

    Attributes:
        ended: What ends the run: no job begins any more, however many are looked at before it.

    Raises:
        TypeError: If it takes none, for which all would wait for ever.
    """

    def __init__(self, engine: Engine) -> None:
        check_concurrency(f"engine {engine.name}", engine.concurrency)
        self._engine = engine
        self._inside = 0
        self._left = asyncio.Condition()
        self.ended: UserError | None = None

    async def __aenter__(self) -> None:
        """Wait for a place."""
        async with self._left:
            await self._left.wait_for(lambda: self._inside < self._engine.concurrency)
            self._inside += 1

    async def __aexit__(self, *_: object) -> None:
        """Leave it to another one, or to several where there is more room now."""
        async with self._left:
            self._inside -= 1
            self._left.notify(max(0, self._engine.concurrency - self._inside))


class Variant(Params):
    """One configuration of a policy: its fields are the settings, `answer` the algorithm.

    Attributes:
        policy: Name of the policy; set by `variant`.
        name: Name of the variant; set by `variant`.
        requires: What each model role must be able to do, whatever the settings.
        needs_marker: Whether it works only where answers stand behind a marker (``Answer:``). It
            is not run on other benchmarks: a plain answer under its name would be no measurement.
        is_control: Whether it is itself what the others are timed beside.
        lossless: Whether its answers are the baseline's by construction; see `Decoding`.
    """

    policy: ClassVar[str]
    name: ClassVar[str]
    requires: ClassVar[Requirements] = GENERATE
    needs_marker: ClassVar[bool] = False
    is_control: ClassVar[bool] = False
    lossless: ClassVar[bool] = False

    def needs(self) -> Requirements:
        """Return what each model role must be able to do at these settings."""
        return self.requires

    def decodings(self) -> tuple[Decoding, ...]:
        """Return the decodings that it asks for beside the plain one; others are refused it."""
        return ()

    def lacking(self, engine: Engine) -> list[str]:
        """Return what an engine lacks to run the variant and its decodings, in words."""
        needs, refused = dict(self.needs()), list[str]()
        for decoding in self.decodings():
            own = decoding.needs()
            needs |= {role: needs.get(role, frozenset()) | own[role] for role in own}
            if engine.missing_capabilities(own):
                refused.append(type(decoding).__name__)
        *lines, last = engine.missing_capabilities(needs) or [""]
        if refused:
            last = f"{last}, for the decoding {' and '.join(dict.fromkeys(refused))}"
        return [*lines, last] if last else []

    @classmethod
    def suits(cls, job: Job) -> bool:
        """Return whether the variant can do what it claims on a job's benchmark."""
        return benchmark_of(job).is_marked(job) or not cls.needs_marker

    @abstractmethod
    async def answer(self, session: Session) -> Outcome:
        """Answer one job.

        Raises:
            CallError: If a call failed for good; the job becomes a failed row.
        """

    async def outcomes(
        self, sessions: Sequence[Session]
    ) -> AsyncGenerator[tuple[Session, Outcome | Exception], None]:
        """Yield each session with its outcome, or with what went wrong, as they finish.

        Policies that need all jobs at once (batching) override this.
        """
        if not sessions:
            return
        if sessions[0].engine.concurrency == 1:
            # An engine that computes in this process never yields to the event loop:
            # one after another, each outcome is seen as soon as it is there.
            for session in sessions:
                yield await self._attempt(session)
            return
        places = Places(sessions[0].engine)
        tasks = [asyncio.ensure_future(self._attempt(session, places)) for session in sessions]
        try:
            for done in asyncio.as_completed(tasks):
                yield await done
        finally:
            for task in tasks:
                task.cancel()

    async def _attempt(
        self, session: Session, places: Places | None = None
    ) -> tuple[Session, Outcome | Exception]:
        async with places or contextlib.nullcontext():
            if places is not None and places.ended is not None:
                return session, places.ended
            try:
                async with session.beside_control():
                    return session, await self.answer(session)
            except Exception as error:
                if places is not None and isinstance(error, UserError):
                    places.ended = error
                return session, error


class SampledVariant(Variant):
    """Settings of the policies that choose among samples of the shared pool.

    Attributes:
        n: Samples drawn.
        temperature: Sampling temperature.
        top_p: Nucleus mass.
    """

    n: int = Field(default=8, ge=1, le=1024)
    temperature: float = Field(default=0.8, gt=0.0, le=5.0)
    top_p: float = Field(default=1.0, gt=0.0, le=1.0)

    def pool(self) -> dict[str, float]:
        """Return the settings of the pool, as a policy notes them that draws all ``n`` at once.

        Samples of equal settings are draws from one distribution. A policy that looks at samples
        before it draws more notes no pool: how many it has depends on what they are.
        """
        return {"temperature": self.temperature, "top_p": self.top_p}


class DecodingVariant(Decoding, Variant):
    """A variant that is a decoding: one greedy completion, produced in its own way."""

    def decodings(self) -> tuple[Decoding, ...]:
        """Return the variant itself."""
        return (self,)

    async def answer(self, session: Session) -> Outcome:
        """Return the completion as it is."""
        (completion,) = await session.complete(session.request(decoding=self))
        return Outcome(completion.text, completion)


VARIANTS: Registry[type[Variant]] = Registry("policy variant", "ttc_bench.policies")

V = TypeVar("V", bound=type[Variant])


def variant(policy: str, name: str) -> Callable[[V], V]:
    """Register a `Variant` class as ``{policy}.{name}`` and tell it its names.

    Raises:
        TypeError: If it lacks a method, or does not say what it requires of the target.
    """

    def decorate(cls: V) -> V:
        check_requirements(f"{policy}.{name}", cls.requires)
        cls.policy, cls.name = policy, name
        VARIANTS.register(f"{policy}.{name}")(cls)
        return cls

    return decorate


def policies() -> list[str]:
    """Return the names of all policies, in alphabetical order."""
    return sorted({cls.policy for cls in VARIANTS.values()})


def variants_of(policy: str) -> dict[str, type[Variant]]:
    """Return the registered variants of ``policy`` by name, in alphabetical order."""
    return {cls.name: cls for cls in VARIANTS.values() if cls.policy == policy}


def refusal(name: str, points: Iterable[Variant], engine: Engine) -> str | None:
    """Return the line that says why ``engine`` cannot run a variant; ``None`` if it can.

    Args:
        name: What cannot run.
        points: The variant at each of its sweep points.
        engine: The models.
    """
    lines = list(dict.fromkeys(line for point in points for line in point.lacking(engine)))
    if not lines:
        return None
    return (
        f"{name} cannot run on the {engine.name} model {engine.model_name()}:"
        f" it needs {' and '.join(lines)}."
    )
