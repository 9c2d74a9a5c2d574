"""Garbage of a run is looked for among what the run makes, not among its libraries."""

from __future__ import annotations

import gc
import sys
from collections.abc import Sequence
from importlib.abc import MetaPathFinder
from types import ModuleType

from kedro.framework.hooks import hook_impl


def look_rarely(objects: int = 100_000) -> None:
    """Look for garbage less often: a tenth of a run went by in looking through its libraries.

    Args:
        objects: New ones, after which those are looked through.
    """
    gc.set_threshold(objects, 50, 100)


class Garbage:
    """Sets aside what is loaded, in a process that a command has for itself.

    Those are half a million objects of libraries, which live as long as the process. To look
    through them would hold up timed calls, and to take them apart one by one its end, by seconds.
    """

    _is_own = False
    _is_aside = False

    def spare(self) -> None:
        """Look hardly at all until the first node: what is made by then are libraries."""
        look_rarely(1_000_000)
        if not self._is_own and "duckdb" not in sys.modules:
            sys.meta_path.insert(0, BeforeDuckDB())
        self._is_own = True

    @hook_impl(trylast=True)
    def before_pipeline_run(self) -> None:
        """Set aside what is there, once: a later run of the process loads few more libraries."""
        if self._is_own and not self._is_aside and "duckdb" not in sys.modules:
            gc.freeze()
            self._is_aside = True
        # Before that, the next object would have them all looked through.
        look_rarely()


class BeforeDuckDB(MetaPathFinder):
    """Sets aside what is there as DuckDB is loaded, the last moment at which it can be.

    DuckDB prints what was set aside of it as leaks.
    """

    def find_spec(
        self, name: str, _path: Sequence[str] | None, _target: ModuleType | None = None, /
    ) -> None:
        """Find nothing: others do."""
        if name == "duckdb":
            sys.meta_path.remove(self)
            gc.freeze()


GARBAGE = Garbage()
"""Of this process: the command begins before there are hooks."""
