"""What a model cannot execute stops a run before its first call, or is skipped, never imitated."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pandas as pd
from tests.conftest import REFERENCE, KedroRun
from tests.engines.tiny_models import save_llama

from ttc_bench.engines import ENGINES, engine_params
from ttc_bench.hooks.preflight import capability_faults, of_other_engines, unselected, untaught
from ttc_bench.pipelines.generate.params import sweep
from ttc_bench.policies import VARIANTS

ALONE = {"engine": "local", "target": str(REFERENCE / "target")}
"""A white-box target without draft and verifier."""


def faults_of(
    model: dict[str, Any],
    names: list[str],
    asked: Sequence[str] = (),
    settings: Any = MappingProxyType({}),
) -> tuple[list[str], list[str]]:
    points = {name: sweep(name, settings.get(name)) for name in VARIANTS}
    return capability_faults(engine_params(model).build(), points, names, asked)


def test_a_policy_asked_for_by_name_stops_with_what_is_missing() -> None:
    names = ["baseline.greedy", "cascade.agreement", "cascade.confidence"]
    faults, skipped = faults_of(ALONE, names, ["cascade"])
    assert skipped == []
    *lines, able = faults
    assert [line.split(" ", 1)[0] for line in lines] == names[1:]
    needs = "on the local model target: it needs a draft model (set the parameter model.draft)."
    assert all(needs in line for line in lines)
    assert able.startswith("This model can run: ")
    assert "kv_cache.static" in able
    assert "cascade" not in able


def test_a_suite_skips_what_cannot_run_and_says_why() -> None:
    faults, skipped = faults_of(ALONE, list(VARIANTS))
    assert faults == []
    skipped_names = {line.split(" ", 1)[0] for line in skipped}
    assert skipped_names == {
        name for name, cls in VARIANTS.items() if cls().needs().keys() > {"target"}
    }
    assert skipped_names >= {
        "best_of_n.verifier",
        "cascade.agreement",
        "cascade.confidence",
        "speculative.draft_model",
        "speculative.served",
        "speculative.step",
        "token_pruning.entropy",
        "token_pruning.top_p",
        "tree_search.beam",
        "tree_search.dvts",
    }
    assert all(": it needs a " in line for line in skipped)


def test_what_only_hosted_models_have_is_no_warning_to_a_local_one() -> None:
    points = {name: sweep(name, None) for name in VARIANTS}
    assert of_other_engines(ALONE, points) == {"speculative.served"}
    assert not of_other_engines({"engine": "hosted"}, points), "there it is a setting"


def test_each_refusal_for_a_role_names_a_parameter_that_its_engine_has() -> None:
    """Those that speculate by themselves are hosted: no parameter of a local engine names one."""
    base = {"target": "openai/x", "api_base": "http://127.0.0.1:9/v1"}
    told: dict[str, set[str]] = {}
    for engine in (ALONE, {"engine": "hosted", **base}):
        for line in faults_of(engine, list(VARIANTS))[1]:
            named = re.findall(r"a (\w+) model \(([^)]*)\)", line)
            for role, words in named:
                told.setdefault(f"{engine['engine']} {role}", set()).add(words)
            fields = ENGINES[str(engine["engine"])].model_fields
            for role, name in re.findall(r"a (\w+) model \(set the parameter model\.(\w+)", line):
                assert name in fields, (role, line)
    assert told == {
        "local draft": {"set the parameter model.draft"},
        "local verifier": {"set the parameter model.verifier"},
        "local served": {
            "only model.engine=hosted has one, by the parameter model.served_api_base"
        },
        "hosted draft": {
            "set the parameter model.draft", "set the parameter model.draft to local/<path>"
        },
        "hosted verifier": {"set the parameter model.verifier to the path of a local one"},
        "hosted served": {"set the parameter model.served_api_base, or model.served"},
    }  # fmt: skip


def test_what_a_provider_may_do_after_all_is_told_with_its_setting() -> None:
    model = {"engine": "hosted", "target": "openai/x", "api_base": "http://127.0.0.1:9/v1"}
    names = ["best_of_n.likelihood", "early_exit.consistency"]
    lines = faults_of(model, [*names, "baseline.greedy"])[1]
    assert [re.findall(r"model\.\w+", line) for line in lines] == [
        ["model.logprobs"], ["model.continuation"]
    ]  # fmt: skip
    assert faults_of({**model, "logprobs": True, "continuation": "vllm"}, names) == ([], [])


def test_a_foreign_target_runs_all_but_drafts_of_another_tokenizer(tmp_path: Path) -> None:
    """The embedded draft and verifier stay: whatever passes text between models still runs."""
    model = {**ALONE, "target": save_llama(tmp_path, seed=1)}
    for role in ("draft", "verifier"):
        model[role] = str(REFERENCE / role)
    faults, skipped = faults_of(model, list(VARIANTS))
    assert faults == []
    lines = {line.split(" ", 1)[0]: line for line in skipped}
    assert lines.keys() == {"speculative.draft_model", "speculative.served"}
    assert "their tokenizers differ" in lines["speculative.draft_model"]
    assert "model.draft to a model of the same family" in lines["speculative.draft_model"]


def test_the_embedded_model_is_said_to_know_nothing_of_other_questions() -> None:
    embedded, own = {"target": str(REFERENCE / "target")}, {"target": "my/model"}
    line = untaught({"benchmarks": ["crm_sim", "mine"], "model": embedded})
    assert "its answers to mine" in line
    assert "model.target=" in line
    assert not untaught({"benchmarks": ["crm_sim", "worf_sim"], "model": embedded})
    assert not untaught({"benchmarks": ["mine"], "model": own})


def test_what_a_variant_needs_follows_its_settings() -> None:
    two = {**ALONE, "draft": str(REFERENCE / "draft")}

    def runs(scorer: str) -> bool:
        settings = {"speculative.step": {"scorer": scorer}}
        return not faults_of(two, list(settings), ["speculative"], settings)[0]

    assert not runs("verifier")
    assert runs("target")


def test_kedro_run_stops_before_the_first_call(kedro_run: KedroRun, project: Path) -> None:
    result = kedro_run("--pipeline=cascade", "--params=limit=1,model.draft=null")
    assert result.exit_code == 1
    assert "cascade.confidence cannot run on the local model target" in result.output
    assert "Traceback" not in result.output
    assert not (project / "data" / "07_model_output").exists()


def test_a_warehouse_of_a_name_that_is_duckdbs_own_stops_the_run_before_it_begins(
    kedro_run: KedroRun, project: Path
) -> None:
    entry = "warehouse:\n  type: ttc_bench.datasets.StoreDataset\n  filepath: data/{}.duckdb\n"
    (project / "conf/local/catalog.yml").write_text(entry.format("Main"))
    result = kedro_run("--pipeline=baseline", "--params=limit=1")
    assert result.exit_code == 1
    (line,) = [line for line in result.output.splitlines() if "warehouse" in line]
    assert "data/Main.duckdb" in line
    assert "information_schema, main, pg_catalog, runs, system, temp, such as" in line
    assert not (project / "data/07_model_output").exists()


def test_kedro_run_runs_what_it_can(kedro_run: KedroRun, project: Path) -> None:
    arguments = "limit=1,benchmarks=[crm_sim],model.draft=null"
    stages = "--tags=ingest_benchmarks,generate"
    result = kedro_run("--pipeline=speculative", stages, f"--params={arguments}")
    assert result.exit_code == 0, result.output
    responses = project / "data" / "07_model_output" / "responses"
    assert len(pd.read_parquet(responses / "speculative.prompt_lookup.parquet")) == 1
    assert len(pd.read_parquet(responses / "speculative.draft_model.parquet")) == 0
    (events,) = (project / "data/07_model_output/events").glob("*.jsonl")
    (plan,) = (e for e in map(json.loads, events.read_text().splitlines()) if e["kind"] == "plan")
    assert "speculative.prompt_lookup" in plan["variants"]
    assert not {"speculative.draft_model", "speculative.served"} & set(plan["variants"])


def test_a_benchmark_run_by_its_name_and_not_selected_is_told() -> None:
    settings = {"benchmarks": ["crm_sim", "worf_sim"]}
    (line,) = unselected(["crmarena", "crm_sim", "speculative", "reporting"], settings)
    assert line.startswith("crmarena: not among the selected benchmarks (crm_sim, worf_sim)")
    assert list(unselected((), settings)) == []
