"""A terminal is never silent for long."""

from __future__ import annotations

import contextlib
import re
import time

import pytest
from kedro.pipeline import node
from tqdm import tqdm

from ttc_bench.hooks import progress


def test_what_goes_on_is_said_every_few_seconds_and_not_once_it_is_over(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SILENCE_S", 0.05)
    own = progress.Progress()
    own.begin("reading the project")
    assert capsys.readouterr().err.endswith(" reading the project\n"), "at once"
    time.sleep(0.3)
    own.before_node_run(node(lambda: 0, None, "x", name="build_marts"))
    time.sleep(0.3)
    with tqdm(total=2, desc="speculative", mininterval=60) as bar:
        bar.update()
        capsys.readouterr()
        time.sleep(0.3)
        told = capsys.readouterr().err
        assert re.search(r"^\d\d:\d\d:\d\d speculative: 1 of 2", told, re.MULTILINE), (
            "where no terminal shows that the bar moves, a line says where it stands"
        )
        assert "build_marts" not in told
    time.sleep(1.5)
    own.end()
    time.sleep(0.1)
    lines = capsys.readouterr().err.splitlines()
    assert any(re.fullmatch(r"\d\d:\d\d:\d\d build_marts, for \d+ s", line) for line in lines)
    time.sleep(0.3)
    assert not capsys.readouterr().err


def test_a_block_is_told_at_once_and_no_more_once_it_has_failed(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(progress, "SILENCE_S", 0.05)
    own = progress.Progress()
    with contextlib.suppress(ZeroDivisionError), own.saying("converting a file"):
        assert capsys.readouterr().err.endswith(" converting a file\n")
        _ = 1 / 0
    time.sleep(0.1)
    capsys.readouterr()
    time.sleep(0.2)
    assert not capsys.readouterr().err
