"""A plot is one file: drawn, saved, shown and logged without any other change."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

from tests.conftest import ROOT, make_project
from tests.reporting.support import scores

PLOT = '''
"""Share of valid responses by variant."""

from ttc_bench.reporting.colours import colour
from ttc_bench.reporting.drawing.figure import Axis, Dot, Dots, Figure, Panel
from ttc_bench.reporting.plots import plot
from ttc_bench.types import DataFrame


@plot("validity_plot", title="Validity", caption="Farther right is better.", tables=("all_scores",))
def validity_plot(scores: DataFrame) -> Figure:
    """Return a dot per policy."""
    shares = (scores["status"] == "ok").groupby(scores["policy"]).mean()
    dots = [Dot(share, name, name, colour(name), name) for name, share in shares.items()]
    rows = Axis(names=list(shares.index))
    return Figure([Panel(0, 0, "", Axis("share"), rows, [Dots(dots, "x", 1.0)])], (6.0, 2.0))
'''


def test_a_plot_is_one_file(tmp_path: Path) -> None:
    project = make_project(tmp_path / "project")
    (project / "src").rmdir()
    shutil.copytree(ROOT / "src", project / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    (project / "src/ttc_bench/reporting/plots/validity.py").write_text(PLOT)
    (project / "data/07_model_output/scores").mkdir(parents=True)
    table = scores("baseline", "greedy", [1.0, 0.0, None, 1.0])
    table.to_parquet(project / "data/07_model_output/scores/baseline.greedy.parquet")

    run = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--pipelines=aggregate,report",
         "--params=min_valid_share=0.0"],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project / "src")},
        capture_output=True,
        text=True,
        check=False,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    saved = project / "data/08_reporting"
    assert (saved / "plots/validity.png").read_bytes().startswith(b"\x89PNG")
    (trace,) = json.loads((saved / "plots/validity.json").read_text())["data"]
    assert (trace["x"], trace["y"]) == ([0.75], ["baseline"])
    assert "<h3>Validity</h3>" in (saved / "report.html").read_text()
    logged = {path.name for path in (project / "data").rglob("validity_plot.*")}
    assert logged == {"validity_plot.png"}
    (page,) = (project / "data/mlflow").rglob("plots.html")
    assert 'id="validity_plot"' in page.read_text()
