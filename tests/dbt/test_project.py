"""The documentation of the dbt project builds, and describes every column that there is."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
import yaml
from dbt.cli.main import dbtRunnerResult
from tests.reporting.support import PARAMS, in_use, scores

import ttc_bench.dbt
from ttc_bench.dbt import PROJECT, build, invoke, marts, run_build, write_sources
from ttc_bench.dbt.describe import FILE, document
from ttc_bench.errors import DataError, UserError
from ttc_bench.pipelines.aggregate.nodes import name_run
from ttc_bench.reporting.pairing import BILLS
from ttc_bench.reporting.scaling import scaling

NULL_ENGINE = r"stg_scores_is_well_formed.*'fault': 'engine is null', 'n_rows': 1"
"""What is told of scores with a row that names no engine."""


def with_sources(folder: Path, **changed: Any) -> Path:
    """A warehouse with sources of two responses, with some columns changed."""
    warehouse = folder / "warehouse.duckdb"
    named = name_run(scores("baseline", "greedy", [1.0, 0.0]), "run", {}, PARAMS)
    curves = scaling(named.assign(samples=None), PARAMS)
    write_sources({"scores": named.assign(**changed), "scaling_curves": curves}, warehouse)
    return warehouse


def without_an_engine(folder: Path) -> Path:
    """A warehouse with sources of which one row names none."""
    return with_sources(folder, engine=["local", None])


@pytest.fixture(scope="module")
def docs(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], dict[str, Any]]:
    """Manifest and catalog, as ``dbt docs generate`` writes them after a build."""
    work = tmp_path_factory.mktemp("dbt")
    warehouse = with_sources(work)
    for command in ("build", "docs generate"):
        invoke(command, warehouse, work)
    assert (work / "target" / "index.html").exists()
    manifest, catalog = (
        json.loads((work / "target" / f"{name}.json").read_text())
        for name in ("manifest", "catalog")
    )
    return manifest, catalog


def test_every_column_of_every_model_is_described(docs: Any) -> None:
    manifest, catalog = docs
    models = {k: n for k, n in manifest["nodes"].items() if n["resource_type"] == "model"}
    assert {node["name"] for node in models.values()} >= set(marts())
    missing = []
    for key, node in models.items():
        assert node["description"], node["name"]
        described = {name for name, column in node["columns"].items() if column["description"]}
        real = set(catalog["nodes"][key]["columns"])
        missing += [f"{node['name']}.{column}" for column in sorted(real - described)]
        assert set(node["columns"]) <= real, "what is described is there"
    assert not missing


def test_every_model_is_tested(docs: Any) -> None:
    manifest, _ = docs
    tests = [n for n in manifest["nodes"].values() if n["resource_type"] == "test"]
    rules = [n["test_metadata"] for n in tests if n.get("test_metadata")]
    used = {
        argument for rule in rules if rule["name"] == "well_formed" for argument in rule["kwargs"]
    }
    assert used >= {"key", "present", "values", "within"}
    tested = {model for n in tests for model in n["depends_on"]["nodes"]}
    models = {k for k, n in manifest["nodes"].items() if n["resource_type"] == "model"}
    assert models <= tested


POINT = ("m", "b", "all", "flops", "p", "v", 0.5, 1.0, 1, True)
BROKEN = [
    POINT,
    ("m", "b", "easy", "flops", "p", "v", None, 1.0, 1, True),
    ("m", "b", None, "flops", "p", "v", 0.5, 1.0, 1, True),
    ("m", "b", "all", "steps", "p", "v", 0.5, 1.0, 1, True),
    ("m", "b", "all", "flops", "p", "lost", 0.5, 1.0, 1, True),
]
"""Rows of `frontier`, each of which breaks a rule beside `POINT`."""


def test_each_rule_tells_what_breaks_it(docs: Any) -> None:
    manifest, _ = docs
    rules = {node["name"]: node.get("compiled_code") for node in manifest["nodes"].values()}
    with duckdb.connect() as connection:
        connection.execute(
            """
            attach ':memory:' as warehouse;
            use warehouse;
            create table bench_summary as
                select 'm' as model, 'b' as benchmark, 'p' as policy, 'v' as variant;
            create table frontier (
                model text, benchmark text, level text, cost_metric text, policy text,
                variant text, quality double, cost double, n bigint, on_frontier boolean
            );
            """
        )
        told = []
        for rows in ([POINT], BROKEN):
            connection.executemany("insert into frontier values (?,?,?,?,?,?,?,?,?,?)", rows)
            told.append(sorted(connection.sql(rules["frontier_is_well_formed"]).fetchall()))
    assert told[0] == []
    assert told[1] == [
        ("cost_metric is steps", 1),
        ("level is null", 1),
        ("not in bench_summary: m/b/p/lost", 1),
        ("not unique: m/b/all/flops/p/v", 2),
        ("quality is null", 1),
    ]


def test_sources_are_found_whatever_the_folder_is_called(tmp_path: Path) -> None:
    folder = tmp_path / "the team's"
    folder.mkdir()
    for rewards in ([1.0], [1.0, 0.0, 1.0]):
        write_sources({"scores": scores("baseline", "greedy", rewards)}, folder / "marts.duckdb")
    with duckdb.connect(str(folder / "marts.duckdb"), read_only=True) as connection:
        assert len(connection.table("runs.scores").df()) == 3, "the sources of the last build"


def test_a_null_where_none_may_be_is_told_by_its_column(tmp_path: Path) -> None:
    """One query tests all that holds for the rows of a model; it says what does not."""
    with pytest.raises(DataError, match=NULL_ENGINE):
        run_build(without_an_engine(tmp_path))


@pytest.mark.parametrize("content", [None, b"", b"garbage" * 99, "nothing in it"])
def test_a_warehouse_without_sources_is_told_before_dbt_begins(
    tmp_path: Path, content: bytes | str | None
) -> None:
    warehouse = tmp_path / "warehouse.duckdb"
    if isinstance(content, bytes):
        warehouse.write_bytes(content)
    elif content is not None:
        duckdb.connect(str(warehouse)).close()
    with pytest.raises(DataError, match="`kedro run --pipeline=aggregate`"):
        run_build(warehouse)
    assert warehouse.exists() is (content is not None)


def test_a_warehouse_that_is_taken_after_its_sources_were_written_is_told_as_before(
    tmp_path: Path,
) -> None:
    warehouse = without_an_engine(tmp_path)
    steps: list[Callable[[], Any]] = [
        lambda: run_build(warehouse),
        lambda: invoke("build --no-write-json", warehouse, tmp_path),
        lambda: build(warehouse, lambda _: None),
    ]
    with in_use(warehouse):
        for step in steps:
            with pytest.raises(UserError, match="in use by another process"):
                step()


def test_descriptions_are_those_of_the_catalogue_of_metrics() -> None:
    written = Path(FILE).read_text(encoding="utf-8")
    assert written == document(), "run python -m ttc_bench.dbt.describe"


def test_a_kept_manifest_is_read_again_and_a_changed_model_is_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, caches = tmp_path / "project", tmp_path / "caches"
    model = project / "models" / "one.sql"
    model.parent.mkdir(parents=True)
    for name in ("dbt_project.yml", "profiles.yml"):
        shutil.copy(PROJECT / name, project)
    monkeypatch.setattr(ttc_bench.dbt, "PROJECT", project)
    monkeypatch.setenv("XDG_CACHE_HOME", str(caches))
    # What the user's other projects set for dbt is not for this one.
    monkeypatch.setenv("DBT_TARGET", "of_another_project")
    monkeypatch.setenv("DBT_EMPTY", "1")

    def built(code: str) -> tuple[Any, dict[Path, int]]:
        """What a process that starts now finds in the database, and the files that it keeps."""
        ttc_bench.dbt._manifest.cache_clear()
        model.write_text(code)
        invoke("build", tmp_path / "one.duckdb", tmp_path / "work")
        with duckdb.connect(str(tmp_path / "one.duckdb"), read_only=True) as connection:
            value = connection.table("one").fetchall()
        return value, {p: p.stat().st_mtime_ns for p in caches.rglob("*.msgpack")}

    try:
        first, kept = built("select 1 as number")
        assert first == [(1,)]
        assert built("select 1 as number") == (first, kept), "nothing is parsed or written again"
        (place,) = kept
        written = place.read_bytes()
        place.write_bytes(b"torn")
        with pytest.raises(ValueError, match="msgpack"):
            ttc_bench.dbt._kept(place.name)
        place.write_bytes(written.replace(b"select 1 as", b"select 7 as"))
        assert built("select 1 as number")[0] == [(1,)], "what is not as it was written is no more"
        assert ttc_bench.dbt._kept(place.name), "and is made anew"
        changed, both = built("select 2 as number")
        assert (changed, len(both)) == ([(2,)], 2)
        checked = "models: [{name: one, columns: [{name: number, data_tests: [not_null]}]}]"
        (project / "models" / "of_one.yaml").write_text(checked)
        with pytest.raises(DataError, match="not_null_one_number"):
            built("select null as number")
    finally:
        ttc_bench.dbt._manifest.cache_clear()


def test_both_sides_mean_the_same_by_a_bill() -> None:
    variables = yaml.safe_load((PROJECT / "dbt_project.yml").read_text())["vars"]
    assert tuple(variables["bills"]) == BILLS
    assert set(BILLS) <= set(variables["metrics"])


def test_a_signal_that_dbt_takes_for_a_fault_ends_the_run() -> None:
    with pytest.raises(KeyboardInterrupt):
        ttc_bench.dbt._ended(dbtRunnerResult(success=False, exception=KeyboardInterrupt()))
    fault = dbtRunnerResult(success=False, exception=ValueError())
    assert ttc_bench.dbt._ended(fault) is fault
