"""How far a run is, from the events that it appends; see `ttc_bench.policies.events`."""

from __future__ import annotations

import json
import math
import os
import socket
import statistics
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any

from ttc_bench.reporting.run_choice import limit_words
from ttc_bench.types import INTERRUPTED

Event = Mapping[str, Any]

RATE_S = 60.0
"""Seconds over which a rate is taken."""

LATENCY_S = 300.0
"""Seconds over which latencies are taken."""

MOST_MINUTES = 120
"""Minutes that are told by themselves, the last ones."""

RATE_LIMIT = "rate_limit"
"""Class of the failure that is an answer of 429."""


ANSWERED = "All answers are in; scores and report are being made."
"""What a run does that has nothing left to ask."""


@dataclass(frozen=True)
class Progress:
    """What is known of a run at a moment.

    Attributes:
        sentence: How it stands, in words.
        is_over: Whether no more is to come.
        is_answered: Whether all answers are in, and the run goes on to scores and report.
        pid: Its process where that is on this machine and lives.
        variants: A row per variant: ``variant``, ``jobs``, ``done``, ``failed``, ``left``.
        done: Jobs that are done, failed ones included.
        left: Jobs that are to be done; those of variants that have not begun are reckoned.
        rate_per_s: Jobs a second of the last minute, as it goes on since it was steered last;
            ``None`` without any, and of a run that is paused or over.
        left_s: Seconds that the rest takes at this rate.
        calls: Calls that were made.
        usd: What they cost; ``None`` where the price of one is not known.
        limits: Its limits by name.
        latency_s: Quantiles of the calls of the last minutes by name.
        minutes: A row for each of the last minutes with a call: ``minute``, ``calls``, ``retries``,
            ``rate_limited``.
        steered: What was changed of it meanwhile, and when, in words, the last first.
    """

    sentence: str
    is_over: bool
    pid: int | None = None
    variants: Sequence[Mapping[str, Any]] = ()
    done: int = 0
    left: int = 0
    rate_per_s: float | None = None
    left_s: float | None = None
    calls: int = 0
    usd: float | None = 0.0
    limits: Mapping[str, Any] = field(default_factory=dict)
    latency_s: Mapping[str, float] = field(default_factory=dict)
    minutes: Sequence[Mapping[str, Any]] = ()
    steered: Sequence[str] = ()
    is_answered: bool = False


class Tail:
    """The events of a file that is only appended to: what was read once is not read again.

    Args:
        path: The file.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._lock = path, Lock()
        self._file, self._place = 0, 0
        self._events: list[Event] = []

    def read(self) -> list[Event]:
        """Return all events up to now.

        A line that is being written, damaged, or of another version, is passed over.

        Raises:
            OSError: If the file cannot be read.
        """
        with self._lock, self._path.open("rb") as file:
            stat = os.fstat(file.fileno())
            if stat.st_ino != self._file or stat.st_size < self._place:
                self._file, self._place, self._events = stat.st_ino, 0, []
            file.seek(self._place)
            whole, end, _ = file.read().rpartition(b"\n")
            self._place += len(whole) + len(end)
            self._events += _parsed(whole.decode("utf-8", "replace").split("\n"))
            return list(self._events)


def read(path: Path) -> list[Event]:
    """Return the events of a file; see `Tail.read`."""
    return Tail(path).read()


def _parsed(lines: Iterable[str]) -> list[Event]:
    events: list[Event] = []
    for line in lines:
        try:
            event = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if _is_event(event):
            events.append(event)
    return events


def titles(folder: Path, names: Iterable[str]) -> dict[str, str]:
    """Return the files of runs by what the runs are called: start, pipelines and process.

    Args:
        folder: Where they lie.
        names: Their names, which tell start and process.
    """
    return {_title(folder / name): name for name in names}


def _title(path: Path) -> str:
    day, _, rest = path.stem.partition("T")
    time, _, process = rest.partition("-")
    pipeline = next((e.get("pipeline", "") for e in _first(path, 2) if e["kind"] == "plan"), "")
    started = f"{day} {time.replace('.', ':')} UTC" if process else path.stem
    of = f"process {process}" if process else ""
    return ", ".join(part for part in (started, pipeline, of) if part)


def _first(path: Path, count: int) -> list[Event]:
    """Return the first events of a file."""
    try:
        with path.open(encoding="utf-8", errors="replace") as lines:
            return _parsed(islice(lines, count))
    except OSError:
        return []


def of_run(events: Sequence[Event]) -> str:
    """Return which run tells these events, in words: its name, pipelines and limit."""
    plan = next((event for event in events if event["kind"] == "plan"), {})
    parts = [
        f"Run {plan['run']}" if plan.get("run") else "",
        f"pipeline {plan['pipeline']}" if plan.get("pipeline") else "",
        limit_words(plan["limit"]) if "limit" in plan else "",
    ]
    return ", ".join(part for part in parts if part)


def _is_event(event: Any) -> bool:
    """Return whether something is an event of which all that is read can be read."""
    if not isinstance(event, dict) or not _is_number(event.get("at")) or event["at"] < 0:
        return False
    kind = event.get("kind")
    if not isinstance(kind, str):
        return False
    needed, more = _NEEDED.get(kind, {}), _MORE.get(kind, {})
    return all(name in event and fits(event[name]) for name, fits in needed.items()) and all(
        fits(event[name]) for name, fits in more.items() if name in event
    )


_MOST = 1e11
"""No number of an event is larger: no clock tells more seconds since 1970 that is to be read."""


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and -_MOST < value < _MOST


def _is_amount(value: Any) -> bool:
    return _is_number(value) and value >= 0


def _is_count(value: Any) -> bool:
    return isinstance(value, int) and 0 <= value < _MOST


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _or_null(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


_AMOUNT, _WORDS = _or_null(_is_amount), _or_null(_is_text)

_NEEDED: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "run": {"pid": _is_count, "created": _is_number, "host": _is_text},
    "plan": {
        "variants": lambda value: isinstance(value, list) and all(map(_is_text, value)),
        "limits": lambda value: isinstance(value, dict) and all(map(_AMOUNT, value.values())),
    },
    "begin": {"variant": _is_text, "jobs": _is_count},
    "call": {"replayed": lambda value: isinstance(value, bool), "usd": _AMOUNT,
             "latency_s": _is_amount, "attempts": _is_count},
    "job": {"variant": _is_text, "status": _is_text, "error_type": _WORDS},
    "end": {"error": _WORDS},
}  # fmt: skip
"""What is read of every event, by its kind, and what it must be."""

_MORE: Mapping[str, Mapping[str, Callable[[Any], bool]]] = {
    "plan": {"pipeline": _is_text, "points": _is_count},
    "end": {"message": _WORDS},
    "steered": {
        "change": _is_text,
        "refused": _WORDS,
        **dict.fromkeys(("max_usd", "max_requests", "concurrency"), _AMOUNT),
    },
}
"""What is read of it where it is there."""


def progress(events: Sequence[Event], now: float) -> Progress:
    """Return how far a run is.

    Args:
        events: What it told.
        now: The time, in seconds since 1970.
    """
    if not events:
        return Progress("The run has told nothing yet.", is_over=False)
    sentence, is_over, pid = _state(events, now)
    jobs = _of(events, "job")
    calls = [event for event in _of(events, "call") if not event["replayed"]]
    plan = next((event for event in events if event["kind"] == "plan"), None)
    rows = _variants(events, jobs, plan)
    left = sum(row["left"] for row in rows)
    last = events[-1]["at"] if is_over else now
    steered = _of(events, "steered")
    is_answered = not is_over and _is_answered(plan, rows)
    is_still = is_over or is_answered or _is_paused(events)
    if is_answered:
        sentence = f"{ANSWERED} {sentence}"
    rate = None if is_still else _rate(jobs, now, max((e["at"] for e in steered), default=0.0))
    costs = [event["usd"] for event in calls]
    return Progress(
        sentence,
        is_over,
        pid,
        rows,
        done=len(jobs),
        left=left,
        rate_per_s=rate,
        left_s=left / rate if rate else None,
        calls=len(calls),
        usd=None if None in costs else math.fsum(costs),
        limits=_limits(plan, steered),
        latency_s=_latencies(calls, last),
        minutes=_minutes(calls, jobs),
        steered=[*map(_steered, steered)][::-1],
        is_answered=is_answered,
    )


def _is_answered(plan: Event | None, rows: Sequence[Mapping[str, Any]]) -> bool:
    """Return whether all that the plan names has begun and is done."""
    is_begun = [row["jobs"] is not None for row in rows]
    points = plan.get("points", 1) if plan else math.inf
    return sum(is_begun) >= points and all(is_begun) and not any(row["left"] for row in rows)


def _of(events: Sequence[Event], kind: str) -> list[Event]:
    return [event for event in events if event["kind"] == kind]


def _limits(plan: Event | None, steered: Sequence[Event]) -> dict[str, Any]:
    """Return the limits that hold now: those of the plan, but for what was changed since."""
    changed = next((event for event in reversed(steered) if "change" in event), {})
    own = plan["limits"] if plan else {}
    return {name: changed.get(name) or limit for name, limit in own.items()}


def _steered(event: Event) -> str:
    refused = event.get("refused")
    what = event.get("change", "") if refused is None else f"not done: {refused}"
    return f"{clock(event['at'])}: {what}"


def _state(events: Sequence[Event], now: float) -> tuple[str, bool, int | None]:
    """Return how a run stands, whether it is over, and its process where that lives here."""
    last, end = events[-1], next((e for e in events if e["kind"] == "end"), None)
    if end is not None:
        took = f"after {duration(end['at'] - events[0]['at'])}"
        return f"The run {_ended(end, took)}", True, None
    begun = events[0]
    silent = f"its last word was {duration(now - last['at'])} ago, at {clock(last['at'])}"
    if begun["kind"] != "run":
        return f"The run does not say which process it is; {silent}.", False, None
    if begun["host"] != socket.gethostname():
        return f"The run is at work on {begun['host']}; {silent}.", False, None
    if not is_alive(begun["pid"], begun["created"]):
        died = f"The run has died: process {begun['pid']} is gone, {silent}."
        return f"{died} The same command goes on from the answers that are kept.", True, None
    stands = "paused" if _is_paused(events) else "at work"
    return f"The run is {stands}, process {begun['pid']}; {silent}.", False, begun["pid"]


def _ended(end: Event, took: str) -> str:
    """Return how a run ended, in words: a limit that its user set is no fault."""
    error, message = end["error"], end.get("message")
    if not error:
        return f"is done, {took}."
    if error == INTERRUPTED:
        return f"was interrupted {took}; the same command goes on from there."
    if message:
        return f"ended {took}: {message.rstrip('.')}."
    return f"ended {took} by a fault ({error}); its terminal tells more."


def _is_paused(events: Sequence[Event]) -> bool:
    return bool(next((e["paused"] for e in reversed(events) if "paused" in e), False))


def is_alive(pid: int, created: float) -> bool:
    """Return whether the process of a number is the one that was created then, and lives."""
    import psutil  # type: ignore[import-untyped]

    try:
        process = psutil.Process(pid)
        is_same = abs(process.create_time() - created) < 1
        return bool(is_same and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


def _variants(
    events: Iterable[Event], jobs: Sequence[Event], plan: Event | None
) -> list[dict[str, Any]]:
    begun = {event["variant"]: event["jobs"] for event in events if event["kind"] == "begin"}
    done = Counter(event["variant"] for event in jobs)
    failed = Counter(event["variant"] for event in jobs if event["status"] == "failed")
    rows = [
        {"variant": name, "jobs": n, "done": done[name], "failed": failed[name],
         "left": max(0, n - done[name])}
        for name, n in begun.items()
    ]  # fmt: skip
    # A variant that is swept has a begin per point, by the name of the point.
    known = {name.partition("[")[0] for name in begun}
    usual = int(statistics.median(begun.values())) if begun else 0
    return rows + [
        {"variant": name, "jobs": None, "done": 0, "failed": 0, "left": usual}
        for name in (plan["variants"] if plan else ())
        if name not in known
    ]


def _rate(jobs: Sequence[Event], now: float, since: float) -> float | None:
    recent = [event["at"] for event in jobs if event["at"] > max(now - RATE_S, since)]
    if len(recent) < 2 or now <= min(recent):
        return None
    return float((len(recent) - 1) / (now - min(recent)))


def _latencies(calls: Sequence[Event], now: float) -> dict[str, float]:
    recent = [event["latency_s"] for event in calls if event["at"] > now - LATENCY_S]
    if len(recent) < 2:
        return {}
    cuts = statistics.quantiles(recent, n=100, method="inclusive")
    return {"p50": cuts[49], "p95": cuts[94], "p99": cuts[98]}


def _minutes(calls: Sequence[Event], jobs: Sequence[Event]) -> list[dict[str, Any]]:
    counts: dict[int, Counter[str]] = defaultdict(Counter)
    for event in calls:
        minute = counts[int(event["at"] // 60)]
        minute["calls"] += 1
        minute["retries"] += max(0, event["attempts"] - 1)
    for event in jobs:
        counts[int(event["at"] // 60)]["rate_limited"] += event["error_type"] == RATE_LIMIT
    last = sorted(counts)[-MOST_MINUTES:]
    names = ("calls", "retries", "rate_limited")
    return [{"minute": told, **{name: counts[minute][name] for name in names}}
            for minute, told in zip(last, _told_minutes(last), strict=True)]  # fmt: skip


def _told_minutes(minutes: Sequence[int]) -> list[str]:
    """Return minutes as the time of day in UTC, with the day where they are of several."""
    moments = [datetime.fromtimestamp(60 * minute, UTC) for minute in minutes]
    of_a_day = len({moment.date() for moment in moments}) == 1
    return [f"{moment:%H:%M}" if of_a_day else f"{moment:%m-%d %H:%M}" for moment in moments]


def duration(seconds: float) -> str:
    """Return a duration in words, e.g. ``3 min 20 s``."""
    whole = max(0, round(seconds))
    parts = [(whole // 3600, "h"), (whole // 60 % 60, "min"), (whole % 60, "s")]
    told = [f"{value} {unit}" for value, unit in parts if value][:2]
    return " ".join(told) or "0 s"


def clock(at: float) -> str:
    """Return a moment as the time of day, in UTC."""
    return f"{datetime.fromtimestamp(at, UTC):%H:%M:%S} UTC"
