"""dbt loads while a run does what comes before it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from ttc_bench.dbt import ahead


class DbtAhead:
    """Begins to load dbt as a run with marts begins; nothing is timed before that is done."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Begin, before this process loads what the checks need."""
        if "warehouse" in pipeline.inputs():
            ahead.begin(Path(str(getattr(catalog.get("warehouse"), "_filepath", ""))).stem)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Wait, where calls come next."""
        if "generate" in node.tags:
            ahead.wait()

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End its process."""
        ahead.end()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """End its process."""
        ahead.end()
