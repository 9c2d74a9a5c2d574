"""What a run tells of itself while it goes on: a line per finished call and job.

One file per run, of JSON lines that are only appended, each by one system call, so that whoever
reads meanwhile sees whole lines and at most a torn last one. It is for people who watch; nothing of
the run depends on it, and where it cannot be written the run goes on without.
"""

from __future__ import annotations

import atexit
import json
import logging
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ttc_bench.engines.ledger import Asked, Call, Done
from ttc_bench.policies.steering import Steering, place_of
from ttc_bench.types import INTERRUPTED

logger = logging.getLogger(__name__)

MOST_RUNS = 20
"""Files of runs that are kept."""

CALL_FACTS = ("role", "purpose", "model", "prompt_tokens", "completion_tokens", "ttft_s",
              "latency_s", "retry_s", "attempts", "usd", "replayed")  # fmt: skip
"""What is told of a call, by the names of its bill."""

JOB_FACTS = ("benchmark", "task", "status", "error_type", "latency_s", "prompt_tokens",
             "completion_tokens", "usd",
             "spent_usd", "spent_calls", "retries", "measured")  # fmt: skip
"""What is told of a job, by the names of its row."""

Watcher = Callable[[str, Mapping[str, Any]], None]
"""Takes the kind of an event and its facts."""


class Events:
    """Appends what happens to a file of this run.

    Args:
        folder: Where the files of runs are; ``None`` tells nobody.

    Attributes:
        steering: Follows what the run is asked for meanwhile, in a file beside its own.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._folder = folder
        self._file: int | None = None
        self._plan: Mapping[str, Any] = {}
        self._watchers: list[Watcher] = []
        self.steering = Steering(self.steered)

    def watch(self, watcher: Watcher) -> None:
        """Tell a function, too, of every event from now on."""
        self._watchers.append(watcher)

    def plan(
        self, pipeline: str, variants: list[str], limits: Mapping[str, Any], **facts: Any
    ) -> None:
        """Tell what the run is going to do, once it does any of it.

        Args:
            pipeline: Names of its pipelines.
            variants: ``{policy}.{variant}`` of all that it generates.
            limits: Its limits by name, such as ``max_usd``.
            facts: ``run``, its name, ``limit``, the most questions of a benchmark, and ``points``,
                how many sweep points the variants have together.
        """
        plan = {"pipeline": pipeline, "variants": variants, "limits": dict(limits)}
        self._plan = plan | facts

    def begin(self, variant: str, jobs: int) -> None:
        """Tell that a variant begins."""
        self._emit("begin", variant=variant, jobs=jobs)

    def call(
        self, variant: str, call: Call, asked: Asked | None = None, done: Done | None = None
    ) -> None:
        """Tell that a call is billed; what was said in it is told to watchers, never written.

        Args:
            variant: ``{policy}.{variant}`` of the variant.
            call: Its line of the bill.
            asked: What was asked; ``None`` where a worker made the call, which tells the bill.
            done: What came back.
        """
        facts = {name: getattr(call, name) for name in CALL_FACTS}
        self._emit("call", {"asked": asked, "done": done}, variant=variant, **facts)

    def job(self, variant: str, row: Mapping[str, Any]) -> None:
        """Tell that a job is done, by what its row says."""
        self._emit("job", variant=variant, **{name: row[name] for name in JOB_FACTS})

    def steered(self, **facts: Any) -> None:
        """Tell that the run goes otherwise from now on, or that orders were refused."""
        self._emit("steered", **facts)

    def end(self, error: str | None = None, message: str | None = None) -> None:
        """Tell that the run is over, and what ended it before all was done.

        Args:
            error: Class of the error.
            message: What it says, if that is this project's own sentence, for whoever watches.
        """
        if self._file is not None:
            more: dict[str, Any] = {"message": message} if message else {}
            self._emit("end", error=error, **more)
            atexit.unregister(self._gone)
            os.close(self._file)
            self._file = None
            if self.steering.place is not None:
                self.steering.place.unlink(missing_ok=True)

    def _gone(self, pid: int) -> None:
        """Tell that the process goes; one that was forked from it tells nothing of it."""
        if os.getpid() == pid:
            self.end(INTERRUPTED)

    def _emit(self, kind: str, unwritten: Mapping[str, Any] | None = None, **facts: Any) -> None:
        for watcher in self._watchers:
            watcher(kind, {**facts, **(unwritten or {})})
        if self._folder is None:
            return
        try:
            if self._file is None:
                path, self._file = _opened(self._folder)
                # Kedro tells no hook of Ctrl-C.
                atexit.register(self._gone, os.getpid())
                self.steering.place = place_of(path)
                self._write("run", _process())
                if self._plan:
                    self._write("plan", self._plan)
            self._write(kind, facts)
        except OSError as error:
            logger.warning("the run cannot be watched: %s: %s", self._folder, error.strerror)
            self._folder = None

    def _write(self, kind: str, facts: Mapping[str, Any]) -> None:
        assert self._file is not None
        line = json.dumps({"at": time.time(), "kind": kind, **facts}, separators=(",", ":"))
        os.write(self._file, line.encode() + b"\n")


def _opened(folder: Path) -> tuple[Path, int]:
    """Return a new file of the folder, and leave the newest of the older ones there."""
    folder.mkdir(parents=True, exist_ok=True)
    for old in sorted(folder.glob("*.jsonl"))[: -(MOST_RUNS - 1)]:
        old.unlink(missing_ok=True)
        place_of(old).unlink(missing_ok=True)
    path = folder / f"{time.strftime('%Y-%m-%dT%H.%M.%S', time.gmtime())}-{os.getpid()}.jsonl"
    return path, os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)


def _process() -> dict[str, Any]:
    """Return what tells this process from any other, on this machine or elsewhere."""
    import psutil  # type: ignore[import-untyped]

    created = psutil.Process().create_time()
    return {"pid": os.getpid(), "created": created, "host": socket.gethostname()}
