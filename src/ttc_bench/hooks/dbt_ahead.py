"""dbt loads while a run does what comes before it, and builds while it does what needs no mart."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.pipeline import Pipeline
from kedro.pipeline.node import Node

from ttc_bench.dbt import ahead

SOURCES = "warehouse_sources"
"""What is told of the sources in the warehouse: what takes it waits for dbt."""


class DbtAhead:
    """Begins to load dbt as a run with marts begins; nothing is timed while dbt works."""

    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, pipeline: Pipeline, catalog: CatalogProtocol[Any, Any]) -> None:
        """Begin, before this process loads what the checks need."""
        if any(SOURCES in node.inputs for node in pipeline.nodes):
            ahead.begin(Path(str(getattr(catalog.get("warehouse"), "_filepath", ""))).stem)

    @hook_impl
    def before_node_run(self, node: Node) -> None:
        """Wait, where calls come next."""
        if "generate" in node.tags:
            ahead.wait()

    @hook_impl
    def after_node_run(self, node: Node, inputs: dict[str, Any]) -> None:
        """Let it build, where its sources are written now."""
        if SOURCES in node.outputs:
            ahead.begin_build(inputs["warehouse"])

    @hook_impl
    def after_pipeline_run(self) -> None:
        """End its process."""
        ahead.end()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """End its process."""
        ahead.end()
