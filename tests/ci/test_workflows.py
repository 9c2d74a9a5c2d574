"""The workflows do what they say; their lines, and those of README and pages, name what exists."""

from __future__ import annotations

import functools
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from kedro.config import OmegaConfigLoader
from kedro.framework.project import pipelines
from tests.conftest import PAGES, ROOT, configured

from ttc_bench.benchmarks import BENCHMARKS
from ttc_bench.cli import parse_params_option
from ttc_bench.policies import policies

WORKFLOWS = {path.stem: path for path in (ROOT / ".github" / "workflows").glob("*.yml")}
ACTIONS = sorted((ROOT / ".github" / "actions").glob("*/action.yml"))
FULL_VERSION = re.compile(r"[\w.-]+/[\w./-]+@v\d+\.\d+\.\d+")
README = (ROOT / "README.md").read_text()
PATH = f"{Path(sys.executable).parent}:/usr/bin:/bin"
INSTALL = 'pip install -e ".[dev]"'

Step = dict[str, Any]
each_workflow = pytest.mark.parametrize("name", WORKFLOWS)


def load(path: Path) -> dict[str, Any]:
    return yaml.safe_load(path.read_text())


def steps_of(path: Path) -> Iterator[Step]:
    """The steps of every job of a workflow, or of a composite action."""
    content = load(path)
    if "runs" in content:
        yield from content["runs"]["steps"]
    for job in content.get("jobs", {}).values():
        yield from job["steps"]


def job(name: str) -> dict[str, Any]:
    return load(WORKFLOWS["ci"])["jobs"][name]


def lines_of(steps: list[Step]) -> list[str]:
    return [step["run"] for step in steps if "run" in step]


LINES = [
    line for path in (*WORKFLOWS.values(), *ACTIONS) for line in lines_of(list(steps_of(path)))
]

SHOWN = [
    line
    for page in PAGES
    for block in re.findall(r"^```bash\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
    for line in block.splitlines()
]


def bash(line: str, folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a line as a runner does, with the Python of these tests."""
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line],
        cwd=folder,
        env={
            "PATH": PATH,
            "PYTHONPATH": str(ROOT / "src"),
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )


@each_workflow
def test_a_workflow_may_only_read_and_ends_by_itself(name: str) -> None:
    workflow = load(WORKFLOWS[name])
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    assert "github.ref" in workflow["concurrency"]["group"]
    for settings in workflow["jobs"].values():
        assert "permissions" not in settings
        assert 0 < settings["timeout-minutes"] <= 90


@pytest.mark.parametrize("path", [*WORKFLOWS.values(), *ACTIONS], ids=lambda path: path.parent.name)
def test_an_action_is_pinned_by_its_full_version_or_is_our_own(path: Path) -> None:
    for action in (step["uses"] for step in steps_of(path) if "uses" in step):
        own = ROOT / action / "action.yml"
        assert FULL_VERSION.fullmatch(action) or (action.startswith("./") and own.is_file()), action


@functools.cache
def parameter_names(environment: str) -> set[str]:
    conf = str(ROOT / "conf")
    return set(OmegaConfigLoader(conf, base_env="base", default_run_env=environment)["parameters"])


@functools.cache
def pipeline_names() -> set[str]:
    configured()
    return set(pipelines)


@pytest.mark.parametrize("line", LINES)
def test_a_line_calls_a_program_that_is_there(line: str) -> None:
    assert shutil.which(shlex.split(line)[0], path=PATH)


@pytest.mark.parametrize(
    "line",
    [
        command.strip()
        for line in (*LINES, *SHOWN)
        for command in line.split("&&")
        if command.strip().startswith("kedro run")
    ],
)
def test_a_run_names_pipelines_parameters_and_environments_that_exist(line: str) -> None:
    words = shlex.split(line, comments=True)[2:]
    options = dict(word.removeprefix("--").split("=", 1) for word in words)
    assert set(options) <= {"pipeline", "params", "env", "namespaces"}
    boxes = {*policies(), *BENCHMARKS, "reporting"}
    assert options.get("namespaces", "reporting") in boxes
    name = options.get("pipeline", "__default__")
    assert set(policies() if name == "$POLICY" else [name]) <= pipeline_names()
    environment = options.get("env", "base")
    assert (ROOT / "conf" / environment).is_dir()
    params = parse_params_option(None, None, options.get("params", ""))  # type: ignore[arg-type]
    assert set(params) <= parameter_names(environment)


def test_every_registered_policy_has_a_job(tmp_path: Path) -> None:
    (registry,) = [step for step in job("lint")["steps"] if step.get("id") == "registry"]
    run = bash(registry["run"], ROOT, GITHUB_OUTPUT=str(tmp_path / "output"))
    assert run.returncode == 0, run.stderr
    name, printed = (tmp_path / "output").read_text().strip().split("=", 1)
    assert json.loads(printed) == policies()

    assert job("lint")["outputs"] == {name: f"${{{{ steps.registry.outputs.{name} }}}}"}
    matrix = job("policy")["strategy"]["matrix"]
    assert matrix == {"policy": f"${{{{ fromJSON(needs.lint.outputs.{name}) }}}}"}
    assert job("policy")["needs"] == ["lint", "tests"]
    assert job("policy")["env"] == {"POLICY": "${{ matrix.policy }}"}


def test_the_gate_and_the_workflow_check_the_same() -> None:
    gate = (ROOT / ".ci" / "run").read_text().partition('eval "$command"\n')[2]
    checks = [line for line in gate.splitlines() if line and not line.startswith("#")]
    assert len(checks) >= 9
    registry_excepted = [step for step in job("lint")["steps"] if "id" not in step]
    first, *pretrained = lines_of(job("tests")["steps"])
    assert [*pretrained, *lines_of(registry_excepted)] == checks

    assert lines_of(list(steps_of(ACTIONS[0]))) == [INSTALL]
    assert first == "pytest"
    assert f"\n{INSTALL} && pytest\n" in README


def test_what_is_kept_is_what_a_run_writes() -> None:
    catalog = "\n".join(path.read_text() for path in (ROOT / "conf/base").glob("catalog*.yml"))
    written = {Path(path) for path in re.findall(r"(?:filepath|path): (data/\S+)", catalog)}
    written |= {folder for path in written for folder in path.parents}
    uploads = [
        step["with"]
        for path in WORKFLOWS.values()
        for step in steps_of(path)
        if "upload-artifact" in step.get("uses", "")
    ]
    assert len(uploads) == 2
    for upload in uploads:
        kept = upload["path"].split()
        assert {"data/08_reporting/report.html", "data/08_reporting/plots"} <= set(kept)
        for path in kept:
            assert any(Path(path) == one or one.match(path) for one in written), path


def test_the_summary_stands_on_the_page_as_it_is(tmp_path: Path) -> None:
    table = "crm_sim, model target\npolicy  reward\n\n*: | <b>\n"
    summary = tmp_path / "data/08_reporting/summary.txt"
    summary.parent.mkdir(parents=True)
    summary.write_text(table)
    (line,) = {line for line in LINES if "summary.txt" in line}
    run = bash(line, tmp_path, GITHUB_STEP_SUMMARY=str(tmp_path / "page"))
    assert run.returncode == 0, run.stderr
    # Markdown shows lines indented by four as they are.
    assert (tmp_path / "page").read_text() == "".join(f"    {x}\n" for x in table.splitlines())


CALM = [
    ("reward", "equal"),
    ("reward", "better"),
    ("reward", "undecided"),
    ("latency_s", "worse"),
    ("reward", None),
]


@pytest.mark.parametrize("fallen", [[], [("reward", "worse")]])
def test_a_night_fails_by_a_reward_and_never_by_a_time(
    fallen: list[tuple[str, str]], tmp_path: Path
) -> None:
    changes = tmp_path / "data/08_reporting/compare/run_changes.parquet"
    changes.parent.mkdir(parents=True)
    rows = pd.DataFrame([*CALM, *fallen], columns=["metric", "verdict"], dtype="string")
    rows.to_parquet(changes)
    (line,) = [line for line in LINES if "run_changes.parquet" in line]
    run = bash(line, tmp_path)
    assert run.returncode == len(fallen), run.stderr
    assert ("worse" in run.stderr) is bool(fallen)
