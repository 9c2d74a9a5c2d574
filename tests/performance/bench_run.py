"""Where the seconds of ``kedro run`` go, in a fresh project and once more in the same one.

``python tests/performance/bench_run.py`` makes a project in a temporary folder and runs the
pipeline ``speculative`` in it twice, each time in a process of its own behind a terminal. It
prints the seconds of every part, without those of the parts within it, what is left when
generation is taken off (timed jobs and controls are computed anew in either run), the seconds
until the first word and the longest silence. ``--pipeline`` and ``--params`` are those of
``kedro run``; ``--profile FILE`` keeps a cProfile of the second run.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import cProfile
import fcntl
import functools
import importlib
import json
import os
import pty
import select
import struct
import subprocess
import sys
import tempfile
import termios
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

NODES = {
    "ingest": ("ingest", "merge"),
    "generation": ("generate",),
    "scoring": ("score",),
    "figures": ("draw_",),
    "MLflow": ("log_",),
    "report": ("write_report",),
    "dbt run": ("dbt_sources", "marts"),
}
"""Parts by what the last segment of a node's name begins with; all others are statistics."""

FUNCTIONS = {
    "ttc_bench.hooks.preflight:Preflight.before_pipeline_run": "preflight",
    "ttc_bench.hooks.parameters:Parameters.after_context_created": "parameters",
    "ttc_bench.engines.local:LocalEngine.language_model": "loading models",
    "ttc_bench.engines.runtime.verifier:load_verifier": "loading models",
    "ttc_bench.dbt:_manifest": "dbt parse",
    "ttc_bench.dbt.ahead:Ahead.wait": "waiting for dbt, which loads and parses beside",
    "ttc_bench.hooks.tracking:Tracking.before_pipeline_run": "MLflow",
    "ttc_bench.hooks.tracking:Tracking.after_pipeline_run": "MLflow",
    "kedro_mlflow.framework.hooks.mlflow_hook:MlflowHook.after_context_created": "MLflow",
    "kedro_mlflow.framework.hooks.mlflow_hook:MlflowHook.before_pipeline_run": "MLflow",
    "kedro_mlflow.framework.hooks.mlflow_hook:MlflowHook.before_node_run": "MLflow",
    "kedro_mlflow.framework.hooks.mlflow_hook:MlflowHook.after_pipeline_run": "MLflow",
    "kedro.io.data_catalog:DataCatalog.load": "data sets",
    "kedro.io.data_catalog:DataCatalog.save": "data sets",
    "ttc_bench.pipeline_registry:register_pipelines": "registering pipelines",
}
"""Functions that are a part of their own, wherever they are called."""


class Clock:
    """Seconds by part; what runs within a part of its own is not counted twice."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._parts = ["Kedro"]
        self._since = time.monotonic()

    @contextlib.contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Count what runs in the block under ``name``."""
        if threading.current_thread().name not in ("MainThread", "ThreadPoolExecutor-0_0"):
            yield  # Monitors run beside the parts.
            return
        self._tick()
        self._parts.append(name)
        try:
            yield
        finally:
            self._tick()
            self._parts.pop()

    def _tick(self) -> None:
        now = time.monotonic()
        self.seconds[self._parts[-1]] += now - self._since
        self._since = now

    def timed(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """Return the function, its time counted under ``name``."""

        @functools.wraps(function)
        def counted(*arguments: Any, **named: Any) -> Any:
            with self.part(name):
                return function(*arguments, **named)

        return counted


def count_nodes(clock: Clock, node_type: Any) -> None:
    """Count each node under its part."""
    run = node_type.run

    def counted(node: Any, inputs: Any = None) -> Any:
        last = node.name.rpartition(".")[2]
        parts = (part for part, names in NODES.items() if last.startswith(names))
        with clock.part(next(parts, "statistics")):
            return run(node, inputs)

    node_type.run = counted


def count_imports(clock: Clock) -> None:
    """Count imports, and each of `FUNCTIONS` from the moment its module is there."""
    bootstrap: Any = importlib._bootstrap  # type: ignore[attr-defined]
    find_and_load = bootstrap._find_and_load
    waiting = dict(FUNCTIONS)

    def counted(name: str, import_: Any) -> Any:
        with clock.part("imports"):
            module = find_and_load(name, import_)
        for place in [place for place in waiting if place.startswith(f"{name}:")]:
            *owners, last = place.partition(":")[2].split(".")
            owner = functools.reduce(getattr, owners, module)
            if hasattr(owner, last):
                setattr(owner, last, clock.timed(waiting.pop(place), getattr(owner, last)))
        if name == "kedro.pipeline.node":
            count_nodes(clock, module.Node)
        return module

    bootstrap._find_and_load = counted


def run_here(arguments: list[str], figures: Path, profile: str | None) -> None:
    """Run ``kedro run`` in this process and write the seconds of its parts at its end."""
    clock = Clock()
    atexit.register(lambda: figures.write_text(json.dumps(dict(clock.seconds))))
    count_imports(clock)
    from kedro.framework.cli.cli import main

    sys.argv = ["kedro", "run", *arguments]
    if profile is None:
        main()
        return
    profiler = cProfile.Profile()
    atexit.register(lambda: profiler.dump_stats(profile))
    profiler.runcall(main)


def run_behind_terminal(command: list[str], folder: Path) -> tuple[float, float, float]:
    """Return the seconds of a command, until its first word, and of its longest silence."""
    terminal, other = pty.openpty()
    # A terminal of no width shows no bars.
    fcntl.ioctl(other, termios.TIOCSWINSZ, struct.pack("4H", 40, 120, 0, 0))
    start = said = time.monotonic()
    first, silence, name = None, 0.0, ""
    process = subprocess.Popen(command, cwd=folder, stdout=other, stderr=other, close_fds=True)
    os.close(other)
    text = b""
    while True:
        select.select([terminal], [], [], 60)
        try:
            words = os.read(terminal, 65536)
        except OSError:
            break  # The other end is closed.
        now = time.monotonic()
        first = first or now - start
        if now - said > silence:
            silence, name = now - said, text[-160:].decode(errors="replace")
        said, text = now, (text + words)[-2000:]
    process.wait()
    wall = time.monotonic() - start
    if process.returncode:
        sys.exit(text.decode(errors="replace"))
    print(f"longest silence behind: {name.strip().splitlines()[-1:]}")
    return wall, first or wall, silence


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--pipeline", default="speculative")
    parser.add_argument("--params", default="")
    parser.add_argument("--profile")
    parser.add_argument("--project", type=Path, help="a project folder, where it is not made anew")
    parser.add_argument("--here", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    arguments = [f"--pipeline={options.pipeline}", f"--params={options.params}"]
    if options.here:
        run_here(arguments, options.here, options.profile)
        return
    with tempfile.TemporaryDirectory() as folder:
        measure(options, Path(folder))


def measure(options: argparse.Namespace, folder: Path) -> None:
    """Run twice and print both columns."""
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from tests.conftest import make_project

    project = options.project or make_project(folder / "project")
    columns: dict[str, dict[str, float]] = {}
    for name in ("fresh", "replayed"):
        figures = folder / f"{name}.json"
        command = [sys.executable, __file__, "--here", str(figures)]
        command += ["--pipeline", options.pipeline, "--params", options.params]
        if options.profile and name == "replayed":
            command += ["--profile", str(Path(options.profile).resolve())]
        wall, first, silence = run_behind_terminal(command, project)
        parts = json.loads(figures.read_text())
        parts["interpreter start and end"] = wall - sum(parts.values())
        columns[name] = {
            **parts,
            "all": wall,
            "all but generation": wall - parts.get("generation", 0.0),
            "first word after": first,
            "longest silence": silence,
        }
    print(f"{'seconds':52}{'fresh':>10}{'replayed':>10}")
    for part in columns["fresh"]:
        values = (columns[name].get(part, 0.0) for name in columns)
        print(f"{part:52}" + "".join(f"{value:10.2f}" for value in values))


if __name__ == "__main__":
    main()
