"""Garbage of a run is looked for among what the run makes, not among its libraries."""

from __future__ import annotations

import gc
import sys

from kedro.framework.hooks import hook_impl


class Garbage:
    """Sets aside what is loaded before the first node, in a process that a command has for itself.

    Those are half a million objects of libraries, which live as long as the process. To look
    through them would hold up timed calls, and to take them apart one by one its end, by seconds.
    """

    _is_rare = False
    _is_aside = False

    def spare(self) -> None:
        """Look less often: a tenth of a run went by in looking through its libraries."""
        gc.set_threshold(100_000, 50, 100)
        self._is_rare = True

    @hook_impl(trylast=True)
    def before_pipeline_run(self) -> None:
        """Set aside what is there, once: a later run of the process loads no more libraries."""
        # DuckDB prints what was set aside of it as leaks.
        if self._is_rare and not self._is_aside and "duckdb" not in sys.modules:
            gc.freeze()
            self._is_aside = True


GARBAGE = Garbage()
"""Of this process: the command begins before there are hooks."""
