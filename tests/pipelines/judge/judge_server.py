"""An OpenAI-compatible server whose models judge by rules, so that what they say can be foretold.

The model's name says how it judges: ``fair`` looks whether a response ends with the reference
answer, ``first`` prefers what is shown first and grades everything 5, ``rambling`` keeps to no
form, ``failing`` answers nothing. It prints its port, and ends when its standard input closes.
"""

from __future__ import annotations

import asyncio
import json
import re
import sys
from typing import Any

from aiohttp import web

LOG: list[dict[str, Any]] = []


def part(prompt: str, name: str) -> str:
    """Return a part of the prompt between its marks."""
    found = re.search(rf"\[{name}\]\n(.*?)\n\[End of {name}\]", prompt, re.DOTALL | re.IGNORECASE)
    assert found is not None, name
    return found.group(1)


def reply(model: str, prompt: str) -> str:
    """Return what a model says to a request for grades or for a verdict."""
    if model == "rambling":
        return "I like [[A]], or is it [[B]]? correctness: good"
    if "[Request]" in prompt:
        return "Yes." if model == "first" or "cannot share" in part(prompt, "Answer") else "NO"
    gold = part(prompt, "Reference answer")
    if "[Response A]" not in prompt:
        right = model == "first" or part(prompt, "Response").endswith(gold)
        return f"Let me see.\ncorrectness: {5 if right else 1}\nclarity: {5 if right else 3}"
    right_a, right_b = (part(prompt, f"Response {x}").endswith(gold) for x in "AB")
    if model == "first":
        return "The first.\n[[A]]"
    return f"Let me see.\n[[{'C' if right_a == right_b else 'A' if right_a else 'B'}]]"


async def chat(request: web.Request) -> web.StreamResponse:
    body = await request.json()
    (message,) = body["messages"]
    LOG.append({key: body.get(key) for key in ("model", "temperature", "max_tokens", "stop")})
    if body["model"] == "failing":
        return web.json_response({"error": {"message": "no", "code": "overloaded"}}, status=500)
    words = reply(body["model"], message["content"])
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
    for event in (
        {"choices": [{"index": 0, "delta": {"content": words}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": usage},
    ):
        await response.write(b"data: " + json.dumps(event).encode() + b"\n\n")
    await response.write(b"data: [DONE]\n\n")
    return response


async def take_log(_: web.Request) -> web.Response:
    taken = list(LOG)
    LOG.clear()
    return web.json_response(taken)


async def serve() -> None:
    app = web.Application()
    app.router.add_get("/log", take_log)
    app.router.add_post("/v1/chat/completions", chat)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
