"""A bar moves on a terminal; in a file nothing is drawn over, and its end is a line."""

from __future__ import annotations

import contextlib
import os
import pty
import re
import subprocess
import sys

import pytest

from ttc_bench.bars import progress_bar
from ttc_bench.hooks import progress


def test_a_file_has_lines_alone(capsys: pytest.CaptureFixture[str]) -> None:
    with progress_bar("speculative.step", 3, "job") as bar:
        for done in range(3):
            assert progress._standing() == [f"speculative.step: {done} of 3"]
            bar.update()
    told = capsys.readouterr().err
    assert re.fullmatch(r"\d\d:\d\d:\d\d speculative\.step: 3 of 3 jobs, in 0 s\n", told)
    with pytest.raises(ZeroDivisionError), progress_bar("cascade", 1, "job"):
        _ = 1 / 0
    assert capsys.readouterr().err.endswith("cascade: 0 of 1 job, in 0 s\n")
    with progress_bar("score", 2, "job", stays=False) as bar:
        bar.update(2)
    assert not capsys.readouterr().err
    assert progress._standing() == []


SHOWN = """
from ttc_bench.bars import progress_bar
with progress_bar("speculative.step", 3, "job") as bar:
    bar.update(3)
"""


def test_a_terminal_has_a_bar_whatever_width_it_tells() -> None:
    ours, theirs = pty.openpty()
    subprocess.run([sys.executable, "-c", SHOWN], stderr=theirs, check=True)
    os.close(theirs)
    drawn = ""
    with contextlib.suppress(OSError), os.fdopen(ours) as terminal:  # its end is an error
        for line in terminal:
            drawn += line
    assert "100%" in drawn
    assert "3/3" in drawn
    assert "of 3 jobs" not in drawn
