"""Workers beyond this process start before the first node, and end with the run."""

from __future__ import annotations

from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline


class Workers:
    """Starts Ray's workers of a run that has some, and ends them however it ends."""

    _close: Any = None

    @hook_impl
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Start them: what they lack is told before the first call.

        Raises:
            UserError: If they cannot start.
        """
        self._end()  # A run of this process that was interrupted told no hook of its end.
        if "workers" in pipeline.inputs():
            catalog.load("workers")
            self._close = getattr(catalog.get("workers"), "close", None)

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End them."""
        self._end()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """End them."""
        self._end()

    def _end(self) -> None:
        if self._close is not None:
            self._close()
            self._close = None
