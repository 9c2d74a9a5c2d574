"""Engines side by side: a hosted target with local models to draft, to score and to verify."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from ttc_bench.engines.base import Capability, Engine, ModelRole, Request
from ttc_bench.engines.completion import Completion, Reading
from ttc_bench.errors import CapabilityError
from ttc_bench.types import Message

T = TypeVar("T")


class MixedEngine(Engine):
    """Sends every request to the engine of its role; named after the target's.

    Args:
        engines: The engine of every role; it must know the model under that role.
    """

    def __init__(self, engines: Mapping[ModelRole, Engine]) -> None:
        self._engines = dict(engines)
        self.name = self._engines["target"].name
        self.concurrency = self._engines["target"].concurrency

    def roles(self) -> frozenset[ModelRole]:
        """Return the model roles that are configured."""
        return frozenset(self._engines)

    def model_name(self, role: ModelRole = "target") -> str:
        """Return the name of the model in ``role``."""
        return self.of(role).model_name(role)

    def fingerprint(self, role: ModelRole = "target") -> str:
        """Return the identity of the model in ``role``."""
        return self.of(role).fingerprint(role)

    def capabilities(self, role: ModelRole = "target") -> frozenset[Capability]:
        """Return what the model in ``role`` can be asked for."""
        return self.of(role).capabilities(role)

    async def complete(self, request: Request) -> tuple[Completion, ...]:
        """Return completions of the engine of the request's role; see `Engine.complete`."""
        return await self.of(request.role).complete(request)

    async def verify(self, messages: Sequence[Message], solutions: Sequence[str]) -> Reading:
        """Return the scores of the verifier's engine; see `Engine.verify`."""
        return await self.of("verifier").verify(messages, solutions)

    async def surprisal(self, text: str, role: ModelRole = "draft") -> Reading:
        """Return the surprisals of the engine of ``role``; see `Engine.surprisal`."""
        return await self.of(role).surprisal(text, role)

    async def close(self) -> None:
        """Release what is bound to the running event loop."""
        for engine in dict.fromkeys(self._engines.values()):
            await engine.close()

    def of(self, role: ModelRole) -> Engine:
        """Return the engine of ``role``.

        Raises:
            CapabilityError: If there is none.
        """
        if role not in self._engines:
            raise CapabilityError(
                f"the {self.name} engine has no {role} model: set the parameter model.{role}."
            )
        return self._engines[role]


class Threaded(Engine):
    """An engine that computes in this process, moved to a thread of its own.

    On the event loop it would hold up the streams of hosted models, and with them their clock.

    Args:
        engine: The engine; one call runs at a time.
    """

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=engine.name)
        self.name, self.concurrency = engine.name, engine.concurrency

    def roles(self) -> frozenset[ModelRole]:
        """Return the engine's roles."""
        return self._engine.roles()

    def model_name(self, role: ModelRole = "target") -> str:
        """Return the name of the model in ``role``."""
        return self._engine.model_name(role)

    def fingerprint(self, role: ModelRole = "target") -> str:
        """Return the identity of the model in ``role``."""
        return self._engine.fingerprint(role)

    def capabilities(self, role: ModelRole = "target") -> frozenset[Capability]:
        """Return what the model in ``role`` can be asked for."""
        return self._engine.capabilities(role)

    async def complete(self, request: Request) -> tuple[Completion, ...]:
        """Return the engine's completions; see `Engine.complete`."""
        return await self._run(lambda: self._engine.complete(request))

    async def verify(self, messages: Sequence[Message], solutions: Sequence[str]) -> Reading:
        """Return the engine's scores; see `Engine.verify`."""
        return await self._run(lambda: self._engine.verify(messages, solutions))

    async def surprisal(self, text: str, role: ModelRole = "draft") -> Reading:
        """Return the engine's surprisals; see `Engine.surprisal`."""
        return await self._run(lambda: self._engine.surprisal(text, role))

    async def close(self) -> None:
        """Release what the engine holds."""
        await self._run(self._engine.close)

    async def _run(self, call: Callable[[], Coroutine[Any, Any, T]]) -> T:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._thread, lambda: asyncio.run(call()))
