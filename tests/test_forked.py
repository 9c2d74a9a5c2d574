"""A process that is forked is one of its own, as one that is started."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest
from tests.forked import FORKS, Template

pytestmark = pytest.mark.skipif(not FORKS, reason="forks are made on Linux alone")

TOLD = """
import atexit, json, os, sys
atexit.register(print, "ended")
print(json.dumps([os.getpid(), os.getcwd(), sys.argv, sys.path[:2], dict(os.environ)]))
sys.exit(int(sys.argv[1]))
"""


def test_number_folder_arguments_environment_and_end_are_its_own(
    template: Template, tmp_path: Path
) -> None:
    given = {"PYTHONPATH": "/nowhere", "NAMED": "so"}
    processes = [template.start("-c", TOLD, code, cwd=tmp_path, env=given) for code in "30"]
    said = [process.communicate()[0].splitlines() for process in processes]
    assert [process.returncode for process in processes] == [3, 0]
    assert [lines[1:] for lines in said] == [["ended"], ["ended"]], "an interpreter's whole end"
    for process, (line, _), code in zip(processes, said, "30", strict=True):
        place = str(tmp_path)
        assert json.loads(line) == [
            process.pid, place, ["-c", code], [place, "/nowhere"], given
        ]  # fmt: skip
    assert len({os.getpid(), *(process.pid for process in processes)}) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_ends_it_and_nothing_else(
    template: Template, tmp_path: Path, number: signal.Signals
) -> None:
    wait = "import time; print('begun', flush=True); time.sleep(600)"
    one, other = (template.start("-c", wait, cwd=tmp_path, env=os.environ) for _ in range(2))
    for process in (one, other):
        assert os.read(process.output, 5) == b"begun"
    one.send_signal(number)
    assert one.wait(60) == -number
    assert other.poll() is None
    other.send_signal(signal.SIGKILL)
    assert other.wait(60) == -signal.SIGKILL


def test_what_it_raises_is_told_where_it_prints(template: Template, tmp_path: Path) -> None:
    process = template.start("-m", "no_such_module", cwd=tmp_path, env=os.environ)
    said, _ = process.communicate()
    assert process.returncode == 1
    assert "No module named no_such_module" in said


def test_a_library_that_breaks_is_told_to_who_asks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "torch.py").write_text("raise RuntimeError('built for another machine')\n")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    broken = Template(tmp_path / "template")
    with pytest.raises(EOFError, match="built for another machine"):
        broken.start("-c", "print(1)", cwd=tmp_path, env=os.environ)
