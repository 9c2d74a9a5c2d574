"""The server that the hosted engine is tested against."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.request import Request as HttpRequest
from urllib.request import urlopen

import pytest

from ttc_bench.engines.hosted import HostedEngine, HostedModels


class FaultServer:
    """The server of ``fault_server.py`` in a process of its own."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / "fault_server.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdout is not None
        self.root = f"http://127.0.0.1:{int(self._process.stdout.readline())}"
        self.api_base = f"{self.root}/v1"
        self.messages = f"{self.root}/v1/messages"

    def plan(self, **changes: Any) -> None:
        """Set how the server behaves, and empty its log."""
        body = json.dumps(changes).encode()
        with urlopen(HttpRequest(f"{self.root}/control", data=body), timeout=120):
            pass

    def log(self) -> list[dict[str, Any]]:
        """Return what the server saw, request by request."""
        with urlopen(f"{self.root}/log", timeout=30) as answer:
            entries = json.load(answer)
        assert isinstance(entries, list)
        return entries

    def engine(self, **settings: Any) -> HostedEngine:
        """Return an engine on this server."""
        given = {"target": "openai/known", "api_base": self.api_base, **settings}
        return HostedEngine(HostedModels(**given))

    def stop(self) -> None:
        """End the process: it has nothing to put in order. Of killed tests its input ends it."""
        self._process.kill()
        self._process.communicate()


@pytest.fixture(scope="session")
def fault_server() -> Iterator[FaultServer]:
    """One server for all tests: each sets its own plan."""
    server = FaultServer()
    yield server
    server.stop()


@pytest.fixture
def server(fault_server: FaultServer) -> FaultServer:
    """The server, well-behaved and with an empty log."""
    fault_server.plan()
    return fault_server
