"""Two runs that would write the same files: the second is told which one is there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from kedro.io import DataCatalog
from kedro.pipeline import Pipeline, node
from kedro_datasets.json import JSONDataset

from ttc_bench.datasets import JournalDataset
from ttc_bench.errors import UserError
from ttc_bench.hooks.occupancy import Occupancy

HOLD = """
import sys
from pathlib import Path
from tests.hooks.test_occupancy import begin
hook = begin(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
print("at work", flush=True)
sys.stdin.read()
"""


def begin(folder: Path, reads: str, writes: str) -> Occupancy:
    """Begin a run of one node; all runs extend the same journal."""
    hook = Occupancy()
    hook.after_context_created(SimpleNamespace(project_path=folder))
    catalog = DataCatalog(
        {name: JSONDataset(filepath=str(folder / name)) for name in (reads, writes)}
    )
    catalog["journal"] = JournalDataset(str(folder / "journal.jsonl"))
    work = Pipeline([node(lambda _, __: 0, [reads, "journal"], writes, name="work")])
    hook.before_pipeline_run({"pipeline_names": ["nightly"]}, work, catalog)
    return hook


@pytest.mark.parametrize(
    ("reads", "writes", "is_refused"),
    [
        ("jobs", "scores", True),
        ("other", "scores/part", True),
        ("scores", "summary", True),
        ("x", "jobs", True),
        ("jobs", "others", False),
        ("scores2", "jobs2", False),
    ],
)
def test_a_run_is_refused_if_and_only_if_one_writes_what_the_other_uses(
    reads: str, writes: str, is_refused: bool, tmp_path: Path
) -> None:
    first = begin(tmp_path, "jobs", "scores")
    if is_refused:
        with pytest.raises(UserError, match=rf"nightly, process {os.getpid()}, since 2") as caught:
            begin(tmp_path, reads, writes)
        assert "\n" not in str(caught.value)
    first.after_pipeline_run()
    begin(tmp_path, reads, writes).on_pipeline_error()
    assert not list((tmp_path / "data" / ".runs").glob("*.json")), "nothing is left behind"


def test_runs_that_share_nothing_but_the_journal_work_beside_each_other(tmp_path: Path) -> None:
    hooks = [begin(tmp_path, "jobs", f"scores{number}") for number in range(3)]
    for hook in hooks:
        hook.after_pipeline_run()


def test_a_process_that_died_holds_nothing(tmp_path: Path) -> None:
    holder: Any = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path), "jobs", "scores"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert holder.stdout.readline() == "at work\n"
    with pytest.raises(UserError, match=rf"process {holder.pid}, since"):
        begin(tmp_path, "jobs", "scores")
    holder.kill()
    holder.wait()
    (left,) = (tmp_path / "data" / ".runs").glob("*.json")
    assert json.loads(left.read_text())["pid"] == holder.pid
    begin(tmp_path, "jobs", "scores").after_pipeline_run()
    assert not left.exists()


def test_a_run_that_ctrl_c_ended_gives_way_to_the_next_one_of_its_process(tmp_path: Path) -> None:
    """Kedro tells no hook of it; a notebook goes on in the same process."""
    hook = begin(tmp_path, "jobs", "scores")
    catalog = DataCatalog({"scores": JSONDataset(filepath=str(tmp_path / "scores"))})
    work = Pipeline([node(lambda: 0, None, "scores", name="work")])
    hook.before_pipeline_run({}, work, catalog)
    hook.after_pipeline_run()
