"""How long to wait is read in every form that providers write it in."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import formatdate

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from ttc_bench.engines.hosting.failures import retry_after_s
from ttc_bench.engines.hosting.reported import pause_s
from ttc_bench.engines.hosting.waits import wait_s


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0),
        (" 0.5 ", 0.5),
        ("30s", 30.0),
        ("1m30s", 90.0),
        ("1m 30s", 90.0),
        ("2m59.56s", 179.56),
        ("6h0m0s", 21600.0),
        ("7.66s", 7.66),
        ("1h2m", 3720.0),
        ("120ms", 0.12),
        ("5, 5", 5.0),
        ("1d", 86400.0),
    ],
)
def test_spans(text: str, seconds: float) -> None:
    assert wait_s(text) == pytest.approx(seconds)
    assert retry_after_s({"retry-after": text}) == pytest.approx(seconds)


@pytest.mark.parametrize(
    "told",
    [
        str,
        lambda at: str(int(1000 * at)),
        lambda at: formatdate(at, usegmt=True),
        lambda at: formatdate(at, localtime=True),
        lambda at: datetime.fromtimestamp(at, UTC).isoformat(),
        lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        lambda at: datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S"),
    ],
)
def test_moments(told: Callable[[float], str]) -> None:
    assert retry_after_s({"retry-after": told(time.time() + 60)}) == pytest.approx(60, abs=2)
    assert retry_after_s({"retry-after": told(time.time() - 60)}) is None


def test_openais_milliseconds_go_before_seconds() -> None:
    assert retry_after_s({"retry-after-ms": "250", "retry-after": "1"}) == 0.25
    assert retry_after_s({"retry-after-ms": "soon", "retry-after": "1"}) == 1
    assert retry_after_s({"retry-after": "later"}) is None
    assert retry_after_s({}) is None


@given(st.text())
@example("9" * 5000)
@example("1e999")
@example("0001-01-01")
@example("Mon, 01 Jan 0000 00:00:00 -9999")
@example("9" * 400 + "h")
def test_whatever_stands_there_is_a_wait_or_none(text: str) -> None:
    seconds = wait_s(text)
    assert seconds is None or 0 < seconds < math.inf


@pytest.mark.parametrize(
    ("left", "reset", "pause"),
    [
        ("0", "20s", 20.0),
        ("0.0", "20", 20.0),
        (" 0", "20", 20.0),
        ("-1", "20", None),
        ("", "20", None),
        ("many", "20", None),
        ("9" * 5000, "20", None),
        ("²", "20", None),
        ("0", "", None),
        ("0", "soon", None),
        ("0", None, None),
        (None, "20", None),
    ],
)
def test_a_limit_that_is_used_up_holds_calls_back(
    left: str | None, reset: str | None, pause: float | None
) -> None:
    for unit in ("requests", "tokens"):
        told = {f"x-ratelimit-remaining-{unit}": left, f"x-ratelimit-reset-{unit}": reset}
        headers = {name: value for name, value in told.items() if value is not None}
        assert pause_s(headers, 1) == pause


def test_the_longer_wait_of_two_limits_holds() -> None:
    headers = {
        "x-ratelimit-remaining-requests": "0",
        "x-ratelimit-reset-requests": "2s",
        "x-ratelimit-remaining-tokens": "10",
        "x-ratelimit-reset-tokens": "7s",
    }
    assert pause_s(headers, 50) == 7.0
    assert pause_s(headers, 10) == 2.0
    assert pause_s({**headers, "x-ratelimit-limit-tokens": "5"}, 50) == 2.0, "it never fits"
