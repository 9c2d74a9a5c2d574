"""The page that shows a run while it goes on, and what it is made of."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from tests.conftest import ingested
from tests.dashboard.conftest import Open, words

from ttc_bench.engines.base import CallLimits, Engine
from ttc_bench.pipelines.generate.nodes import generate
from ttc_bench.pipelines.generate.params import TimingParams, sweep
from ttc_bench.policies.events import Events
from ttc_bench.policies.journal import Journal
from ttc_bench.policies.steering import orders_in
from ttc_bench.reporting.live import Tail, duration, is_alive, of_run, progress, read, titles

RUN = {"at": 1000.0, "kind": "run", "pid": 1, "created": 0.0, "host": "elsewhere"}


def job(at: float, variant: str = "a.b", status: str = "ok", **facts: object) -> dict[str, object]:
    return {"at": at, "kind": "job", "variant": variant, "status": status, "error_type": None,
            **facts}  # fmt: skip


def call(at: float, latency_s: float, **facts: object) -> dict[str, object]:
    return {"at": at, "kind": "call", "variant": "a.b", "replayed": False, "attempts": 1,
            "usd": 0.5, "latency_s": latency_s, **facts}  # fmt: skip


def test_events_are_the_facts_of_the_rows(tmp_path: Path, engine: Engine) -> None:
    events = Events(tmp_path / "events")
    jobs = ingested("crm_sim", 2)
    events.plan("baseline", ["baseline.greedy"], {})
    points, timing = sweep("baseline.greedy", {}), TimingParams(jobs=0)
    rows = generate(points, jobs, engine, Journal(), 0, timing, events)
    events.end()
    (file,) = (tmp_path / "events").iterdir()
    told = read(file)
    assert [event["kind"] for event in told][:3] == ["run", "plan", "begin"]
    done = [event for event in told if event["kind"] == "job"]
    for name in ("status", "completion_tokens", "latency_s", "spent_calls"):
        assert [event[name] for event in done] == rows[name].tolist()
    calls = [event for event in told if event["kind"] == "call"]
    assert len(calls) == rows["calls"].sum()
    after = progress(told, time.time())
    assert after.is_over
    assert (after.done, after.left, after.calls) == (2, 0, 2)


@pytest.mark.parametrize(
    "line",
    [
        '{"at": 1001.0, "kind": "call", "variant": "a.b"}',
        '{"at": 1001.0, "kind": "job", "variant": "a.b", "status": "ok"}',
        '{"at": 1001.0, "kind": "begin", "variant": "a.b", "jobs": "8"}',
        '{"at": "now", "kind": "end", "error": null}',
        '{"at": NaN, "kind": "end", "error": null}',
        '{"at": 1e300, "kind": "end", "error": null}',
        '{"at": 1001.0, "kind": ["end"]}',
        '{"at": 1001.0, "kind": "steered"}',
        '{"at": 1001.0, "kind": "steered", "change": "x", "max_usd": "much"}',
        '{"at": 1001.0, "kind": "plan", "variants": [{}], "limits": {}}',
        '{"at": 1001.0, "kind": "plan", "variants": [], "limits": {"max_usd": "9"}}',
        '{"at": 1001.0, "kind": "plan", "variants": [], "limits": {}, "pipeline": ["x"]}',
        '{"at": 1001.0, "kind": "run", "pid": -1, "created": 0.0, "host": "elsewhere"}',
        '{"at": 1001.0, "kind": "call", "replayed": false, "attempts": 1, "usd": -Infinity,'
        ' "latency_s": 1.0}',
        '{"at": 1001.0, "kind": "call", "replayed": false, "attempts": 1, "usd": 0.5,'
        f' "latency_s": 1{"0" * 400}}}',
        '{"at": 1001.0, "kind": "call", "replayed": false, "attempts": 1, "usd": -2.0,'
        ' "latency_s": 1.0}',
        '{"at": 1001.0, "kind": "call", "replayed": false, "attempts": 1, "usd": 0.5,'
        ' "latency_s": -1.0}',
        '{"at": 1001.0, "kind": "call", "replayed": false, "attempts": -1, "usd": 0.5,'
        ' "latency_s": 1.0}',
        '{"at": 1001.0, "kind": "begin", "variant": "a.b", "jobs": -8}',
        '{"at": 1001.0, "kind": "of another version"}',
        "[" * 100_000,
        "\0" * 100,
        '{"at": 1001.0, "ki',
    ],
)
def test_events_of_another_version_and_what_is_none_cost_no_other(
    line: str, tmp_path: Path
) -> None:
    whole = [json.dumps(event) for event in (RUN, job(1002.0), call(1003.0, 1.0))]
    path = tmp_path / "events.jsonl"
    path.write_text("\n".join([whole[0], line, *whole[1:]]) + "\n")
    after = progress(read(path), 1004.0)
    assert (after.done, after.calls, after.usd) == (1, 1, 0.5)
    assert (after.limits, of_run(read(path))) == ({}, "")
    assert list(titles(tmp_path, [path.name])) == ["events"]
    assert not after.is_over


def test_a_run_without_a_place_for_events_goes_on(
    tmp_path: Path, engine: Engine, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    events = Events(tmp_path / "file")
    jobs = ingested("crm_sim", 1)
    timing = TimingParams(jobs=0)
    rows = generate(sweep("baseline.greedy", {}), jobs, engine, Journal(), 0, timing, events)
    assert rows["status"].tolist() == ["ok"]
    assert caplog.text.count("cannot be watched") == 1


def test_what_is_left_is_reckoned_by_variant() -> None:
    plan = {"at": 1000.0, "kind": "plan", "variants": ["a.b", "c.d"], "limits": {"max_usd": 9}}
    begin = {"at": 1000.0, "kind": "begin", "variant": "a.b[n=2]", "jobs": 10}
    name = "a.b[n=2]"
    jobs = [job(1000.0 + 10 * i, name, "failed" if i == 2 else "ok") for i in range(5)]
    now = progress([RUN, plan, begin, *jobs], 1050.0)
    rows = {row["variant"]: row for row in now.variants}
    assert (rows[name]["done"], rows[name]["failed"], rows[name]["left"]) == (5, 1, 5)
    assert rows["c.d"]["left"] == 10
    assert (now.done, now.left) == (5, 15)
    assert now.rate_per_s == pytest.approx(4 / 50)
    assert now.left_s == pytest.approx(15 / (4 / 50))
    assert now.limits == {"max_usd": 9}


@pytest.mark.parametrize(
    ("more", "rate_per_s"),
    [
        ([], 4 / 50),
        ([{"kind": "steered", "change": "paused", "paused": True}], None),
        ([{"kind": "end", "error": None}], None),
        ([{"kind": "steered", "change": "resumed", "paused": False}, job(1045.0), job(1047.0)],
         1 / 5),
    ],
    ids=["at work", "paused", "over", "resumed"],
)  # fmt: skip
def test_a_run_that_stands_still_has_no_rate_and_one_that_goes_on_its_new_one(
    more: list[dict[str, object]], rate_per_s: float | None
) -> None:
    begin = {"at": 1000.0, "kind": "begin", "variant": "a.b", "jobs": 10}
    jobs = [job(1000.0 + 10 * i) for i in range(5)]
    alive = RUN | {"host": socket.gethostname(), "pid": os.getpid(),
                   "created": psutil.Process().create_time()}  # fmt: skip
    now = progress([alive, begin, *jobs, *({"at": 1042.0} | one for one in more)], 1050.0)
    assert now.rate_per_s == (rate_per_s and pytest.approx(rate_per_s))
    assert (now.left_s is None) == (rate_per_s is None)


def test_calls_are_summed_and_timed_and_replayed_ones_are_none() -> None:
    calls = [call(1000.0 + i, float(i), attempts=2) for i in range(101)]
    told = [RUN, *calls, call(1101.0, 99.0, replayed=True)]
    now = progress([*told, job(1101.0, status="failed") | {"error_type": "rate_limit"}], 1102.0)
    assert now.calls == 101
    assert now.usd == pytest.approx(50.5)
    assert now.latency_s == pytest.approx({"p50": 50, "p95": 95, "p99": 99})
    assert sum(row["retries"] for row in now.minutes) == 101
    assert sum(row["rate_limited"] for row in now.minutes) == 1
    assert progress([RUN, call(1.0, 1.0, usd=None)], 2.0).usd is None


def test_a_run_that_died_is_told_from_one_at_work_and_one_that_is_done(tmp_path: Path) -> None:
    events = Events(tmp_path)
    events.begin("a.b", 3)
    (file,) = tmp_path.iterdir()
    alive = progress(read(file), time.time())
    assert "at work" in alive.sentence
    assert alive.pid == os.getpid()
    script = (
        "from pathlib import Path; import os, sys; from ttc_bench.policies.events import Events\n"
        "Events(Path(sys.argv[1]) / 'dead').begin('a.b', 3)\n"
        "if os.fork(): os.wait(); os.kill(os.getpid(), 9)\n"
        "Events(Path(sys.argv[1]) / 'interrupted').begin('a.b', 3); sys.exit(130)"
    )
    subprocess.run([sys.executable, "-c", script, str(tmp_path)], check=False)
    for name, told in (("dead", "has died"), ("interrupted", "was interrupted")):
        (ended,) = (tmp_path / name).iterdir()
        sentence = progress(read(ended), time.time()).sentence
        assert told in sentence
        assert "same command goes on from" in sentence
    events.end("CallError")
    assert "ended" in progress(read(file), time.time()).sentence
    assert "(CallError); its terminal tells more." in progress(read(file), time.time()).sentence


def test_a_number_that_another_process_got_is_not_the_run() -> None:
    own = psutil.Process()
    assert is_alive(own.pid, own.create_time())
    assert not is_alive(own.pid, own.create_time() - 1000)


def test_what_was_read_once_is_not_read_again_and_another_file_is(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    first, second, third = (json.dumps(event) for event in (RUN, job(1.0), job(2.0)))
    file.write_text(f"{first}\n{second[:9]}")
    tail = Tail(file)
    assert tail.read() == [RUN]
    with file.open("a") as more:
        more.write(f"{second[9:]}\n\xff\n{third}\n")
    assert tail.read() == tail.read() == [RUN, job(1.0), job(2.0)] == read(file)
    file.with_suffix(".tmp").write_text(f"{third}\n" * 9)
    file.with_suffix(".tmp").replace(file)
    assert tail.read() == [job(2.0)] * 9
    file.write_text(f"{third}\n")
    assert tail.read() == [job(2.0)], "it was cut"
    file.unlink()
    with pytest.raises(OSError, match="No such file"):
        tail.read()


def test_minutes_of_two_days_stay_in_their_order_and_the_last_ones_are_told() -> None:
    midnight = 86_400.0 * 20_000
    rows = progress([RUN, *(call(midnight + 60 * n, 1.0) for n in range(-2, 2))], midnight).minutes
    told = [str(row["minute"]) for row in rows]
    assert told == sorted(told)
    assert [one[-5:] for one in told] == ["23:58", "23:59", "00:00", "00:01"]
    many = progress([RUN, *(call(midnight + 60 * n, 1.0) for n in range(500))], midnight).minutes
    assert len(many) == 120
    assert many[-1]["minute"] == "08:19"


def test_a_torn_line_is_passed_over(tmp_path: Path) -> None:
    file = tmp_path / "run.jsonl"
    file.write_text(json.dumps(RUN) + "\n[1]\nnot json\n" + json.dumps(job(1.0))[:20])
    assert read(file) == [RUN]


def test_the_page_shows_a_run_that_goes_on(copied: Path, open_page: Open) -> None:
    assert "No run has told of itself yet" in words(open_page(copied, "live"))
    events = Events(copied / "data/07_model_output/events")
    events.plan("baseline", ["baseline.greedy"], {}, run="nightly", limit=2)
    events.begin("baseline.greedy", 4)
    page = open_page(copied, "live")
    assert "at work" in words(page)
    assert "Run nightly, pipeline baseline, at most 2 questions a benchmark" in words(page)
    name = page.selectbox(key="watched").value
    assert re.fullmatch(rf"[-\d]{{10}} [:\d]{{8}} UTC, baseline, process {os.getpid()}", name)
    assert {metric.label: metric.value for metric in page.metric}["jobs done"] == "0 of 4"
    table = page.dataframe[0].value
    assert "not scored yet" in table["reward"].tolist() or "crm_sim" in table["reward"][0]
    assert "jobs a minute" in [metric.label for metric in page.metric]
    events.end()
    page = open_page(copied, "live")
    assert "is done" in words(page)
    assert not {"jobs a minute", "time left"} & {metric.label for metric in page.metric}


def test_a_sentence_of_ours_is_why_a_run_ended_and_reads_as_it_stands(
    copied: Path, open_page: Open
) -> None:
    events = Events(copied / "data/07_model_output/events")
    events.begin("baseline.greedy", 4)
    why = "stops before it passes model.max_requests (60); a *higher* limit <b>goes on</b>."
    events.end("UserError", why)
    page = open_page(copied, "live")
    assert why in words(page)
    assert "fault" not in words(page)
    heading = next(one.value for one in page.markdown if "max" in one.value)
    assert r"\*higher\*" in heading
    assert r"\<b\>" in heading


ENDED = {"at": 1005.0, "kind": "end", "error": None}


@pytest.mark.parametrize(
    ("points", "variants", "more", "is_answered"),
    [
        (1, ["a.b"], [], True),
        (None, ["a.b"], [], True),
        (2, ["a.b"], [], False),
        (2, ["a.b", "c.d"], [], False),
        (1, ["a.b"], [{"at": 1001.0, "kind": "begin", "variant": "a.c", "jobs": 1}], False),
        (1, ["a.b"], [ENDED], False),
    ],
    ids=["all", "of an earlier version", "a point to come", "a variant to come", "at work", "over"],
)
def test_that_all_answers_are_in_is_told_once_nothing_is_left_to_ask(
    points: int | None, variants: list[str], more: list[dict[str, object]], is_answered: bool
) -> None:
    plan = {"at": 1000.0, "kind": "plan", "variants": variants, "limits": {}}
    plan |= {} if points is None else {"points": points}
    begin = {"at": 1000.0, "kind": "begin", "variant": "a.b", "jobs": 2}
    now = progress([RUN, plan, begin, job(1001.0), job(1002.0), *more], 1010.0)
    assert now.is_answered == is_answered
    assert ("All answers are in" in now.sentence) == is_answered
    if is_answered:
        assert (now.rate_per_s, now.left_s) == (None, None)


def test_a_run_that_only_scores_has_neither_pace_nor_pause(copied: Path, open_page: Open) -> None:
    folder = copied / "data/07_model_output/events"
    events = Events(folder)
    events.plan("baseline", ["a.b"], {}, points=1)
    events.begin("a.b", 1)
    assert open_page(copied, "live").button(key="pause").label == "Pause"
    (file,) = folder.glob("*.jsonl")
    with file.open("a") as more:
        more.write(json.dumps(job(time.time())) + "\n")
    page = open_page(copied, "live")
    assert "All answers are in; scores and report are being made." in words(page)
    assert not page.button
    assert not {"jobs a minute", "time left"} & {metric.label for metric in page.metric}
    events.end()


def test_an_open_page_follows_the_newest_run_unless_another_is_asked_for(
    copied: Path, open_page: Open
) -> None:
    folder = copied / "data/07_model_output/events"
    open_one = open_page(copied, "live")
    assert "No run has told of itself yet" in words(open_one)
    folder.mkdir(parents=True, exist_ok=True)
    started = [f"2026-01-0{day}T00.00.00-1.jsonl" for day in (1, 2, 3)]
    names = [f"2026-01-0{day} 00:00:00 UTC, process 1" for day in (1, 2, 3)]
    for count, file in enumerate(started, start=1):
        (folder / file).write_text(json.dumps(RUN) + "\n")
        open_one.run()
        assert not open_one.exception
        assert open_one.selectbox(key="watched").value == names[count - 1]
        assert "newer run has begun" not in words(open_one)
    open_one.selectbox(key="watched").set_value(names[1]).run()
    asked = open_page(copied, "live", watched=names[0])
    (folder / "2026-01-04T00.00.00-1.jsonl").write_text(json.dumps(RUN) + "\n")
    for page, name in ((open_one, names[1]), (asked, names[0])):
        page.run()
        assert page.selectbox(key="watched").value == name
        assert "newer run has begun" in words(page)


def test_old_runs_make_room(tmp_path: Path) -> None:
    for number in range(30):
        (tmp_path / f"2020-01-01T00.00.{number:02}-1.jsonl").write_text("")
    Events(tmp_path).begin("a.b", 1)
    assert len(list(tmp_path.iterdir())) == 20


def test_durations_are_told_in_two_parts() -> None:
    assert [duration(s) for s in (0.2, 61, 3700)] == ["0 s", "1 min 1 s", "1 h 1 min"]


def test_a_run_is_paused_and_limited_from_the_page(copied: Path, open_page: Open) -> None:
    events = Events(copied / "data/07_model_output/events")
    events.plan("baseline", ["baseline.greedy"], {"max_usd": 5.0, "concurrency": 50})
    events.begin("baseline.greedy", 4)
    place = events.steering.place
    assert place is not None
    page = open_page(copied, "live")
    page.button(key="pause").click().run()
    assert not page.exception
    assert orders_in(place) == CallLimits(paused=True)
    assert page.button(key="pause").label == "Resume"
    fields = {one.key: one.placeholder for one in page.number_input}
    assert fields["concurrency"] == "as started: 50"
    assert (fields["max_usd"], fields["tokens_per_minute"]) == ("as started: 5", "as started")
    page.number_input(key="concurrency").set_value(3)
    page.number_input(key="max_usd").set_value(1.5)
    next(one for one in page.button if one.label == "Change").click().run()
    assert orders_in(place) == CallLimits(paused=True, concurrency=3, max_usd=1.5)
    events.steered(change="paused, concurrency 3", paused=True, concurrency=3, max_usd=None)
    page = open_page(copied, "live")
    assert "paused, process" in words(page)
    assert "paused, concurrency 3" in words(page)
    assert {metric.label: metric.value for metric in page.metric}["US$"] == "0 of 5"
    page.button(key="pause").click().run()
    assert orders_in(place) == CallLimits(concurrency=3, max_usd=1.5)
    place.write_text("no orders at all")
    page = open_page(copied, "live")
    assert not page.exception
    assert "no orders, such as" in words(page)
    assert "jobs done" in [metric.label for metric in page.metric], "the rest is shown"
    events.end()
    assert not open_page(copied, "live").button, "what is over is not steered"


def test_who_comes_in_without_a_password_from_elsewhere_steers_nothing(
    copied: Path, open_page: Open
) -> None:
    from streamlit import config

    Events(copied / "data/07_model_output/events").begin("baseline.greedy", 4)
    before = config.get_option("server.address")
    config.set_option("server.address", "0.0.0.0")
    try:
        page = open_page(copied, "live")
    finally:
        config.set_option("server.address", before)
    assert not page.button
    assert "without a password" in words(page)
