"""What the README shows is true: its example policy runs, and its test command is CI's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
from tests.conftest import ROOT, make_project

README = (ROOT / "README.md").read_text()
RUN = "--params=limit=2,benchmarks=[crm_sim]"
FILE = re.compile(r"^`([\w./]+)`\n\n```\w+\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def test_the_example_policy_runs_as_it_stands(tmp_path: Path) -> None:
    section = README.split("## Adding a policy")[1].split("\n## ")[0]
    files = FILE.findall(section)
    assert len(files) == 2

    project = make_project(tmp_path / "project")
    (project / "src").rmdir()
    shutil.copytree(ROOT / "src", project / "src", ignore=shutil.ignore_patterns("*.egg-info"))
    for name, content in files:
        path = project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    run = subprocess.run(
        [sys.executable, "-m", "kedro", "run", "--pipeline=shortest_of_n", RUN],
        cwd=project,
        env={**os.environ, "PYTHONPATH": str(project / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "shortest_of_n.words" in run.stdout
    responses = project / "data/07_model_output/responses/shortest_of_n.words.parquet"
    answered = pd.read_parquet(responses)
    assert (answered["status"] == "ok").all()
    for row in answered.to_dict("records"):
        assert row["text"] in set(row["samples"])


def test_ci_finds_the_test_command() -> None:
    assert 'pip install -e ".[dev]" && pytest\n' in README
    assert "pip install -e . && kedro run --pipeline=speculative\n" in README
