"""What a run is doing, said before a user has to wonder."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from collections.abc import Iterator

import click
from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

SILENCE_S = 4.0
"""Longest time without a word."""


class Progress:
    """Says every few seconds what a run is doing, unless a bar shows it, which then moves.

    A bar moves on a terminal alone: elsewhere a line says where it stands.
    """

    def __init__(self) -> None:
        self._doing = ""
        self._since = 0.0
        self._over: threading.Event | None = None

    def begin(self, doing: str) -> None:
        """Say what begins, and from now on what goes on."""
        self.end()
        self._now(doing)
        click.echo(f"{time.strftime('%H:%M:%S')} {doing}", err=True)
        self._over = threading.Event()
        threading.Thread(target=self._tell, args=(self._over,), daemon=True).start()

    def end(self) -> None:
        """Say no more."""
        if self._over is not None:
            self._over.set()
            self._over = None

    @contextlib.contextmanager
    def saying(self, doing: str) -> Iterator[None]:
        """Say what goes on in the block."""
        self.begin(doing)
        try:
            yield
        finally:
            self.end()

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self) -> None:
        """Checks come before the first node."""
        self._now("checking models and places")

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """A node begins."""
        self._now(node.name)

    @hook_impl(tryfirst=True)
    def after_pipeline_run(self) -> None:
        """All nodes are done."""
        self._now("closing the run")

    def _now(self, doing: str) -> None:
        self._doing, self._since = doing, time.monotonic()

    def _tell(self, over: threading.Event) -> None:
        while not over.wait(SILENCE_S):
            standing = _standing()
            if standing and sys.stderr.isatty():
                continue
            seconds = time.monotonic() - self._since
            since = f", for {seconds:.0f} s" if seconds >= 1 else ""
            doing = "; ".join(standing) or self._doing
            click.echo(f"{time.strftime('%H:%M:%S')} {doing}{since}", err=True)


PROGRESS = Progress()
"""Of this process: the command begins before there are hooks."""


def _standing() -> list[str]:
    """Show on bars the time that they have taken until now; return where each stands, in words."""
    if "tqdm" not in sys.modules:
        return []
    from tqdm import tqdm

    with tqdm.get_lock():
        bars = list(getattr(tqdm, "_instances", ()))
        for bar in bars:
            if sys.stderr.isatty():
                bar.refresh(nolock=True)
        return [f"{bar.desc}: {bar.n} of {bar.total}" for bar in bars]
