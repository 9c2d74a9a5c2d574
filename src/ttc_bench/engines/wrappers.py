"""Engines around engines: by role, in a thread, and what all of them pass on."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ttc_bench.engines.base import CallLimits, Capability, Engine, ModelRole, Request
from ttc_bench.engines.completion import Completion, Reading
from ttc_bench.errors import CapabilityError
from ttc_bench.types import Message

T = TypeVar("T")


class EngineWrapper(Engine):
    """Passes everything on to the engine of a role; a subclass overrides what it is for.

    Args:
        engine: The engine that gives the name and the concurrency, and answers for every role.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.is_paid = engine.is_paid

    @property
    def name(self) -> str:
        """The engine's name."""
        return self._engine.name

    @property
    def concurrency(self) -> int:
        """The engine's concurrency."""
        return self._engine.concurrency

    def of(self, role: ModelRole) -> Engine:
        """Return the engine that answers for ``role``."""
        return self._engine

    def roles(self) -> frozenset[ModelRole]:
        """Return the model roles that are configured."""
        return self._engine.roles()

    def model_name(self, role: ModelRole = "target") -> str:
        """Return the name of the model in ``role``."""
        return self.of(role).model_name(role)

    def fingerprint(self, role: ModelRole = "target") -> str:
        """Return the identity of the model in ``role``."""
        return self.of(role).fingerprint(role)

    def capabilities(self, role: ModelRole = "target") -> frozenset[Capability]:
        """Return what the model in ``role`` can be asked for."""
        return self.of(role).capabilities(role)

    def device(self, role: ModelRole = "target") -> str | None:
        """Return what the model in ``role`` computes on."""
        return self.of(role).device(role)

    def set_by(self, role: ModelRole, needed: frozenset[Capability] = frozenset()) -> str:
        """Return what gives the engine a model in ``role``, as the one that has the name says."""
        return self._engine.set_by(role, needed)

    def shortcoming(self, role: ModelRole, capability: Capability) -> str:
        """Return why the model in ``role`` lacks a capability."""
        return self.of(role).shortcoming(role, capability)

    def require(self, request: Request) -> None:
        """Raise unless the engine of the request's role can execute it; see `Engine.require`."""
        self.of(request.role).require(request)

    async def complete(self, request: Request) -> tuple[Completion, ...]:
        """Return completions of the engine of the request's role; see `Engine.complete`."""
        return await self.of(request.role).complete(request)

    async def verify(self, messages: Sequence[Message], solutions: Sequence[str]) -> Reading:
        """Return the scores of the verifier's engine; see `Engine.verify`."""
        return await self.of("verifier").verify(messages, solutions)

    async def prompt_logprobs(self, text: str, role: ModelRole = "draft") -> Reading:
        """Return the prompt logprobs of the engine of ``role``; see `Engine.prompt_logprobs`."""
        return await self.of(role).prompt_logprobs(text, role)

    def limit(self, limits: CallLimits) -> None:
        """Let the engine that gives the name go by other limits; see `Engine.limit`."""
        self._engine.limit(limits)

    async def close(self) -> None:
        """Release what the engine holds."""
        await self._engine.close()


class EngineByRole(EngineWrapper):
    """Engines side by side: a hosted target, say, with local models to draft and to verify.

    Args:
        engines: The engine of every role; it must know the model under that role.
    """

    def __init__(self, engines: Mapping[ModelRole, Engine]) -> None:
        super().__init__(engines["target"])
        self._engines = dict(engines)
        self.is_paid = any(engine.is_paid for engine in engines.values())

    def of(self, role: ModelRole) -> Engine:
        """Return the engine of ``role``.

        Raises:
            CapabilityError: If there is none.
        """
        if role not in self._engines:
            raise CapabilityError(
                f"the {self.name} engine has no {role} model: {self.set_by(role)}."
            )
        return self._engines[role]

    def roles(self) -> frozenset[ModelRole]:
        """Return the model roles that are configured."""
        return frozenset(self._engines)

    async def close(self) -> None:
        """Release what every engine holds."""
        for engine in dict.fromkeys(self._engines.values()):
            await engine.close()


class Threaded(EngineWrapper):
    """An engine that computes in this process, moved to a thread of its own.

    On the event loop it would hold up the streams of hosted models, and with them their clock.

    Args:
        engine: The engine; one call runs at a time.
    """

    def __init__(self, engine: Engine) -> None:
        super().__init__(engine)
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=engine.name)

    def capabilities(self, role: ModelRole = "target") -> frozenset[Capability]:
        """Return what the model can be asked for from another thread: batches come in a stream."""
        return super().capabilities(role) - {Capability.BATCH}

    async def complete(self, request: Request) -> tuple[Completion, ...]:
        """Return the engine's completions; see `Engine.complete`."""
        return await self._run(lambda: self._engine.complete(request))

    async def verify(self, messages: Sequence[Message], solutions: Sequence[str]) -> Reading:
        """Return the engine's scores; see `Engine.verify`."""
        return await self._run(lambda: self._engine.verify(messages, solutions))

    async def prompt_logprobs(self, text: str, role: ModelRole = "draft") -> Reading:
        """Return the engine's prompt logprobs; see `Engine.prompt_logprobs`."""
        return await self._run(lambda: self._engine.prompt_logprobs(text, role))

    async def close(self) -> None:
        """Release what the engine holds."""
        await self._run(self._engine.close)

    async def _run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: asyncio.run(call()))
