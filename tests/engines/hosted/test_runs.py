"""``kedro run`` on hosted models: environments, keys, failures and what is left behind."""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from tests.conftest import ROOT, KedroRun
from tests.engines.hosted.conftest import FaultServer
from tests.engines.hosted.test_limits import most_in_a_window

KEY = "sk-planted-0123456789abcdefghij"
ARGUMENTS = ("--env=served", "--pipeline=baseline")


@pytest.fixture
def served(server: FaultServer, project: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project whose environment ``served`` is the fault server."""
    # Not deleted but registered for deletion: what the run puts there goes with the test.
    monkeypatch.setenv("OPENAI_API_KEY", "registered")
    monkeypatch.delenv("OPENAI_API_KEY")
    model = {
        "engine": "hosted",
        "target": "openai/known",
        "api_base": server.api_base,
        "attempts": 1,
    }
    settings = {"benchmarks": ["crm_sim"], "limit": 40, "model": model}
    (project / "conf" / "served").mkdir()
    (project / "conf" / "served" / "parameters.yml").write_text(yaml.safe_dump(settings))
    return project


def everything_written(folder: Path) -> str:
    """Return all that lies in ``folder``, tables and databases decoded."""
    texts = []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or "06_models" in path.parts or "local" in path.parts:
            continue
        texts.append(path.read_bytes().decode("utf-8", errors="replace"))
        if path.suffix == ".parquet":
            texts.append(json.dumps(pd.read_parquet(path).to_dict("list"), default=str))
        if path.suffix == ".db":
            with contextlib.closing(sqlite3.connect(path)) as database:
                texts += database.iterdump()
        if path.suffix == ".duckdb":
            texts += row_dicts(path)
    return "\n".join(texts)


def row_dicts(warehouse: Path) -> list[str]:
    """Return all rows of a DuckDB file, whose strings are compressed."""
    import duckdb

    with contextlib.closing(duckdb.connect(str(warehouse), read_only=True)) as database:
        views = database.execute("select schema_name, table_name from duckdb_tables()").fetchall()
        tables = [f'"{schema}"."{name}"' for schema, name in views]
        return [str(row) for t in tables for row in database.execute(f"from {t}").fetchall()]


def test_a_key_is_used_and_written_nowhere(
    served: Path, server: FaultServer, kedro_run: KedroRun, caplog: pytest.LogCaptureFixture
) -> None:
    local = served / "conf" / "local" / "credentials.yml"
    local.write_text(yaml.safe_dump({"hosted": {"OPENAI_API_KEY": KEY}}))
    server.plan(key=KEY, echo_key=True, fault_share=0.3, faults=["500", "cut"])
    with caplog.at_level("DEBUG"):
        result = kedro_run(*ARGUMENTS)
    assert result.exit_code == 1, "fewer answers are valid than min_valid_share asks for"
    assert "Traceback" not in result.output

    log = server.log()
    assert sum(entry["status"] == 200 for entry in log) > 20, "the key opened the door"
    responses = pd.read_parquet(
        served / "data" / "07_model_output" / "responses" / "baseline.greedy.parquet"
    )
    failed = responses[responses["status"] == "failed"]
    assert len(responses) == 40
    assert 0 < len(failed) == sum(not entry["done"] for entry in log)
    assert set(failed["error_type"]) == {"server_error", "broken_stream"}
    assert failed["error_message"].str.contains("key hidden").any(), "an error repeated the key"

    summary = pd.read_parquet(served / "data" / "08_reporting" / "bench_summary.parquet")
    assert int(summary["n_failed"].sum()) == len(failed)
    assert "server_error: " in summary["failures"].iloc[0]

    kinds = {path.suffix for path in served.rglob("*") if path.is_file()}
    assert {".db", ".duckdb", ".html", ".jsonl", ".parquet", ".png", ".json"} <= kinds
    written = everything_written(served)
    assert "INSERT INTO \"params\" VALUES('model.target','openai/known'" in written, "MLflow"
    assert "openai/known" in (served / "data" / "08_reporting" / "report.html").read_text()
    for text in (written, result.output, caplog.text):
        assert KEY not in text
        assert KEY[3:] not in text


def test_a_wrong_key_ends_the_run_in_one_line_without_it(
    served: Path, server: FaultServer, kedro_run: KedroRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.plan(key="another")
    result = kedro_run(*ARGUMENTS)
    assert result.exit_code == 1
    (line,) = [part for part in result.output.splitlines() if part.startswith("Error")]
    assert "Check the key in OPENAI_API_KEY" in line
    assert KEY not in result.output
    assert KEY not in everything_written(served)


@pytest.mark.parametrize(
    ("environment", "words"),
    [
        ("groq", "set the environment variable GROQ_API_KEY"),
        ("openai", "set the environment variable OPENAI_API_KEY"),
        ("vllm", "cannot be reached at http://localhost:8000/v1/chat/completions"),
        ("ollama", "cannot be reached at http://localhost:11434/v1/chat/completions"),
    ],
)
def test_what_an_environment_lacks_is_one_line(
    project: Path,
    kedro_run: KedroRun,
    monkeypatch: pytest.MonkeyPatch,
    environment: str,
    words: str,
) -> None:
    for name in [name for name in os.environ if name.endswith("_API_KEY")]:
        monkeypatch.delenv(name)
    arguments = ("--pipeline=baseline", "--params=benchmarks=[crm_sim],limit=1")
    result = kedro_run(f"--env={environment}", *arguments)
    assert result.exit_code == 1
    assert words in result.output
    assert "Traceback" not in result.output
    assert not list((project / "data").rglob("*.parquet"))


def test_an_environment_runs_its_model_on_its_benchmarks(
    project: Path, server: FaultServer, kedro_run: KedroRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_of_the_test_1234")
    server.plan(key="gsk_of_the_test_1234")
    result = kedro_run(
        "--env=groq",
        "--pipeline=self_consistency",
        "--tags=ingest_benchmarks,generate",
        f"--params=benchmarks=[crm_sim],limit=2,model.api_base={server.api_base}",
    )
    assert result.exit_code == 0, result.output
    folder = project / "data" / "07_model_output" / "responses"
    for name in ("baseline.greedy", "self_consistency.majority", "self_consistency.adaptive"):
        responses = pd.read_parquet(folder / f"{name}.parquet")
        assert list(responses["status"]) == ["ok", "ok"]
        assert set(responses["model"]) == {"groq/llama-3.3-70b-versatile"}
        assert set(responses["engine"]) == {"hosted"}
        assert (responses["usd"] > 0).all(), "LiteLLM lists no price, this project does"
    assert {entry["model"] for entry in server.log()} == {"llama-3.3-70b-versatile"}
    samples, controls = 2 * (1 + 8), 2 * 2
    assert len(server.log()) == samples + controls, "adaptive took its samples from the pool"


def environment_settings(name: str) -> dict[str, Any]:
    """Return the parameters of an environment of the project."""
    settings = yaml.safe_load((ROOT / "conf" / name / "parameters.yml").read_text())
    assert isinstance(settings, dict)
    return settings


@pytest.mark.parametrize("name", ["groq", "openai", "vllm", "ollama"])
def test_environments_name_the_real_benchmarks_and_valid_settings(name: str) -> None:
    from ttc_bench.engines import engine_params

    settings = environment_settings(name)
    assert settings["benchmarks"] == ["crmarena", "worfbench"]
    assert engine_params(settings["model"])


@pytest.mark.parametrize(
    ("ran", "settings"),
    [
        (
            ["cascade.agreement", "early_exit.consistency", "speculative.step",
             "self_refine.feedback", "self_refine.budget_forcing"],
            "",
        ),
        (["best_of_n.verifier"], ",model.verifier=data/06_models/reference/verifier"),
    ],
    ids=["alone", "with a verifier"],
)  # fmt: skip
def test_policies_for_hosted_models_run_as_the_environment_ships(
    project: Path,
    server: FaultServer,
    kedro_run: KedroRun,
    monkeypatch: pytest.MonkeyPatch,
    ran: list[str],
    settings: str,
) -> None:
    monkeypatch.setenv("GROQ_API_KEY", "gsk_of_the_test_1234")
    server.plan(tokens=12)
    run = f"--params=benchmarks=[crm_sim],limit=2,model.api_base={server.api_base}{settings}"
    policies = ",".join(dict.fromkeys(name.split(".")[0] for name in ran))
    stages = ("--env=groq", f"--pipelines={policies}", "--tags=ingest_benchmarks,generate")
    result = kedro_run(*stages, run)
    assert result.exit_code == 0, result.output
    folder = project / "data" / "07_model_output" / "responses"
    for name in ran:
        responses = pd.read_parquet(folder / f"{name}.parquet")
        assert list(responses["status"]) == ["ok", "ok"], responses["error_message"].tolist()
    made = len(server.log())
    assert kedro_run(*stages, run).exit_code == 0
    assert len(server.log()) == made, "nothing is asked twice"


def test_threads_run_policies_in_turn_and_draw_a_pool_once(
    served: Path, server: FaultServer, kedro_run: KedroRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.plan(tokens=8)
    threads = ("--env=served", "--runner=ThreadRunner", "--params=limit=4")
    result = kedro_run("--pipeline=self_consistency", *threads)
    assert result.exit_code == 0, result.output
    folder = served / "data" / "07_model_output" / "responses"
    table = pd.concat([pd.read_parquet(path) for path in folder.iterdir()])
    assert (table["status"] == "ok").all()
    assert table.groupby(["policy", "variant"]).size().to_dict() == {
        ("baseline", "greedy"): 4,
        ("self_consistency", "adaptive"): 4,
        ("self_consistency", "majority"): 4,
    }
    controls = table["control_first"].notna().sum()
    assert int(table["spent_calls"].sum() + controls) == len(server.log())
    assert len(pd.read_parquet(served / "data" / "08_reporting" / "bench_summary.parquet")) == 3


def test_workers_of_ray_pass_no_limit_of_hosted_calls(
    project: Path,
    server: FaultServer,
    kedro_run: KedroRun,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Whatever workers are asked for, the run's one client makes all calls."""
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    server.plan(tokens=40)
    paid_usd = 40 * 100.0 / 1e6
    model = {
        "engine": "hosted",
        "target": "openai/known",
        "api_base": server.api_base,
        "prices": {"openai/known": {"prompt": 0.0, "completion": 100.0}},
        "requests_per_s": 20,
        "concurrency": 8,
    }
    settings = {"benchmarks": ["crm_sim"], "limit": 4, "timing": {"jobs": 0}, "model": model}
    (project / "conf" / "ray" / "parameters_hosted.yml").write_text(yaml.safe_dump(settings))
    stages = ("--env=ray", "--pipeline=self_consistency", "--tags=ingest_benchmarks,generate")

    stopped = kedro_run(*stages, "--params=model.max_usd=0.05")
    assert stopped.exit_code == 1
    assert "model.max_usd (0.05 dollars)" in stopped.output
    assert caplog.text.count("Ray starts no workers") == 1
    paid = len(server.log())
    assert 0 < paid * paid_usd <= 0.05

    stopped = kedro_run(*stages, "--params=model.max_requests=12")
    assert stopped.exit_code == 1
    assert "model.max_requests (12)" in stopped.output
    made = len(server.log())
    assert paid < made <= paid + 12

    result = kedro_run(*stages)
    assert result.exit_code == 0, result.output
    log = server.log()
    assert len(log) == 4 * (1 + 8), "what was paid is not asked again"
    assert most_in_a_window([entry["arrived"] for entry in log[made:]], 0.8) <= 20
