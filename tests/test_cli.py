"""Bad input: one clear line each, a non-zero exit, and nothing generated."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from kedro.pipeline import Pipeline
from tests.conftest import ROOT, KedroRun
from tests.forked import Forked, Template

from ttc_bench.cli import (
    ENDINGS,
    Terminated,
    _cause,
    _terminable,
    _undisturbed,
    parse_params_option,
    run,
)
from ttc_bench.errors import UserError
from ttc_bench.hooks.parameters import ConfigLoader
from ttc_bench.params import yaml_faults

BAD_INPUT = {
    "unknown node": (["--pipeline=speculative", "--nodes=nosuch"], ["nodes named ['nosuch']"]),
    "unknown tag": (["--pipeline=speculative", "--tags=nosuch"], ["no nodes after applying"]),
    "unknown namespace": (["--namespaces=early_exit.nosuch"], ["early_exit.nosuch"]),
    "unknown environment": (["--env=grok"], ["unknown environment 'grok'", "'groq'"]),
    "unknown runner": (["--runner=ThredRunner"], ["unknown runner", "'ThreadRunner'"]),
    "a runner of no module": (["--runner=a.b.NoSuch"], ["unknown runner 'a.b.NoSuch'"]),
    "a runner that is none": (["--runner=os.path.join"], ["unknown runner 'os.path.join'"]),
    "a setting of no runner": (["--runner-params=x=1"], ["setting of SequentialRunner 'x'"]),
    "versions of no dataset": (["--load-versions=nosuch:1"], ["[nosuch]", "load_versions"]),
    "no version": (["--load-versions=nosuch"], ["load_versions", "found nosuch instead"]),
    "a comparison of nothing": (["--pipeline=compare"], ["no run is kept yet"]),
    "a report of nothing": (["--pipeline=report"], ["all_scores.parquet yet", "`kedro run`"]),
    "scores of nothing": (["--pipeline=score"], ["run `kedro run --pipeline=ingest_benchmarks`"]),
    "an aggregate of nothing": (["--pipeline=aggregate"], ["no scores are stored"]),
    "sweep point twice": (
        ["--pipeline=early_exit", "--params=early_exit.fixed_layer.layers=[0.5,0.5]"],
        ["early_exit.fixed_layer", "fixed_layer[layers=0.5] more than once"],
    ),
    "unknown policy": (
        ["--pipeline=speculativ"],
        ["unknown pipeline 'speculativ'", "'speculative'"],
    ),
    "a pipeline of no name": (["--pipeline="], ["unknown pipeline ''", "speculative"]),
    "unknown top-level parameter": (
        ["--pipeline=speculative", "--params=limits=3"],
        ["unknown parameter 'limits'", "'limit'"],
    ),
    "unknown variant": (
        ["--pipeline=speculative", "--params=speculative.draftmodel.k=3"],
        ["unknown variant of speculative 'draftmodel'", "'draft_model'"],
    ),
    "unknown setting of a variant": (
        ["--pipeline=speculative", "--params=speculative.draft_model.kk=3"],
        ["speculative.draft_model.kk", "'k'"],
    ),
    "setting out of range": (
        ["--pipeline=speculative", "--params=speculative.draft_model.k=0"],
        ["speculative.draft_model.k", "got 0"],
    ),
    "unknown benchmark": (
        ["--pipeline=speculative", "--params=benchmarks=[crmsim]"],
        ["unknown benchmark 'crmsim'", "'crm_sim'"],
    ),
    "a benchmark that is a number": (
        ["--pipeline=speculative", "--params=benchmarks=[1]"],
        ["parameter benchmarks.0: input should be a valid string (got 1)"],
    ),
    "a policy that is a number": (
        ["--pipeline=speculative", "--params=speculative=5"],
        ["parameter speculative: input should be variants", "draft_model", "got 5"],
    ),
    "a benchmark without a list": (
        ["--pipeline=speculative", "--params=benchmarks=crm_sim"],
        ["parameter benchmarks: input should be a list, as [a, b] (got 'crm_sim')."],
    ),
    "names in the place of a list": (
        ["--pipeline=speculative", "--params=benchmarks={a: 1}"],
        ["configuration of parameters cannot be resolved"],
    ),
    "a source that is a number": (
        ["--pipeline=speculative", "--params=sources.mine=5"],
        ["unknown benchmark in sources 'mine'"],
    ),
    "unknown family of metrics": (
        ["--pipeline=speculative", "--params=score.families.bert_scor=false"],
        ["unknown family in score.families 'bert_scor'", "'bert_score'"],
    ),
    "limit of zero": (["--pipeline=speculative", "--params=limit=0"], ["limit", "got 0"]),
    "limit below zero": (["--pipeline=speculative", "--params=limit=-1"], ["limit", "got -1"]),
    "a model path that is no model": (
        ["--pipeline=speculative", "--params=model.target=conf"],
        ["model.target", "conf"],
    ),
    "a parameter without a value": (
        ["--pipeline=speculative", "--params=limit"],
        ["'limit' is not of the form key=value"],
    ),
    "an unknown engine": (
        ["--pipeline=speculative", "--params=model.engine=locale"],
        ["unknown engine 'locale'", "'local'"],
    ),
}


@pytest.mark.parametrize("case", BAD_INPUT)
def test_bad_input_stops_before_any_generation(
    case: str, kedro_run: KedroRun, project: Path
) -> None:
    arguments, expected = BAD_INPUT[case]
    result = kedro_run(*arguments)
    assert result.exit_code != 0
    message = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert len(message) == 1, result.output
    for words in expected:
        assert words in message[0]
    assert "Traceback" not in result.output
    assert not list((project / "data" / "07_model_output").glob("**/*.parquet"))


@pytest.mark.parametrize(
    ("place", "content", "expected"),
    [
        ("options.yml", "run: [1, 2\n x: :", "--config: "),
        ("options.yml", "- 1", "holds no section 'run:'"),
        ("options.yml", "", "holds no section 'run:'"),
        ("options.yml", "run: {pipelin: x}", "unknown option 'pipelin'. Did you mean 'pipeline"),
        ("options.yml", "run: {pipeline: speculativ}", "unknown pipeline 'speculativ'"),
        (
            "conf/local/parameters.yml",
            "a: [1, 2",
            "conf/local/parameters.yml, line 2, column 1: did not find",
        ),
        ("conf/local/parameters.yml", "- 1", "parameters.yml holds no names with values"),
        ("conf/local/parameters.yml", "on: 5\n1: {2: 3}", "unknown parameter 'True'"),
        ("conf/local/parameters.yml", "speculative: {1: 2}", "variant of speculative '1'"),
        (
            "conf/local/parameters.yml",
            "limit: 1\nlimit: 2",
            "line 2, column 1: found duplicate key",
        ),
        ("conf/local/parameters.yml", "\tlimit: 1", "line 1, column 1: found character"),
        ("conf/local/parameters.yml", "limit: ${x}", "Interpolation key 'x' not found"),
        ("conf/local/catalog.yml", "x: 3", "Catalog entry 'x' is not a valid dataset"),
        ("conf/local/catalog.yml", "jobs: {type: json.JSONDataset}", "argument: 'filepath'"),
        ("conf/local/mlflow.yml", "server: 3", "of mlflow.yml.server: input should be"),
        ("conf/local/mlflow.yml", "servr: {}", "unknown key 'servr'. Did you mean 'server'"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(
    place: str, content: str, expected: str, kedro_run: KedroRun, project: Path
) -> None:
    (project / place).write_text(content)
    options = [f"--config={place}"] if place == "options.yml" else ["--pipeline=baseline"]
    result = kedro_run(*options)
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert expected in line
    assert isinstance(result.exception, SystemExit)


def test_all_faults_of_all_yaml_files_are_told(tmp_path: Path) -> None:
    """A parser ends at its first fault; each part under a name of its own is parsed."""
    files = {
        "a.yml": "limit: [1, 2\nseed: 3\nmodel:\n  a: 1\n   b: 2\nlast: 'open\n",
        "b.yml": "a: 1\na: 2\n",
        "c.yml": "sound: 1\n",
    }
    told = {name: [] for name in files}
    for name, text in files.items():
        (tmp_path / name).write_text(text)
        faults = yaml_faults(tmp_path / name)
        assert all(fault.startswith(f"{tmp_path / name}, line ") for fault in faults)
        told[name] = [fault.partition(", line ")[2].partition(",")[0] for fault in faults]
    assert told == {"a.yml": ["2", "5", "7"], "b.yml": ["2"], "c.yml": []}
    loader = ConfigLoader(str(tmp_path), base_env=".", default_run_env=".")
    loader.config_patterns["parameters"] = ["*.yml"]
    with pytest.raises(UserError) as told_at_once:
        loader["parameters"]
    assert len(told_at_once.value.message.splitlines()) == 4


def test_a_fault_of_ours_keeps_its_traceback() -> None:
    """Kedro's own complaint, but of a call that this code made."""
    for call in (lambda: Pipeline([]).only_nodes("nosuch"), lambda: dict[str, int]()["nosuch"]):
        with pytest.raises((ValueError, LookupError)) as caught:
            call()
        assert _cause(caught.value) is None


def test_all_faults_are_told_at_once(kedro_run: KedroRun) -> None:
    result = kedro_run("--pipeline=speculative", "--params=limit=0,limitt=3,speculative.draft.k=1")
    for words in ("limit: ", "unknown parameter 'limitt'", "unknown variant of speculative"):
        assert words in result.output


def test_empty_job_file_is_told(kedro_run: KedroRun, project: Path) -> None:
    jobs = project / "data" / "05_model_input" / "jobs.jsonl"
    jobs.parent.mkdir(parents=True)
    jobs.write_text("")
    result = kedro_run("--pipeline=generate")
    assert result.exit_code != 0
    assert "jobs.jsonl holds no job" in result.output
    assert "Traceback" not in result.output


def test_a_place_that_cannot_be_written_is_told(kedro_run: KedroRun, project: Path) -> None:
    """A plain file where a folder should be: it cannot be written whoever the user is."""
    (project / "data" / "07_model_output").write_text("")
    result = kedro_run("--pipeline=speculative")
    assert result.exit_code != 0
    (line,) = [line for line in result.output.splitlines() if line.startswith("Error: ")]
    assert f"{project}/data/07_model_output is no folder" in line
    assert result.output.count("cannot write to") == 1, "not a line for each file in it"
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("limit=8", {"limit": 8}),
        ("limit=null,seed=1", {"limit": None, "seed": 1}),
        (
            "benchmarks=[crm_sim,worf_sim],best_of_n.verifier.n=[1, 2]",
            {"benchmarks": ["crm_sim", "worf_sim"], "best_of_n": {"verifier": {"n": [1, 2]}}},
        ),
        ("model.target=a/b-c", {"model": {"target": "a/b-c"}}),
        ("x=[[0.2,0.8],[1.0,0.0]],y=1", {"x": [[0.2, 0.8], [1.0, 0.0]], "y": 1}),
        ("x={a: {b: 1, c: 2}, d: {e: 3}}", {"x": {"a": {"b": 1, "c": 2}, "d": {"e": 3}}}),
        ('x="one, two",y=1', {"x": "one, two", "y": 1}),
        ("x=['one, two', three],y=1", {"x": ["one, two", "three"], "y": 1}),
        ("model.target=it's,limit=1", {"model": {"target": "it's"}, "limit": 1}),
        ("", {}),
    ],
)
def test_params_may_hold_lists(given: str, expected: dict[str, object]) -> None:
    context = click.Context(run)
    option = next(option for option in run.params if option.name == "params")
    assert parse_params_option(context, option, given) == expected


@pytest.mark.parametrize("given", ["x=[1,2", "x={a: 1,y=2", 'x="one, two,y=1'])
def test_params_that_are_not_closed_are_told(given: str) -> None:
    option = next(option for option in run.params if option.name == "params")
    with pytest.raises(UserError, match="is not closed"):
        parse_params_option(click.Context(run), option, given)


def test_a_run_from_a_folder_of_the_project_finds_the_same_models(
    kedro_run: KedroRun, project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / "notebooks").mkdir()
    monkeypatch.chdir(project / "notebooks")
    stages = ("--pipeline=baseline", "--tags=ingest_benchmarks,generate")
    result = kedro_run(*stages, "--params=limit=1,benchmarks=[crm_sim]")
    assert result.exit_code == 0, result.output
    assert (project / "data" / "07_model_output" / "responses").is_dir()
    assert not list((project / "notebooks").iterdir())
    assert Path.cwd() == project / "notebooks"


def test_the_installed_command_runs_where_its_configuration_lies(
    tmp_path: Path, template: Template
) -> None:
    command = ("-m", "ttc_bench", "--pipeline=baseline")

    def told(run: subprocess.Popen[str] | Forked) -> str:
        said, _ = run.communicate()
        assert run.returncode == 1
        assert "Traceback" not in said
        (line,) = [line for line in said.splitlines() if "Error" in line]
        return line

    # It stands on its own; what it says of other folders, it says with libraries at hand, too.
    output = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
    line = told(subprocess.Popen([sys.executable, *command], cwd=tmp_path, **output))
    assert f"{tmp_path} is in no project" in line
    assert "conf-ttc_bench.tar.gz" in line
    assert not list(tmp_path.iterdir())
    shutil.copytree(ROOT / "conf", tmp_path / "conf")
    line = told(template.start(*command, cwd=tmp_path, env=os.environ))
    assert "data/06_models/reference/target" in line, "the models are all that is missing"


@pytest.fixture
def usual_signals() -> Iterator[None]:
    """Signals as a process has them that nobody told to ignore any."""
    usual = {signal.SIGINT: signal.default_int_handler, **dict.fromkeys(ENDINGS, signal.SIG_DFL)}
    before = {number: signal.signal(number, handler) for number, handler in usual.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.usefixtures("usual_signals")
@pytest.mark.parametrize("number", ENDINGS)
def test_others_end_a_run_once_however_often_they_ask(number: signal.Signals) -> None:
    closed = []

    def ended() -> None:
        with _terminable(None):
            try:
                os.kill(os.getpid(), number)
            finally:
                for again in ENDINGS:
                    os.kill(os.getpid(), again)
                closed.append(number)

    with pytest.raises(Terminated) as raised:
        ended()
    assert [raised.value.number] == closed
    assert {signal.getsignal(number) for number in ENDINGS} == {signal.SIG_DFL}


@pytest.mark.usefixtures("usual_signals")
def test_a_run_that_outlives_its_terminal_goes_on() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # As nohup does.
    with _terminable(None):
        os.kill(os.getpid(), signal.SIGHUP)
    assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN


@pytest.mark.usefixtures("usual_signals")
def test_no_signal_breaks_off_the_closing() -> None:
    with _undisturbed():
        for number in (signal.SIGINT, *ENDINGS):
            os.kill(os.getpid(), number)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
