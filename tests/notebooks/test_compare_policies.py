"""The notebook runs from top to bottom on the catalog of a run, and shows what was measured."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import nbformat
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from tests.conftest import ROOT, KedroRun
from tests.forked import Template
from tests.reporting.support import scores

NOTEBOOK = ROOT / "notebooks" / "compare_policies.ipynb"


def shown(notebook: nbformat.NotebookNode) -> str:
    outputs = (output for cell in notebook.cells for output in cell.get("outputs", ()))
    return "\n".join(
        str(output.get("text") or output.get("data", {}).get("text/plain")) for output in outputs
    )


def forking(template: Template) -> type[AsyncKernelManager]:
    """Return what starts kernels that are forked."""

    class Forking(AsyncKernelManager):
        def format_kernel_cmd(self, extra_arguments: Any = None) -> list[str]:
            return template.command(*super().format_kernel_cmd(extra_arguments)[1:])

    return Forking


def test_notebook_runs_on_the_catalog(
    project: Path, kedro_run: KedroRun, template: Template
) -> None:
    folder = project / "data" / "07_model_output" / "scores"
    folder.mkdir(parents=True)
    rewards = {"baseline.greedy": [0.0, 0.0, 1.0] * 12, "cascade.agreement": [1.0, 0.0, 1.0] * 12}
    for name, own in rewards.items():
        scores(*name.split("."), own).to_parquet(folder / f"{name}.parquet")
    wanted = "quality_vs_cost,bench_summary,comparisons,decision,intervals"
    result = kedro_run("--pipelines=aggregate,report", f"--to-outputs={wanted}")
    assert result.exit_code == 0, result.output
    (project / "notebooks").mkdir()
    place = shutil.copy(NOTEBOOK, project / "notebooks")
    notebook = nbformat.read(place, as_version=4)
    NotebookClient(
        notebook,
        timeout=120,
        kernel_manager_class=forking(template),
        resources={"metadata": {"path": str(project / "notebooks")}},
    ).execute()
    text = shown(notebook)
    assert "Best at any price: cascade.agreement (+0.333 [" in text
    assert "cascade.agreement: better, reward +0.333 [" in text
    assert "cascade.agreement minus baseline.greedy" in text
    images = [o for cell in notebook.cells for o in cell.get("outputs", ()) if "data" in o]
    assert any("image/png" in output["data"] for output in images)


def test_notebook_is_stored_without_outputs() -> None:
    cells = nbformat.read(NOTEBOOK, as_version=4).cells
    assert not [cell for cell in cells if cell.get("outputs")]
