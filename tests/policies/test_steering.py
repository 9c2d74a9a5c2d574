"""A run at work does what its own user asks for meanwhile, and nothing of its results changes."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ingested

from ttc_bench.engines.base import CallLimits, Engine
from ttc_bench.errors import UserError
from ttc_bench.metrics.base import METRICS, ScoreParams
from ttc_bench.pipelines.generate.nodes import respond_all
from ttc_bench.pipelines.generate.params import TimingParams, sweep
from ttc_bench.pipelines.score.nodes import score_responses
from ttc_bench.policies.events import Events
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.responses import TIMES, to_frame
from ttc_bench.policies.steering import order, orders_in, place_of
from ttc_bench.reporting.live import progress, read
from ttc_bench.types import DataFrame

PAUSED = CallLimits(paused=True)

CLOCKS = ScoreParams(families=dict.fromkeys(set(METRICS) - {"latency", "control"}, False))


class Watched:
    """A run that is steered by what it tells.

    Args:
        folder: Where its events are.
        acts: What is done at an event: its kind, and how many of that kind came before it.
    """

    def __init__(self, folder: Path, acts: Mapping[tuple[str, int], Callable[[Path], None]]):
        self._folder, self._acts = folder, acts
        self.told: list[tuple[str, Mapping[str, Any]]] = []
        self.events = Events(folder)
        self.events.watch(self._take)

    @property
    def file(self) -> Path:
        (file,) = self._folder.glob("*.jsonl")
        return file

    def count(self, kind: str) -> int:
        return sum(one == kind for one, _ in self.told)

    def _take(self, kind: str, facts: Mapping[str, Any]) -> None:
        act = self._acts.get((kind, self.count(kind)))
        self.told.append((kind, facts))
        if act is not None:
            act(self.file)

    def respond(
        self, name: str, engine: Engine, jobs: int = 3, timed: int = 0, **settings: Any
    ) -> DataFrame:
        own = ingested("crm_sim", jobs)
        points, timing = sweep(name, settings), TimingParams(jobs=timed)
        return to_frame(respond_all(points, own, engine, Journal(), 0, timing, self.events))


def pause(file: Path) -> None:
    order(file, PAUSED)


def same(left: DataFrame, right: DataFrame) -> bool:
    """Whether two tables are equal but for what hangs on the clock and the machine."""
    free = [*TIMES, "itl_s", "measured", "notes", "bill", "cpu_share", "peak_rss_bytes",
            "control_latency_s", "control_ttft_s"]  # fmt: skip
    return left.drop(columns=free).equals(right.drop(columns=free))


def test_a_pause_lets_no_call_begin_and_loses_nothing(tmp_path: Path, engine: Engine) -> None:
    seen: list[int] = []

    def resume_after_a_while(file: Path) -> None:
        def wait() -> None:
            for _ in range(2):
                seen.append(watched.count("call"))
                time.sleep(0.4)
            seen.append(watched.count("call"))
            order(file, CallLimits())

        threading.Thread(target=wait, daemon=True).start()

    # The second job's critique is not made while the run stands still: that job is at work.
    acts: dict[tuple[str, int], Callable[[Path], None]] = {("steered", 0): resume_after_a_while}
    whole = Watched(tmp_path / "whole", {})
    undisturbed = whole.respond("self_refine.feedback", engine, rounds=1)
    first_of_second = 1 + [kind for kind, _ in whole.told].index("job")
    calls_before = sum(kind == "call" for kind, _ in whole.told[:first_of_second])
    acts["call", calls_before] = pause
    watched = Watched(tmp_path / "steered", acts)
    steered = watched.respond("self_refine.feedback", engine, rounds=1)

    assert seen == [calls_before + 1] * 3, "no call began while it was paused"
    assert same(steered, undisturbed)
    assert steered["measured"].tolist() == [True, False, True]
    for name in TIMES:
        assert steered[name].isna()[1], name
        assert steered[name].isna().tolist()[2:] == undisturbed[name].isna().tolist()[2:], name
    assert [note.split(" at ")[0] for note in steered["notes"][1]] == [
        "steered: paused", "steered: resumed",
    ]  # fmt: skip
    assert not any(len(notes) for notes in steered["notes"].drop(1))
    changes = [facts["change"] for kind, facts in watched.told if kind == "steered"]
    assert changes == ["paused", "resumed"]
    marks = score_responses(steered, ingested("crm_sim", 3), CLOCKS)
    assert "the run was paused" in marks["null_reasons"][1]
    assert "latency_s" in str(json.loads(marks["null_reasons"][1]))
    assert "the run was paused" not in marks["null_reasons"][0]


def test_a_batch_stands_still_as_a_whole(tmp_path: Path, engine: Engine) -> None:
    def resume(file: Path) -> None:
        order(file, CallLimits())

    undisturbed = Watched(tmp_path / "whole", {}).respond("elastic_batch.greedy", engine)
    watched = Watched(tmp_path / "steered", {("job", 1): pause, ("steered", 0): resume})
    steered = watched.respond("elastic_batch.greedy", engine)
    assert same(steered, undisturbed)
    assert sorted(steered["measured"]) == [False, True, True]


def test_a_control_that_ran_before_a_pause_has_no_time_either(
    tmp_path: Path, engine: Engine
) -> None:
    orders = {("call", 0): pause, ("steered", 0): lambda file: order(file, CallLimits())}
    watched = Watched(tmp_path, orders)
    rows = watched.respond("cascade.agreement", engine, jobs=2, timed=2)
    disturbed = rows[~rows["measured"].astype(bool)]
    assert len(disturbed) == 1
    assert disturbed[["control_latency_s", "control_ttft_s"]].isna().all(axis=None)
    whole = rows.drop(disturbed.index)
    assert (whole["control_ttft_s"] > 0).all()
    assert (whole["control_ttft_s"] < whole["control_latency_s"]).all()
    marks = score_responses(rows, ingested("crm_sim", 2), CLOCKS)
    reasons = json.loads(marks["null_reasons"][disturbed.index[0]])
    (why,) = [reason for reason in reasons if reason.startswith("the run was paused")]
    assert {"speed", "control_latency_s", "latency_s"} <= set(reasons[why])


def test_orders_that_cannot_be_followed_are_told_once_in_a_line(
    tmp_path: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    def leave(text: str) -> Callable[[Path], None]:
        def act(file: Path) -> None:
            order(file, CallLimits())
            place_of(file).write_text(text)

        return act

    watched = Watched(
        tmp_path,
        {
            ("job", 0): leave('{"pause": true}'),
            ("job", 1): leave("rm -rf"),
            ("job", 2): leave('{"max_usd": 3}'),
        },
    )
    # The last order is given while another job is still to be asked.
    rows = watched.respond("baseline.greedy", engine, jobs=4)
    assert rows["measured"].all()
    lines = [facts["refused"] for kind, facts in watched.told if kind == "steered"]
    assert len(lines) == 3
    assert "parameter orders.pause: unknown key 'pause'. Did you mean 'paused'" in lines[0]
    assert "Allowed: paused, concurrency" in lines[1]
    assert lines[2] == "the local engine has no max_usd to change."
    assert not any("\n" in line for line in lines)
    assert caplog.text.count("goes on as before") == 3
    told = progress(read(watched.file), time.time())
    assert "not done: the local engine has no max_usd" in told.steered[0]
    watched.events.end()
    assert not place_of(watched.file).exists(), "orders end with their run"


def test_only_the_user_of_the_run_gives_orders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "run.jsonl"
    place = place_of(file)
    assert orders_in(place) == CallLimits(), "without orders a run goes on"
    order(file, PAUSED)
    assert place.stat().st_mode & 0o777 == 0o600
    assert orders_in(place) == PAUSED
    user = os.geteuid()
    with monkeypatch.context() as other:
        other.setattr(os, "geteuid", lambda: user + 1)
        with pytest.raises(UserError, match=rf"is of user {user}: a run takes orders only from"):
            orders_in(place)
    for mode in (0o640, 0o604, 0o622):
        place.chmod(mode)
        with pytest.raises(UserError, match="mode must be 600"):
            orders_in(place)
    place.unlink()
    (tmp_path / "own").write_text('{"paused": true}')
    (tmp_path / "own").chmod(0o600)
    place.symlink_to(tmp_path / "own")
    with pytest.raises(UserError, match="plain file"):
        orders_in(place)
    place.unlink()
    os.mkfifo(place, 0o600)
    with pytest.raises(UserError, match="plain file"):
        orders_in(place)
    place.unlink()
    place.mkdir(0o700)
    with pytest.raises(UserError, match="plain file"):
        orders_in(place)
    with pytest.raises(UserError, match="cannot be steered"):
        order(file, PAUSED)
    assert {path.name for path in tmp_path.iterdir()} == {place.name, "own"}
    place.rmdir()
    place.touch(0o600)
    place.write_text('{"paused": true, "max_requests": ' + "9" * 5000 + "}")
    with pytest.raises(UserError, match="no orders"):
        orders_in(place)


@pytest.mark.parametrize(
    "text",
    ["", "null", "[]", "[" * 4000, '{"paused": "yes"}', '{"concurrency": 0}', '{"max_usd": 1e999}'],
)
def test_what_is_no_order_is_one_line(tmp_path: Path, text: str) -> None:
    place = place_of(tmp_path / "run.jsonl")
    place.touch(0o600)
    place.write_text(text)
    with pytest.raises(UserError) as raised:
        orders_in(place)
    assert "\n" not in raised.value.message
