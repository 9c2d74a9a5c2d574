"""A project in which some policies really ran, and its dashboard in this process."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from tests.conftest import ingested, made_once, make_project
from tests.reporting.support import PARAMS, marts_of

from ttc_bench.datasets import JobsDataset
from ttc_bench.engines.base import Engine
from ttc_bench.metrics.base import ScoreParams
from ttc_bench.pipelines.aggregate.nodes import collect_scores, confidence, name_run
from ttc_bench.pipelines.generate.nodes import respond_all
from ttc_bench.pipelines.generate.params import TimingParams, sweep
from ttc_bench.pipelines.score.nodes import score_responses
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.responses import to_frame, to_traces
from ttc_bench.reporting.scaling import scaling
from ttc_bench.reporting.scopes import verdicts_on
from ttc_bench.types import DataFrame

RUN = {
    "baseline.greedy": {},
    "speculative.draft_model": {},
    "early_exit.confidence": {},
    "self_consistency.majority": {"n": 4},
    "self_refine.feedback": {"rounds": 1},
    "tree_search.beam": {"beams": 1, "depth": 2},
}
"""What ran, at which settings."""

SCRIPT = """
from pathlib import Path
from ttc_bench.dashboard.views import PAGES, show
from ttc_bench.dashboard.store import opened

show(PAGES[{name!r}], opened(Path({project!r}), None))
"""
"""What shows one page, run by Streamlit."""

Open = Callable[..., AppTest]


@pytest.fixture(scope="session", autouse=True)
def _packages_are_read_once() -> Iterator[None]:
    """Let Streamlit look for components among the installed packages once, and not for every page.

    A server does so as it starts; `AppTest` does so each time, for longer than most pages take.
    """
    with pytest.MonkeyPatch.context() as patch:
        found = cache(manifest_scanner.scan_component_manifests)
        patch.setattr(manifest_scanner, "scan_component_manifests", found)
        yield


@pytest.fixture(autouse=True)
def _pages_are_no_program(monkeypatch: pytest.MonkeyPatch) -> None:
    """Take back that Streamlit makes a page ``__main__``: processes of later tests would run it."""
    monkeypatch.setitem(sys.modules, "__main__", sys.modules["__main__"])


@pytest.fixture(scope="session")
def measured(
    tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> Path:  # fmt: skip
    """A project with responses, scores and tables of a run. It is shared: nobody writes it."""

    def make(folder: Path) -> None:
        _measure(folder, *(request.getfixturevalue(name) for name in ("engine", "journal")))

    return made_once(tmp_path_factory, "measured", make)


def _measure(folder: Path, engine: Engine, journal: Journal) -> None:
    make_project(folder)
    jobs = [job for name in ("crm_sim", "worf_sim") for job in ingested(name, 2)]
    JobsDataset(str(folder / "data/05_model_input/jobs.jsonl")).save(jobs)
    own = []
    for name, settings in RUN.items():
        responses = respond_all(
            sweep(name, settings), jobs, engine, journal, 0, TimingParams(jobs=2)
        )
        table = to_frame(responses)
        _write(to_traces(responses), folder / f"data/07_model_output/traces/{name}.parquet")
        marks = score_responses(table, jobs, ScoreParams())
        _write(table, folder / f"data/07_model_output/responses/{name}.parquet")
        _write(marks, folder / f"data/07_model_output/scores/{name}.parquet")
        own.append(marks)
    scores = name_run(collect_scores(*own), "run 1", {"limit": 3}, PARAMS)
    for name, part in _tables(scores).items():
        _write(part, folder / f"data/08_reporting/{name}.parquet")


def _write(table: DataFrame, path: Path) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    table.to_parquet(path, index=False)


def _tables(scores: DataFrame) -> dict[str, DataFrame]:
    return {
        **marts_of(scores),
        "all_scores": scores,
        "intervals": confidence(scores, PARAMS),
        "verdicts": verdicts_on(scores, PARAMS),
        "scaling": scaling(scores, PARAMS),
    }


@pytest.fixture
def copied(measured: Path, tmp_path: Path) -> Path:
    """A copy of that project that a test may change."""
    return copy_of(measured, tmp_path / "project")


def copy_of(project: Path, place: Path) -> Path:
    """Copy a project; what links to files outside of it does so still."""
    return Path(shutil.copytree(project, place, symlinks=True))


@pytest.fixture
def open_page() -> Open:
    """Open a page of a project's dashboard, at an address."""

    def at(project: Path, page: str, **address: str) -> AppTest:
        script = SCRIPT.format(name=page, project=str(project))
        test = AppTest.from_string(script, default_timeout=60)
        for name, value in address.items():
            test.query_params[name] = value
        return test.run()

    return at


def words(test: AppTest) -> str:
    """Everything that a page says, without the signs that keep Markdown from reading it."""
    kinds = ("title", "header", "subheader", "markdown", "caption", "text", "code", "info",
             "warning", "error", "success")  # fmt: skip
    said = (element.value for kind in kinds for element in test.get(kind))
    return "\n".join(str(value) for value in said).replace("\\", "")


def rewritten(file: Path, change: Callable[[pa.Table], pa.Table]) -> None:
    """Change a table that is stored."""
    pq.write_table(change(pq.read_table(file)), file)


def holding(column: str, value: Any, kind: pa.DataType) -> Callable[[pa.Table], pa.Table]:
    """Return what puts a value of a type in all rows of a column."""

    def change(table: pa.Table) -> pa.Table:
        place = table.schema.get_field_index(column)
        return table.set_column(place, column, pa.array([value] * len(table), kind))

    return change


def response(project: Path, name: str, job: str) -> Any:
    """Return a stored response."""
    table = pd.read_parquet(project / f"data/07_model_output/responses/{name}.parquet")
    return table[table["job_id"] == job].iloc[0]
