"""What a person asks of a run at work: to pause, to go on, to call its models otherwise.

The orders stand in a file beside the run's events, which says how the run is to be from now on. A
run looks at it between its calls. It follows no file but one that the user whose process it is has
written, and that nobody else may write or read. Each change is told; a job that is at work when one
takes effect has no times, for they would be of two runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import os
import stat
import tempfile
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ttc_bench.engines.base import CallLimits, Engine
from ttc_bench.engines.hosting.limits import PerLoop
from ttc_bench.errors import UserError
from ttc_bench.params import parse_params

logger = logging.getLogger(__name__)

LOOK_S = 0.2
"""Seconds between two looks at the orders while no call is made."""

MOST_BYTES = 4096
"""No orders are longer."""

STEERED = "steered"
"""What a note begins with that tells of a change."""


def place_of(events: Path) -> Path:
    """Return where the orders are for the run that writes these events."""
    return events.with_suffix(".orders.json")


def order(events: Path, orders: CallLimits) -> None:
    """Leave orders for the run that writes these events, in place of all earlier ones.

    Raises:
        UserError: If they cannot be left there.
    """
    place = place_of(events)
    try:
        # A file of its own at first, which the system makes for its owner alone.
        descriptor, name = tempfile.mkstemp(dir=place.parent, prefix=place.name)
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(orders.model_dump_json(exclude_none=True))
            os.replace(name, place)
        except OSError:
            os.unlink(name)
            raise
    except OSError as error:
        raise UserError(f"the run cannot be steered: {place}: {error.strerror}.") from error


def orders_in(place: Path) -> CallLimits:
    """Return the orders of a file; without one, those of a run that is left as it was started.

    Raises:
        UserError: If it is not the user's own alone, or holds no orders.
    """
    try:
        # Neither a link nor a pipe may stand in for it, nor be waited for.
        descriptor = os.open(place, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        return CallLimits()
    except OSError as error:
        raise UserError(f"{place}: {error.strerror}; orders are a plain file.") from error
    try:
        _check_owner(place, os.fstat(descriptor))
        content = os.read(descriptor, MOST_BYTES + 1)
    finally:
        os.close(descriptor)
    try:
        settings = json.loads(content) if len(content) <= MOST_BYTES else None
    except (ValueError, RecursionError):
        settings = None
    if not isinstance(settings, dict):
        allowed = ", ".join(CallLimits.model_fields)
        raise UserError(f'{place}: no orders, such as {{"paused": true}}. Allowed: {allowed}.')
    return parse_params(CallLimits, settings, "orders")


def _check_owner(place: Path, facts: os.stat_result) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise UserError(f"{place}: orders are a plain file.")
    if facts.st_uid != os.geteuid():
        raise UserError(
            f"{place} is of user {facts.st_uid}: a run takes orders only from {os.geteuid()}, whose"
            " process it is."
        )
    if facts.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
        raise UserError(f"{place} is open to others: its mode must be 600.")


class Steering:
    """Follows the orders for a run.

    Args:
        tell: Takes the facts of every change, and of orders that are refused.

    Attributes:
        place: The file of the orders; ``None`` until it is known, when nobody can give any.
        changes: What changed so far, and when, in words.
        apart: Makes the block in which the run stands still: nothing of it is the variant's.
    """

    def __init__(self, tell: Callable[..., None]) -> None:
        self.place: Path | None = None
        self.changes: list[str] = []
        self.apart: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext
        self._tell = tell
        self._orders = CallLimits()
        self._seen: tuple[int, ...] | None = None
        self._still = PerLoop(asyncio.Lock)

    def look(self, engine: Engine) -> None:
        """Follow the orders, if they are not those of the last look.

        What cannot be followed is told once, and the run goes on as before.

        Args:
            engine: Whose limits they change.
        """
        if self.place is None or (stamp := _stamp(self.place)) == self._seen:
            return
        self._seen = stamp
        try:
            orders = orders_in(self.place)
            if orders == self._orders:
                return
            engine.limit(orders)
        except UserError as error:
            line = " ".join(error.message.split())
            logger.warning("the run goes on as before: %s", line)
            self._tell(refused=line)
            return
        change = _change(self._orders, orders)
        self._orders = orders
        self.changes.append(f"{change} at {datetime.now(UTC):%H:%M:%S} UTC")
        logger.warning("the run was steered: %s (%s)", change, self.place)
        self._tell(change=change, **orders.model_dump())

    def refuse(self, why: str) -> None:
        """Tell, once per change of the orders, that this run follows none.

        Args:
            why: The reason, as a sentence goes on behind "the run goes on as before:".
        """
        if self.place is None or (stamp := _stamp(self.place)) == (self._seen or ()):
            return
        self._seen = stamp
        logger.warning("the run goes on as before: %s", why)
        self._tell(refused=why)

    async def gate(self, engine: Engine) -> None:
        """Wait as long as the run is to stand still."""
        self.look(engine)
        if self._orders.paused:
            async with self._still.get():
                with self.apart():
                    while self._orders.paused:
                        await asyncio.sleep(LOOK_S)
                        self.look(engine)

    @asynccontextmanager
    async def watched(self, engine: Engine) -> AsyncIterator[None]:
        """Look at the orders also while all calls are on their way."""
        watch = asyncio.ensure_future(self._watch(engine))
        try:
            yield
        finally:
            watch.cancel()

    async def _watch(self, engine: Engine) -> None:
        while True:
            await self.gate(engine)
            await asyncio.sleep(LOOK_S)


class Passage:
    """The way of one job's calls to the models, past the orders of its run.

    Args:
        steering: The orders; without them all calls pass.
        engine: The models.
    """

    def __init__(self, steering: Steering | None = None, engine: Engine | None = None) -> None:
        self._steering, self._engine = steering, engine
        self._since: int | None = None

    async def enter(self) -> None:
        """Wait until a call may be made."""
        if self._steering is not None and self._engine is not None:
            await self._steering.gate(self._engine)
            if self._since is None:
                self._since = len(self._steering.changes)

    @property
    def changes(self) -> tuple[str, ...]:
        """What changed since the first call was made."""
        if self._steering is None or self._since is None:
            return ()
        return tuple(self._steering.changes[self._since :])


def _stamp(place: Path) -> tuple[int, ...]:
    """Return what changes whenever a file is another one, or of other contents or rights."""
    try:
        facts = os.lstat(place)
    except OSError:
        return ()
    return (facts.st_ino, facts.st_mtime_ns, facts.st_size, facts.st_uid, facts.st_mode)


def _change(before: CallLimits, after: CallLimits) -> str:
    """Return what is different, in words."""
    now: dict[str, Any] = after.model_dump()
    changed = {name: value for name, value in now.items() if value != getattr(before, name)}
    words = {True: "paused", False: "resumed"}
    return ", ".join(
        words[value] if name == "paused" else f"{name} {'as started' if value is None else value}"
        for name, value in changed.items()
    )
