"""A server whose timing is known to the millisecond, as light as Python allows.

The aiohttp server of ``fault_server.py`` takes half a millisecond per request: fifty that arrive
together wait for one another, and its log would not know. This one speaks just enough HTTP.

It logs, per request, when its bytes arrived and when each token was written; ``GET /log`` returns
the log and empties it. Run by hand: ``python timed_server.py TTFT_S ITL_S TOKENS`` prints its port.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
import time
from collections.abc import Callable
from typing import Any

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n"


class Timed(asyncio.Protocol):
    """One connection; a request is answered by timers.

    Args:
        ttft_s: Mean time to the first token; each request draws its own from +-40%, which keeps
            the requests from marching in step.
        itl_s: Time between tokens.
        tokens: Tokens of an answer.
        log: Where requests are noted.
    """

    def __init__(self, ttft_s: float, itl_s: float, tokens: int, log: list[dict[str, Any]]) -> None:
        self.ttft_s, self.itl_s, self.tokens, self.log = ttft_s, itl_s, tokens, log
        self.received = b""
        self.arrived = 0.0
        self.loop = asyncio.get_running_loop()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        if not self.received:
            self.arrived = time.perf_counter()
        self.received += data
        head, separator, body = self.received.partition(b"\r\n\r\n")
        if not separator:
            return None
        if head.startswith(b"GET"):
            self.received = b""
            return self.show_log()
        length = int(head.lower().partition(b"content-length:")[2].split(b"\r\n")[0])
        if len(body) < length:
            return None
        self.received = b""
        return self.answer(json.loads(body))

    def answer(self, body: dict[str, Any]) -> None:
        prompt = body["messages"][-1]["content"]
        entry = {"prompt": prompt, "arrived": self.arrived, "marks": []}
        self.log.append(entry)
        first = self.arrived + self.ttft_s * random.Random(prompt).uniform(0.6, 1.4)
        if not body.get("stream"):
            return self.answer_whole(first)
        self.transport.write(HEAD + chunk({"delta": {"role": "assistant", "content": ""}}))
        for i in range(self.tokens):
            at = self.loop.time() + first + i * self.itl_s - time.perf_counter()
            self.loop.call_at(at, self.write_token, entry, i + 1 == self.tokens)
        return None

    def answer_whole(self, first: float) -> None:
        """Answer a request that does not stream: all at once, when its last token is due."""
        message = {"role": "assistant", "content": " word" * self.tokens}
        data = {
            "id": "any",
            "object": "chat.completion",
            "created": 0,
            "model": "timed",
            "choices": [{"index": 0, "message": message, "finish_reason": "length"}],
            "usage": {"prompt_tokens": 9, "completion_tokens": self.tokens, "total_tokens": 9},
        }
        body = json.dumps(data).encode()
        head = f"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {len(body)}"
        at = self.loop.time() + first + (self.tokens - 1) * self.itl_s - time.perf_counter()
        self.loop.call_at(at, self.transport.write, head.encode() + b"\r\n\r\n" + body)

    def write_token(self, entry: dict[str, Any], is_last: bool) -> None:
        entry["marks"].append(time.perf_counter())
        self.transport.write(WORD)
        if is_last:
            usage = {"prompt_tokens": 9, "completion_tokens": self.tokens}
            self.transport.write(
                chunk({"delta": {}, "finish_reason": "length"})
                + framed(b"data: " + json.dumps({"choices": [], "usage": usage}).encode() + b"\n\n")
                + framed(b"data: [DONE]\n\n")
                + b"0\r\n\r\n"
            )

    def show_log(self) -> None:
        body = json.dumps(self.log).encode()
        self.log.clear()
        length = str(len(body)).encode()
        self.transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: " + length + b"\r\n\r\n" + body)


def framed(data: bytes) -> bytes:
    return f"{len(data):x}\r\n".encode() + data + b"\r\n"


def chunk(choice: dict[str, Any]) -> bytes:
    data = {"object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
    return framed(b"data: " + json.dumps(data).encode() + b"\n\n")


WORD = chunk({"delta": {"content": " word"}})


async def serve(make: Callable[[], Timed]) -> None:
    server = await asyncio.get_running_loop().create_server(make, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    server.close()


if __name__ == "__main__":
    ttft_s, itl_s, tokens = float(sys.argv[1]), float(sys.argv[2]), int(sys.argv[3])
    log: list[dict[str, Any]] = []
    asyncio.run(serve(lambda: Timed(ttft_s, itl_s, tokens, log)))
