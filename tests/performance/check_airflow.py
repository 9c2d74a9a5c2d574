"""A DAG that kedro-airflow makes, imported and run by Airflow itself: one run for all its tasks.

Airflow wants an environment of its own, whose Python the variable ``TTC_BENCH_AIRFLOW_PYTHON``
names::

    python -m venv /tmp/airflow
    /tmp/airflow/bin/pip install apache-airflow==3.3.2 -e ".[airflow]"
    TTC_BENCH_AIRFLOW_PYTHON=/tmp/airflow/bin/python python tests/performance/check_airflow.py

It makes the DAG of a policy in a project of its own, has Airflow import and run it, prints what its
tasks became, and ends non-zero if they are not one run, here and in MLflow. With ``--import-only``
it ends behind the import, for which ``kedro`` beside Airflow is enough.
"""

from __future__ import annotations

import argparse
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from tests.conftest import make_project  # noqa: E402

VARIABLE = "TTC_BENCH_AIRFLOW_PYTHON"
SETTINGS = "limit: 2\nbenchmarks: [crm_sim]\ntiming: {jobs: 0}\n"
IMPORTED = """
from airflow.dag_processing.dagbag import DagBag
bag = DagBag(dag_folder="dags")
assert not bag.import_errors, bag.import_errors
(dag,) = bag.dags.values()
for task in dag.topological_sort():
    print(f"{task.task_id:24} after {', '.join(sorted(task.upstream_task_ids)) or 'nothing'}")
"""


def run(command: list[str], folder: Path, environment: dict[str, str]) -> None:
    """Run a command in the project, its messages shown; end if it fails."""
    print(" ".join(command)[:100], flush=True)
    subprocess.run(command, cwd=folder, env={**os.environ, **environment}, check=True)


def main() -> None:
    """Make, import and run the DAG; see the module's description."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pipeline", default="kv_cache")
    parser.add_argument("--import-only", action="store_true")
    settings = parser.parse_args()
    python = os.environ.get(VARIABLE)
    if python is None:
        raise SystemExit(f"set {VARIABLE} to the Python of an environment with Airflow.")
    project = make_project(Path(tempfile.mkdtemp(prefix="airflow")) / "project")
    (project / "conf/local/parameters.yml").write_text(SETTINGS)
    home = {
        "AIRFLOW_HOME": str(project.parent / "home"),
        "AIRFLOW__CORE__DAGS_FOLDER": str(project / "dags"),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
    }
    create = [sys.executable, "-m", "kedro", "airflow", "create", "--group-by=namespace"]
    run([*create, f"--pipelines={settings.pipeline}", "--target-dir=dags"], project, {})
    airflow = [python, "-m", "airflow"]
    run([*airflow, "db", "migrate"], project, home)
    run([python, "-c", IMPORTED], project, home)
    if settings.import_only:
        return
    run([*airflow, "dags", "test", "ttc-bench"], project, home)
    names = f"{project}/data/mlflow/mlflow.db"
    query = "select name, status from runs where run_uuid not in"
    nested = "(select run_uuid from tags where key = 'mlflow.parentRunId')"
    with sqlite3.connect(names) as store:
        parents = store.execute(f"{query} {nested}").fetchall()
    print("runs in MLflow:", parents, flush=True)
    raise SystemExit(0 if len(parents) == 1 and parents[0][1] == "FINISHED" else 1)


if __name__ == "__main__":
    main()
