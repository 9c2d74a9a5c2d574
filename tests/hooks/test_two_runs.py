"""Where files of two runs lie side by side, the run that left them so says it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from kedro.io import DataCatalog, MemoryDataset
from kedro.pipeline import Pipeline, node
from kedro_datasets.text import TextDataset

from ttc_bench.errors import UserError
from ttc_bench.hooks.two_runs import LEDGER, TwoRuns

FILES = ("all_scores", "bench_summary", "report_html")


Begin = Callable[..., TwoRuns]


def _made() -> str:
    return "made"


def _read(table: str, scores: str) -> str:
    return table + scores


def _pipeline(*outputs: str) -> Pipeline:
    nodes = [node(_made, None, name, name=f"make_{name}") for name in (*outputs, "in_memory")]
    nodes.append(node(_made, None, "elsewhere", name="elsewhere", namespace="cascade"))
    return Pipeline(nodes, namespace="reporting", prefix_datasets_with_namespace=False)


def _catalog(folder: Path) -> DataCatalog:
    files = {name: str(folder / f"08_reporting/{name}") for name in FILES}
    return DataCatalog({name: TextDataset(filepath=path) for name, path in files.items()})


@pytest.fixture
def begun(tmp_path: Path) -> Begin:
    """Begin a run that is to make some files, after one that has left others."""

    def begin(there: tuple[str, ...], outputs: tuple[str, ...], saved: tuple[str, ...]) -> TwoRuns:
        catalog = _catalog(tmp_path)
        catalog["in_memory"] = MemoryDataset()
        for name in there:
            catalog.save(name, "of an earlier run")
        own = TwoRuns()
        own.before_pipeline_run(_pipeline(*outputs), catalog)
        for name in (*saved, "in_memory"):
            own.before_dataset_saved(name)
            catalog.save(name, "made")
            own.after_dataset_saved(name)
        return own

    return begin


@pytest.mark.parametrize("way", ["on_pipeline_error", "broke_off"])
@pytest.mark.parametrize(
    ("there", "saved", "told"),
    [
        (
            FILES,
            ("all_scores",),
            "holds files of two runs now, 1 of this one and 2 of an",
        ),
        (FILES, FILES[:2], "08_reporting holds files of two runs now, 2 of this one"),
        (FILES, (), ""),
        (FILES, FILES, ""),
        ((), ("all_scores",), ""),
        (("all_scores",), ("all_scores",), ""),
    ],
)
def test_a_run_that_breaks_off_tells_what_is_of_another(
    begun: Begin,
    capsys: pytest.CaptureFixture[str],
    way: str,
    there: tuple[str, ...],
    saved: tuple[str, ...],
    told: str,
) -> None:
    own = begun(there, FILES, saved)
    getattr(own, way)()
    shown = capsys.readouterr().err
    assert told in shown
    assert len(shown.splitlines()) == bool(told)
    own.broke_off()
    assert not capsys.readouterr().err, "it is told once"


def test_what_was_there_before_a_ledger_is_of_other_scores(begun: Begin, tmp_path: Path) -> None:
    begun(FILES, FILES, FILES[:1])
    with pytest.raises(UserError, match="bench_summary in 08_reporting: made"):
        _reading(tmp_path)


def test_scores_that_were_not_finished_are_of_no_file(begun: Begin, tmp_path: Path) -> None:
    begun((), FILES, FILES).before_dataset_saved("all_scores")
    with pytest.raises(UserError, match="bench_summary in 08_reporting: made"):
        _reading(tmp_path)


def test_processes_that_write_at_once_keep_each_others_entries(
    begun: Begin, tmp_path: Path
) -> None:
    begun((), FILES, FILES)
    one, other = (begun((), (name,), ()) for name in FILES[1:])
    for own, name in ((one, FILES[1]), (other, FILES[2])):
        own._ledger["all_scores"] = "others"
        own.after_dataset_saved(name)
    ledger = json.loads((tmp_path / "08_reporting" / LEDGER).read_text())
    assert set(ledger) == set(FILES)


def test_tables_beside_an_older_report_are_told(
    begun: Begin, capsys: pytest.CaptureFixture[str]
) -> None:
    for there, outputs, is_told in (
        (FILES[:2], FILES[:2], False),
        (FILES, FILES[:2], True),
        (FILES, FILES, False),
        (FILES, FILES[1:2], False),
    ):
        begun(there, outputs, outputs).after_pipeline_run()
        shown = capsys.readouterr().err
        assert ("report_html and its plots are of an earlier run" in shown) is is_told
        assert ("--pipeline=report" in shown) is is_told


def _reading(tmp_path: Path) -> None:
    """Begin a run that makes a report of what is there."""
    reads = Pipeline([node(_read, ["bench_summary", "all_scores"], "report_html")])
    TwoRuns().before_pipeline_run(reads, _catalog(tmp_path))


def test_nothing_is_reported_of_tables_of_two_runs(begun: Begin, tmp_path: Path) -> None:
    ledger = tmp_path / "08_reporting" / LEDGER
    begun((), FILES, FILES)
    _reading(tmp_path)
    begun((), FILES, FILES[:1])  # It was killed: no hook was told.
    with pytest.raises(UserError, match="bench_summary in 08_reporting: made from other") as all_:
        _reading(tmp_path)
    assert "--pipelines=aggregate,report" in str(all_.value)
    begun((), FILES[1:2], FILES[1:2])
    _reading(tmp_path)
    begun((), FILES[:2], FILES[:2])
    _reading(tmp_path)
    begun((), FILES, FILES[1:2])  # Only what was missing.
    _reading(tmp_path)
    for text in ("", "[]", "{}", '{"bench_summary": "a"}'):
        ledger.write_text(text)
        _reading(tmp_path)
