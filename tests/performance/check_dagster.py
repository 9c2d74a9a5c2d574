"""The Dagster job of the docs, loaded and run by Dagster itself: one run for all its steps.

Dagster wants an environment of its own, with this project in it::

    python -m venv /tmp/dagster
    /tmp/dagster/bin/pip install dagster==1.13.28 -e .
    /tmp/dagster/bin/python tests/performance/check_dagster.py

It takes the code from `.github/docs/orchestrators.md` into a project of its own, has Dagster
execute the job on two questions, and ends non-zero unless that is one run, here and in MLflow.
"""

from __future__ import annotations

import os
import re
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.conftest import make_project  # noqa: E402

PAGE = ROOT / ".github" / "docs" / "orchestrators.md"
SETTINGS = "limit: 2\nbenchmarks: [crm_sim]\ntiming: {jobs: 0}\n"


def main() -> None:
    """Take, load and run the job; see the module's description."""
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    project = make_project(Path(tempfile.mkdtemp(prefix="dagster")) / "project")
    (project / "conf/local/parameters.yml").write_text(SETTINGS)
    (project / "dagster_job.py").write_text(code)
    home = project.parent / "home"
    home.mkdir()
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "DAGSTER_HOME": str(home)}
    execute = [sys.executable, "-m", "dagster", "job", "execute", "-f", "dagster_job.py"]
    subprocess.run(execute, cwd=project, env=environment, check=True)
    query = "select name, status from runs where run_uuid not in"
    nested = "(select run_uuid from tags where key = 'mlflow.parentRunId')"
    with sqlite3.connect(project / "data/mlflow/mlflow.db") as store:
        parents = store.execute(f"{query} {nested}").fetchall()
    kept = [path.name for path in (project / "data/08_reporting/runs").iterdir()]
    print("runs in MLflow:", parents, "kept here:", kept, flush=True)
    raise SystemExit(0 if len(parents) == len(kept) == 1 and parents[0][1] == "FINISHED" else 1)


if __name__ == "__main__":
    main()
