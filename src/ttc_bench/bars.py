"""Bars of progress: on a terminal they move, elsewhere a line tells their end.

Between, `ttc_bench.hooks.progress` says every few seconds where each stands: a bar that is drawn
over itself would run together with the lines of a log.
"""

from __future__ import annotations

import io
import shutil
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import click


class _Nowhere(io.TextIOBase):
    """Takes what is drawn where nobody sees it move."""

    def write(self, text: str) -> int:
        return len(text)


@contextmanager
def progress_bar(name: str, total: int, unit: str, stays: bool = True) -> Iterator[Any]:
    """Show how far a block is, by the ``update`` of what is yielded.

    Args:
        name: What it does.
        total: Of how many.
        unit: Of what, e.g. ``job``.
        stays: Whether its end is worth a line that stays.
    """
    from tqdm import tqdm

    is_terminal = sys.stderr is not None and sys.stderr.isatty()
    # Some terminals say that they have no columns or lines, and a bar of none would be silent.
    width, height = shutil.get_terminal_size()
    seen: dict[str, Any] = (
        {"mininterval": 0.5, "ncols": width, "nrows": height}
        if is_terminal
        else {"mininterval": 10.0, "file": _Nowhere()}
    )
    begin = time.monotonic()
    with tqdm(total=total, desc=name, unit=unit, leave=stays, **seen) as bar:
        try:
            yield bar
        finally:
            if stays and not is_terminal:
                took_s = time.monotonic() - begin
                clock, of = time.strftime("%H:%M:%S"), unit if total == 1 else f"{unit}s"
                click.echo(f"{clock} {name}: {bar.n} of {total} {of}, in {took_s:.0f} s", err=True)
