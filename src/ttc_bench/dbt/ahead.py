"""dbt in a process of its own, which works while a run does other things.

A run needs dbt near its end, and what dbt loads then takes longer than what it does: its modules,
the parsed project, and the schemas of its settings. It builds, too, while the run draws what needs
no mart. A run has one such process, or none: then `run_build` is that of `ttc_bench.dbt`.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import json
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from pathlib import Path

import ttc_bench.dbt
from ttc_bench.errors import DataError, UserError

START = """
import json, sys
sys.path[:] = json.loads(sys.argv[1])
from ttc_bench.dbt.ahead import main
main(*sys.argv[2:])
"""
"""What the process begins with: the modules of the one that starts it, however it came by them."""


class Ahead:
    """A process that loads dbt, and then runs it on each warehouse that it is told of.

    Should this process end without a word, that one has nobody to listen to, and ends as well.

    Args:
        database: Name of the database, which is part of the parsed project.

    Raises:
        OSError: If it cannot be started.
    """

    def __init__(self, database: str) -> None:
        self._said = tempfile.TemporaryFile()  # noqa: SIM115
        self._turn = threading.RLock()  # Nodes may run in threads.
        self._is_loaded = False
        self._underway: Path | None = None
        # Of both, for either may be killed, and then the other one removes it.
        self._folder = tempfile.mkdtemp(prefix="ttc_bench_dbt_")
        searched = json.dumps([path for path in sys.path if isinstance(path, str)])
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-P", "-c", START, searched, database, self._folder],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._said,
                start_new_session=True,  # Ctrl-C is for the run, which ends this one.
                encoding="utf-8",
            )
        except OSError:
            shutil.rmtree(self._folder, ignore_errors=True)
            raise

    def wait(self) -> None:
        """Wait until dbt is loaded, or the process has ended."""
        with self._turn:
            if not self._is_loaded:
                self._line()
                self._is_loaded = True

    def begin_build(self, warehouse: Path) -> None:
        """Let it run dbt on a warehouse, and do not wait for it; only for what was begun before."""
        with self._turn:
            if self._underway is not None:
                self._answer()
            self._underway = warehouse.resolve()
            with contextlib.suppress(BrokenPipeError):  # Then there is no answer either.
                print(json.dumps(str(self._underway)), file=self._process.stdin, flush=True)

    def run_build(self, warehouse: Path) -> None:
        """Run dbt on a warehouse, as `ttc_bench.dbt.run_build` does, or wait for what was begun.

        Raises:
            DataError: If it fails, or the process has ended.
        """
        with self._turn:
            if self._underway != warehouse.resolve():
                self.begin_build(warehouse)
            answer = self._answer()
        if not answer:
            raise DataError(self._last_words())
        if fault := json.loads(answer):
            raise DataError(fault)

    def end(self) -> None:
        """End it, whatever it is at: to DuckDB a statement is done, or it was never begun."""
        self._process.kill()
        with contextlib.suppress(BrokenPipeError):
            self._process.communicate()
        self._said.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _answer(self) -> str:
        """Return what it says of what is under way, as JSON; nothing if it has ended."""
        self.wait()
        self._underway = None
        return self._line()

    def _line(self) -> str:
        """Return what it says next; nothing if it has ended."""
        assert self._process.stdout is not None
        return self._process.stdout.readline()

    def _last_words(self) -> str:
        code = self._process.wait()
        self._said.seek(0)
        said = self._said.read().decode(errors="replace").strip().splitlines()
        # Of one that was killed, others say what it left behind.
        why = f": {said[-1]}" if code > 0 and said else ""
        return (
            f"the process of dbt has ended (exit code {code}{why}); the scores are stored:"
            " `kedro run --pipeline=aggregate` goes on from there."
        )


_own: Ahead | None = None


def begin(database: str) -> None:
    """Begin to load dbt for a database, unless this process has it loaded by now.

    Where no process can be started, dbt is loaded here when it is needed.
    """
    global _own  # noqa: PLW0603
    end()
    if "dbt.cli.main" not in sys.modules:
        with contextlib.suppress(OSError):
            _own = Ahead(database)


def wait() -> None:
    """Wait for what was begun: what is timed next has the machine for itself."""
    if _own is not None:
        _own.wait()


def begin_build(warehouse: Path) -> None:
    """Let dbt run on a warehouse whose sources are written, where it has a process for that."""
    if _own is not None:
        _own.begin_build(warehouse)


def run_build(warehouse: Path) -> None:
    """Run dbt on a warehouse where dbt is loaded; see `ttc_bench.dbt.run_build`.

    Raises:
        DataError: If it fails.
    """
    (ttc_bench.dbt.run_build if _own is None else _own.run_build)(warehouse)


@atexit.register
def end() -> None:
    """End what was begun."""
    global _own  # noqa: PLW0603
    if _own is not None:
        _own.end()
        _own = None


def _forget() -> None:
    """Leave it to the process that began it."""
    global _own  # noqa: PLW0603
    _own = None


os.register_at_fork(after_in_child=_forget)


def main(database: str, folder: str) -> None:
    """Load dbt, say so, and run it on what standard input names, a line each, until it ends.

    Args:
        database: Name of the database.
        folder: For temporary files; it ends with this process.
    """
    gc.disable()  # It ends with its run: there is no use in looking through all of dbt.
    tempfile.tempdir = folder
    try:
        _serve(database)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(database: str) -> None:
    asking = open(sys.stdin.fileno(), encoding="utf-8")  # noqa: SIM115
    answers = os.fdopen(os.dup(sys.stdout.fileno()), "w", buffering=1, encoding="utf-8")
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())  # What dbt prints is no answer.
    with contextlib.suppress(DataError):  # The first command meets it again, and tells it.
        ttc_bench.dbt.load(database)
    print("loaded", file=answers)
    for asked in asking:
        try:
            ttc_bench.dbt.run_build(Path(json.loads(asked)))
        except UserError as error:
            print(json.dumps(error.message), file=answers)
        else:
            print(json.dumps(""), file=answers)
