"""What a run is doing, said before a user has to wonder."""

from __future__ import annotations

import sys
import threading
import time

import click
from kedro.framework.hooks import hook_impl
from kedro.pipeline.node import Node

SILENCE_S = 4.0
"""Longest time without a word."""


class Progress:
    """Says every few seconds what a run is doing, unless a bar shows it, which then moves."""

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
            if not _moves_a_bar():
                seconds = time.monotonic() - self._since
                since = f", for {seconds:.0f} s" if seconds >= 1 else ""
                text = f"{time.strftime('%H:%M:%S')} {self._doing}{since}"
                click.echo(text, err=True)


PROGRESS = Progress()
"""Of this process: the command begins before there are hooks."""


def _moves_a_bar() -> bool:
    """Show the time that bars have taken until now; return whether there are any."""
    if "tqdm" not in sys.modules:
        return False
    from tqdm import tqdm

    with tqdm.get_lock():
        bars = list(getattr(tqdm, "_instances", ()))
        for bar in bars:
            if sys.stderr.isatty():
                bar.refresh(nolock=True)
    return bool(bars)
