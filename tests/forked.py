"""Processes that begin with the libraries loaded, which takes longer than most of what they do.

As a script, ``forked.py SOCKET`` is a process that imports what ``python -m kedro run`` does, once,
and then is asked for others, at the listening socket that it inherits under this number: each is a
fork of it, with a number, a folder, an environment and signals of its own, and ends as an
interpreter does. ``forked.py PLACE -c ...`` is such a fork where a program wants to start
``python -c ...``. Imported, this asks it.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import inspect
import json
import os
import runpy
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import ModuleType
from typing import Any

LIBRARIES = (
    *("torch", "pandas", "pyarrow.parquet", "scipy.stats", "alembic.command", "yaml"),
    *("matplotlib.pyplot", "plotly.graph_objects", "transformers.models.llama.modeling_llama"),
    *("mlflow.store.tracking.sqlalchemy_store", "kedro.framework.session", "dbt.cli.main"),
    *("kedro_mlflow.framework.hooks.mlflow_hook", "kedro_viz.integrations.kedro.hooks"),
    *("kedro_datasets.plotly", "sacrebleu.metrics", "git", "IPython"),
)
"""What a run imports, but for DuckDB: whether it is there tells a run what it may set aside."""

FORKS = sys.platform == "linux"
"""Elsewhere what libraries load may not survive a fork: each process is then one of its own."""

PATIENCE_S = 300.0

NUMBER = 4
"""Bytes of one that is told."""

Message = dict[str, Any]


class Forked:
    """A process that was forked, as much of `subprocess.Popen` as tests need.

    Args:
        line: Where its number comes from at once, and how it ended at its end.
        output: What it prints.
    """

    def __init__(self, line: socket.socket, output: int) -> None:
        self._line, self.output = line, output
        self.pid = _heard(line)
        self.returncode: int | None = None

    def poll(self) -> int | None:
        """Return how it ended, if it did."""
        with contextlib.suppress(TimeoutError):
            self.wait(0.0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Wait until it has ended, and return how: a signal is a number below zero."""
        if self.returncode is None:
            _wait_for(self._line.fileno(), timeout)
            self.returncode = _heard(self._line)
            self._line.close()
        return self.returncode

    def send_signal(self, number: signal.Signals) -> None:
        """Send a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def communicate(self, timeout: float = PATIENCE_S) -> tuple[str, None]:
        """Return what it printed, up to its end."""
        end = time.monotonic() + timeout
        printed = b""
        with open(self.output, "rb", buffering=0) as output:
            _wait_for(self.output, timeout)
            while more := output.read(1 << 16):
                printed += more
                _wait_for(self.output, end - time.monotonic())
        self.wait(max(end - time.monotonic(), 1.0))
        return printed.decode(), None


def _wait_for(file: int, timeout: float | None) -> None:
    with selectors.DefaultSelector() as ready:
        ready.register(file, selectors.EVENT_READ)
        if not ready.select(timeout):
            raise TimeoutError


def _heard(line: socket.socket) -> int:
    """Return a number that is told.

    Raises:
        EOFError: If who would tell it has ended.
    """
    number = b""
    with contextlib.suppress(ConnectionError):
        number = line.recv(NUMBER, socket.MSG_WAITALL)
    if len(number) < NUMBER:
        raise EOFError("whom it was forked from has ended")
    return int.from_bytes(number, "little", signed=True)


def _say(line: socket.socket, number: int) -> None:
    with contextlib.suppress(OSError):
        line.sendall(number.to_bytes(NUMBER, "little", signed=True))


class Template:
    """The process that is forked; it ends with the last of those who ask.

    It is not waited for: what it is asked for meanwhile it makes once its libraries are loaded.

    Args:
        place: A socket.
    """

    def __init__(self, place: Path) -> None:
        self._place, self._log = place, place.with_suffix(".log")
        self._held = (self._connect() or self._begin()) if FORKS else None

    def command(self, *arguments: str) -> list[str]:
        """Return what a program starts in the place of Python with these arguments."""
        if not FORKS:
            return [sys.executable, *arguments]
        return [sys.executable, __file__, str(self._place), *arguments]

    def start(
        self, *arguments: str, cwd: Path, env: Mapping[str, str]
    ) -> Forked | subprocess.Popen[str]:
        """Start Python in a folder, as ``python -m`` or ``python -c`` does.

        Raises:
            EOFError: If the process that is forked has ended; with what it said.
        """
        if not FORKS:
            return subprocess.Popen(
                [sys.executable, *arguments], cwd=cwd, env=dict(env), text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        come, go = os.pipe()
        with open(os.devnull, "rb") as nothing, open(go, "wb"):
            line = self._ask(arguments, cwd, env, (nothing.fileno(), go, go))
        try:
            return Forked(line, come)
        except EOFError as error:
            raise EOFError(f"{error}: {self._log.read_text()}") from error

    def stand_in(self, *arguments: str) -> int:
        """Start Python with the input and output of this process, and return how it ended."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        line = self._ask(arguments, Path.cwd(), os.environ, (0, 1, 2))
        for own in (0, 1):
            os.close(own)
        _heard(line)
        return _heard(line)

    def _ask(
        self,
        arguments: Sequence[str],
        cwd: Path,
        env: Mapping[str, str],
        files: Sequence[int],
    ) -> socket.socket:
        if (line := self._connect()) is None:
            raise EOFError(f"whom to fork from has ended: {self._log.read_text()}")
        request = json.dumps({"arguments": arguments, "cwd": str(cwd), "env": dict(env)})
        with contextlib.suppress(ConnectionError):  # Who listens next hears that it has ended.
            socket.send_fds(line, [b"\n"], files)
            line.sendall(request.encode() + b"\n")
        return line

    def _begin(self) -> socket.socket:
        self._place.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener, self._log.open("w") as log:
            listener.bind(str(self._place))
            listener.listen()
            line = self._connect()  # It ends with the last of those who ask, so one does before.
            assert line is not None
            subprocess.Popen(
                [sys.executable, __file__, str(listener.fileno())],
                cwd=Path(__file__).parents[1],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                pass_fds=[listener.fileno()],
            )
        return line

    def _connect(self) -> socket.socket | None:
        line = socket.socket(socket.AF_UNIX)
        try:
            line.connect(str(self._place))
        except OSError:
            line.close()
            return None
        return line


class _Server:
    """Forks, and tells who asked how each ended."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self._waiting = selectors.DefaultSelector()
        self._waiting.register(listener, selectors.EVENT_READ)
        ended, told = socket.socketpair()
        told.setblocking(False)
        self._ended = (ended, told)
        self._waiting.register(ended, selectors.EVENT_READ)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(told.fileno(), warn_on_full_buffer=False)
        self._lines: dict[int, socket.socket] = {}
        self._holders: set[socket.socket] = set()

    def requests(self) -> Iterator[tuple[Message, list[int]]]:
        """Serve until nobody is left; yield, in a fork of this process, what it shall be."""
        while True:
            for key, _ in self._waiting.select():
                if key.fileobj is self._listener:
                    self._enter(self._listener.accept()[0])
                elif key.fileobj is self._ended[0]:
                    self._ended[0].recv(1 << 10)
                    self._tell()
                elif (request := self._read(key.fileobj)) is not None:
                    yield request
            if not self._holders:
                return

    def _enter(self, line: socket.socket) -> None:
        self._holders.add(line)
        self._waiting.register(line, selectors.EVENT_READ)

    def _read(self, line: Any) -> tuple[Message, list[int]] | None:
        """Return what a fork shall be, and its input and output, in that fork; nothing here."""
        start, files = b"", []
        with contextlib.suppress(ConnectionError):
            start, files, _, _ = socket.recv_fds(line, 1, 3)
        if not start:
            self._waiting.unregister(line)
            self._holders.discard(line)
            line.close()
            for pid in [pid for pid, asker in self._lines.items() if asker is line]:
                os.kill(pid, signal.SIGKILL)
            return None
        with line.makefile("r", encoding="utf-8") as text:
            request = json.loads(text.readline())
        if (pid := os.fork()) == 0:
            self._leave()
            return request, files
        for file in files:
            os.close(file)
        self._lines[pid] = line
        _say(line, pid)
        return None

    def _tell(self) -> None:
        """Tell of all that have ended."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                line = self._lines.pop(ended[0])
                if line in self._holders:
                    _say(line, os.waitstatus_to_exitcode(ended[1]))

    def _leave(self) -> None:
        """Give back what is the server's."""
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        # A shell's background job, as the tests may be, passes on that Ctrl-C is ignored.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._waiting.close()
        for line in (self._listener, *self._ended, *self._holders):
            line.close()


def _become(request: Message, files: list[int], searched: list[str]) -> None:
    """Be what ``python`` is with these arguments, in that folder and environment."""
    for own, file in enumerate(files):
        os.dup2(file, own)
        os.close(file)
    os.chdir(request["cwd"])
    os.environ.clear()
    os.environ.update(request["env"])
    flags, (how, what, *arguments) = [], request["arguments"]
    while how not in ("-m", "-c"):
        flags, (how, what, *arguments) = [*flags, how], [what, *arguments]
    if "PYTHONUNBUFFERED" in os.environ or "-u" in flags:
        sys.stdout.reconfigure(write_through=True)  # type: ignore[union-attr]
    given = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path]
    sys.path[:] = [request["cwd"], *given, *searched]
    sys.argv[:] = [how, *arguments]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
        return
    own_main = sys.modules["__main__"] = ModuleType("__main__")
    exec(compile(what, "<string>", "exec"), own_main.__dict__)


def _serve(listener: socket.socket) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # It ends with those who hold it.
    own = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    searched = [path for path in sys.path[1:] if path not in own]
    gc.disable()
    for name in LIBRARIES:
        with contextlib.suppress(ImportError):  # Not all of them are everywhere.
            importlib.import_module(name)
    inspect.getmodule(None, "")  # Looks through all of them for their files, at the first call.
    # As a run does with its libraries: to look through them at each end takes seconds, too.
    assert "duckdb" not in sys.modules
    gc.freeze()
    gc.enable()
    for request, files in _Server(listener).requests():
        _become(request, files, searched)
        return
    os._exit(0)  # Nothing is left that would have to be taken apart.


if __name__ == "__main__":
    if arguments := sys.argv[2:]:
        sys.exit(Template(Path(sys.argv[1])).stand_in(*arguments))
    _serve(socket.socket(fileno=int(sys.argv[1])))
