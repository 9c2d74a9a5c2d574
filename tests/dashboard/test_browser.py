"""The dashboard as it is served, in a real browser; skipped where there is no chromium."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import aiohttp
import pytest
from tests.conftest import ROOT

from ttc_bench.ratings.store import Ratings

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="there is no chromium to drive")

PATIENCE_S = 120.0


@pytest.fixture
def served(copied: Path) -> Iterator[tuple[str, Path]]:
    """The dashboard of a project that a test may change."""
    with served_at(copied) as address:
        yield address, copied


@contextlib.contextmanager
def served_at(project: Path) -> Iterator[str]:
    """Serve the dashboard of a project, started as a user does; gives its address."""
    shutil.copytree(ROOT / ".streamlit", project / ".streamlit", dirs_exist_ok=True)
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "kedro", "dashboard", f"--port={port}"]
    server = subprocess.Popen(command, cwd=project, stdout=subprocess.DEVNULL)
    address = f"http://localhost:{port}"
    try:
        _wait_for(lambda: urlopen(f"{address}/_stcore/health").status == 200)
        yield address
    finally:
        server.terminate()
        server.wait(30)


def _wait_for(is_so: Any) -> None:
    end = time.monotonic() + PATIENCE_S
    while True:
        with contextlib.suppress(OSError):
            if is_so():
                return
        assert time.monotonic() < end
        time.sleep(0.5)


class Tab:
    """A tab of the browser, by its DevTools protocol."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket, self._ids = socket, itertools.count(1)

    async def call(self, method: str, **params: Any) -> dict[str, Any]:
        number = next(self._ids)
        await self._socket.send_str(json.dumps({"id": number, "method": method, "params": params}))
        while True:
            answer = json.loads((await self._socket.receive()).data)
            if answer.get("id") == number:
                return dict(answer.get("result", {}))

    async def text(self) -> str:
        answer = await self.call("Runtime.evaluate", expression="document.body.innerText")
        return str(answer["result"].get("value"))

    async def shows(
        self, *words: str, after: str | Callable[[], Awaitable[None]] | None = None
    ) -> None:
        """Wait until the page says all of these words; nothing went wrong by then.

        Args:
            words: What it is to say.
            after: What is clicked, or done, for it, again where the page was still being made.
        """
        if isinstance(after, str):
            after = partial(self.click, after)
        end, clicked = time.monotonic() + PATIENCE_S, 0.0
        while True:
            if after is not None and time.monotonic() - clicked > 8:
                await after()
                clicked = time.monotonic()
            await asyncio.sleep(0.1)
            text = await self.text()
            assert "Traceback" not in text
            assert "could not be made" not in text
            if all(word in text for word in words):
                return
            assert time.monotonic() < end, " | ".join(text.split("\n\n"))

    async def press(self, sign: str, name: str | None = None) -> None:
        """Press a key.

        Args:
            sign: What it writes.
            name: What it is called, where that is not what it writes.
        """
        for kind in ("keyDown", "keyUp"):
            await self.call(
                "Input.dispatchKeyEvent", type=kind, key=name or sign, code=name or f"Digit{sign}",
                text=sign, windowsVirtualKeyCode=ord(sign),
            )  # fmt: skip

    async def click(self, text: str) -> None:
        """Click what bears just this text."""
        script = f"""[...document.querySelectorAll('button, a, p, span, li')].filter(
            one => one.innerText && one.innerText.trim() === {json.dumps(text)}).pop().click()"""
        await self.call("Runtime.evaluate", expression=script)


@contextlib.asynccontextmanager
async def browser(folder: Path, tabs: int = 1) -> AsyncIterator[Sequence[Tab]]:
    """Open tabs of a browser, each of which believes that it is looked at."""
    command = [str(CHROMIUM), "--headless=new", "--no-sandbox", "--disable-gpu",
               "--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]  # fmt: skip
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)
    assert process.stderr is not None
    try:
        line = next(line for line in process.stderr if "DevTools listening" in line)
        port = re.search(r":(\d+)/", line)
        assert port
        root = f"http://127.0.0.1:{port[1]}/json"
        async with contextlib.AsyncExitStack() as stack:
            session = await stack.enter_async_context(aiohttp.ClientSession())
            opened = []
            for _ in range(tabs):
                with urlopen(Request(f"{root}/new?about:blank", method="PUT")) as page:
                    address = json.load(page)["webSocketDebuggerUrl"]
                socket = await stack.enter_async_context(
                    session.ws_connect(address, max_msg_size=0)
                )
                opened.append(Tab(socket))
                await opened[-1].call("Emulation.setFocusEmulationEnabled", enabled=True)
            yield opened
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


async def _visit(address: str, project: Path, folder: Path) -> None:
    from ttc_bench.policies.events import Events

    async with browser(folder, tabs=2) as (tab, other):
        await tab.call("Page.navigate", url=f"{address}/?benchmark=crm_sim")
        await tab.shows("Quality against cost", "Mean reward, at least", "baseline.greedy")
        await tab.shows("easy:", "hard:", after="Difficulty")
        await tab.shows("Metrics", "Policies", after="Compare")
        await tab.shows("Each point is a variant", after="Plots")
        await tab.shows("What was asked", "Why it has its score", after="Answers")
        events = Events(project / "data/07_model_output/events")
        events.begin("baseline.greedy", 3)
        await tab.shows("at work", "0 of 3", after="Live")
        events.end()
        # By itself: nobody reloads the page.
        await tab.shows("The run is done")
        raters = {"ann": tab, "bo": other}
        await asyncio.gather(*(_judge(one, address, name) for name, one in raters.items()))


PAIRS = 20


async def _judge(tab: Tab, address: str, rater: str) -> None:
    """Judge pairs by keys alone."""
    await tab.call("Page.navigate", url=f"{address}/judge?rater={rater}")
    await tab.shows("0 judged by you.", "Left is better")
    for count in range(PAIRS):
        key = "1234"[count % 4]
        await tab.shows(f"{count + 1} judged by you.", after=partial(tab.press, key))


def test_every_page_is_shown_and_a_run_is_seen_to_end(
    served: tuple[str, Path], tmp_path: Path
) -> None:
    asyncio.run(_visit(*served, tmp_path / "browser"))
    rows = Ratings(f"sqlite:///{served[1]}/data/ratings.db").rows()
    assert rows["rater"].value_counts().to_dict() == {"ann": PAIRS, "bo": PAIRS}
    pairs = rows.apply(lambda row: (row["job_id"], frozenset((row["left"], row["right"]))), axis=1)
    assert not rows.assign(pair=pairs).duplicated(["rater", "pair"]).any()
    assert rows["preference"].value_counts().eq(2 * PAIRS / 4).all()
