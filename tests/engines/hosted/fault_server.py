"""An OpenAI-compatible server of known timing that fails on demand and logs what it saw.

It runs in a process of its own, so that its load is not the client's, and ends when its standard
input closes. Times are of ``time.perf_counter``, which all processes of a machine share.

Run by hand: ``python fault_server.py`` prints its port; ``POST /control`` sets a `Plan`.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import random
import sys
import time
from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

from aiohttp import web


@dataclass
class Plan:
    """How the server behaves.

    Attributes:
        ttft_s: From the request's arrival to the first token.
        itl_s: From token to token.
        tokens: Words of an answer; the request's ``max_tokens`` cuts it.
        fault_share: Share of requests that meet one of ``faults``.
        faults: Kinds of faults, drawn evenly.
        fault_tries: Tries of one prompt and seed that can meet a fault.
        seed: Seed of the faults.
        retry_after: Value of the header of a 429; ``None`` sends none.
        hang_s: How long a hanging answer takes.
        per_second: Requests in a second beyond which it answers 429.
        most_at_once: Requests in flight beyond which it answers 429.
        key: The key it wants.
        echo_key: Whether its errors repeat the key that it was given.
        models: The models it knows; ``None`` is any.
        most_prompt: Longest prompt, in characters.
        extra_chunk: Merged into the last event (``x_groq``, ``metrics``).
        headers: Headers of every answer.
        logprobs: Whether it sends log-probabilities when asked.
        stop_text: Text that it leaves at the end of an answer.
        counters: Whose Prometheus counters it shows at ``/metrics``: ``vllm`` or ``sglang``.
        accepted: Drafted tokens that every answer accepts, by those counters.
        drafts_per_pass: Tokens drafted per verification pass.
        others: Tokens that it generates for somebody else during every answer.
        body: What it answers, as it stands, in place of an event stream of its own.
        content_type: What it calls that.
        hold_s: How long it keeps the connection open behind it.
        ignores_limit: Whether it goes on past ``max_tokens``.
        location: Where its redirects lead.
    """

    ttft_s: float = 0.0
    itl_s: float = 0.0
    tokens: int = 8
    fault_share: float = 0.0
    faults: list[str] = field(default_factory=list)
    fault_tries: int = 1000
    seed: int = 0
    retry_after: str | None = None
    hang_s: float = 30.0
    per_second: int | None = None
    most_at_once: int | None = None
    key: str | None = None
    echo_key: bool = False
    models: list[str] | None = None
    most_prompt: int | None = None
    extra_chunk: dict[str, Any] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    logprobs: bool = True
    stop_text: str = ""
    counters: str | None = None
    accepted: int = 0
    drafts_per_pass: int = 3
    others: int = 0
    body: str | None = None
    content_type: str = "text/event-stream"
    hold_s: float = 0.0
    ignores_limit: bool = False
    location: str = "http://elsewhere.example/v1"


class Server:
    """Answers chat completions as its plan says."""

    def __init__(self) -> None:
        self.plan = Plan()
        self.log: list[dict[str, Any]] = []
        self.tries: Counter[str] = Counter()
        self.here: set[int] = set()
        self.generated = self.passes = self.accepted = 0

    async def metrics(self, _: web.Request) -> web.Response:
        if self.plan.counters is None:
            return web.Response(status=404)
        tokens = {"generation_tokens_total": self.generated}
        if self.plan.counters == "vllm":
            tokens["spec_decode_num_draft_tokens_total"] = self.passes * self.plan.drafts_per_pass
            tokens["spec_decode_num_accepted_tokens_total"] = self.accepted
        else:
            tokens["spec_verify_calls_total"] = self.passes
            tokens["spec_num_draft_tokens"] = self.plan.drafts_per_pass + 1
        lines = ["# TYPE any counter", 'python_info{version="3"} 1.0']
        lines += [
            f'{self.plan.counters}:{name}{{model_name="known",engine="0"}} {float(value)}'
            for name, value in tokens.items()
        ]
        return web.Response(text="\n".join(lines) + "\n")

    async def control(self, request: web.Request) -> web.Response:
        self.plan = Plan(**{**asdict(Plan()), **await request.json()})
        # A call of an earlier plan may hang here for long yet.
        self.log, self.tries, self.here = [], Counter(), set()
        return web.json_response({})

    async def show_log(self, _: web.Request) -> web.Response:
        return web.json_response(self.log)

    async def chat(self, request: web.Request) -> web.StreamResponse:
        arrived = time.perf_counter()
        body = await request.json()
        entry = self.enter(request, body, arrived)
        self.here.add(id(request))
        try:
            refusal = self.refusal(request, body, entry)
            if refusal is not None:
                entry["status"] = refusal.status
                return refusal
            return await self.answer(request, body, entry)
        except ConnectionResetError:
            entry["gone"] = True
            return web.Response()
        finally:
            self.here.discard(id(request))
            entry["left"] = time.perf_counter()

    def enter(self, request: web.Request, body: dict[str, Any], arrived: float) -> dict[str, Any]:
        what = json.dumps(
            [body["messages"], body.get("seed"), body["model"], body.get("max_tokens")]
        )
        identity = hashlib.sha256(what.encode()).hexdigest()[:16]
        self.tries[identity] += 1
        entry = {
            "identity": identity,
            "try": self.tries[identity],
            "arrived": arrived,
            "inside": len(self.here) + 1,
            "model": body["model"],
            "parameters": {k: v for k, v in body.items() if k != "messages"},
            "own_header": request.headers.get("X-Own"),
            "path": request.path,
            "last_role": body["messages"][-1]["role"],
            "peer": request.transport.get_extra_info("peername")[1] if request.transport else None,
            "status": 200,
            "fault": self.fault(identity),
            "marks": [],
            "done": False,
        }
        self.log.append(entry)
        return entry

    def fault(self, identity: str) -> str | None:
        plan, number = self.plan, self.tries[identity]
        dice = random.Random(f"{plan.seed}/{identity}/{number}")
        if not plan.faults or number > plan.fault_tries or dice.random() >= plan.fault_share:
            return None
        return dice.choice(plan.faults)

    def refusal(
        self, request: web.Request, body: dict[str, Any], entry: dict[str, Any]
    ) -> web.Response | None:
        plan, given = self.plan, request.headers.get("Authorization", "")
        if plan.key is not None and given != f"Bearer {plan.key}":
            message = f"Incorrect API key provided: {given}. You can find yours at example.org."
            return error(401, message, "invalid_api_key")
        if plan.models is not None and body["model"] not in plan.models:
            message = f"The model `{body['model']}` does not exist"
            return error(404, message, "model_not_found")
        size = sum(len(m["content"]) for m in body["messages"])
        if plan.most_prompt is not None and size > plan.most_prompt:
            message = f"This model's maximum context length is {plan.most_prompt} tokens."
            return error(400, message, "context_length_exceeded")
        if self.is_too_much() or entry["fault"] == "429":
            headers = {"Retry-After": plan.retry_after} if plan.retry_after else {}
            return error(429, "Rate limit reached", "rate_limit_exceeded", headers)
        if entry["fault"] == "500":
            about = f" while serving {given}" if plan.echo_key else ""
            return error(500, f"The server had an error{about}", "server_error")
        return page(entry["fault"] or "", plan)

    def is_too_much(self) -> bool:
        plan, now = self.plan, time.perf_counter()
        if plan.most_at_once is not None and len(self.here) > plan.most_at_once:
            return True
        if plan.per_second is None:
            return False
        recent = [e for e in self.log[-4 * plan.per_second :] if now - e["arrived"] < 1.0]
        return sum(e["status"] == 200 for e in recent) > plan.per_second

    async def answer(
        self, request: web.Request, body: dict[str, Any], entry: dict[str, Any]
    ) -> web.StreamResponse:
        plan, fault = self.plan, entry["fault"]
        response = web.StreamResponse(headers={"Content-Type": plan.content_type, **plan.headers})
        await response.prepare(request)
        if plan.body is not None:
            await response.write(plan.body.encode("utf-8", "surrogatepass"))
            await asyncio.sleep(plan.hold_s)
            entry["done"] = True
            return response
        if fault == "hang":
            await asyncio.sleep(plan.hang_s)
        words = self.words(body, entry["identity"])
        if fault == "empty":
            await response.write(b"data: " + json.dumps({"choices": []}).encode() + b"\n\n")
            await response.write(b"data: [DONE]\n\n")
            return response
        await response.write(event({"delta": {"role": "assistant", "content": ""}}))
        itl_s = max(plan.itl_s, 0.05) if fault == "slow" else plan.itl_s
        for i, word in enumerate(words):
            due = entry["arrived"] + plan.ttft_s + i * itl_s
            if due > time.perf_counter():
                await asyncio.sleep(due - time.perf_counter())
            if fault in ("cut", "malformed", "error") and i == len(words) // 2:
                return await self.spoil(request, response, fault)
            choice: dict[str, Any] = {"delta": {"content": word}}
            if plan.logprobs and body.get("logprobs"):
                choice["logprobs"] = {"content": [{"token": word, "logprob": -0.25}]}
            entry["marks"].append(time.perf_counter())
            await response.write(event(choice))
        await self.end(response, body, entry, len(words))
        return response

    async def spoil(
        self, request: web.Request, response: web.StreamResponse, fault: str
    ) -> web.StreamResponse:
        if fault == "malformed":
            await response.write(b'data: {"choices": [{"delta": {"con\n\n')
        elif fault == "error":
            await response.write(b'data: {"error": {"message": "engine died", "code": 500}}\n\n')
        elif request.transport is not None:
            request.transport.abort()
        return response

    async def end(
        self, response: web.StreamResponse, body: dict[str, Any], entry: dict[str, Any], count: int
    ) -> None:
        reason = "length" if count == body.get("max_tokens") else "stop"
        prompt = sum(len(m["content"].split()) for m in body["messages"])
        usage = {
            "prompt_tokens": prompt,
            "completion_tokens": count,
            "total_tokens": prompt + count,
        }
        if entry["fault"] == "wrong_usage":
            usage = {"prompt_tokens": 0, "completion_tokens": -3, "total_tokens": "many"}  # type: ignore[dict-item]
        await response.write(event({"delta": {}, "finish_reason": reason}))
        last = {"choices": [], "usage": usage, **self.plan.extra_chunk}
        await response.write(b"data: " + json.dumps(last).encode() + b"\n\n")
        await response.write(b"data: [DONE]\n\n")
        entry["done"] = True
        self.generated += count + self.plan.others
        self.accepted += self.plan.accepted
        self.passes += count - 1 - self.plan.accepted

    def words(self, body: dict[str, Any], identity: str) -> list[str]:
        dice = random.Random(identity)
        texts = [f"{'' if i == 0 else ' '}w{dice.randrange(1000)}" for i in range(self.plan.tokens)]
        if self.plan.stop_text:
            texts.append(self.plan.stop_text)
        if self.plan.ignores_limit:
            return texts
        return texts[: body.get("max_tokens") or body.get("max_completion_tokens")]


def event(choice: dict[str, Any]) -> bytes:
    data = {"object": "chat.completion.chunk", "choices": [{"index": 0, **choice}]}
    return b"data: " + json.dumps(data).encode() + b"\n\n"


def error(
    status: int, message: str, code: str, headers: dict[str, str] | None = None
) -> web.Response:
    body = {"error": {"message": message, "type": code, "code": code}}
    return web.json_response(body, status=status, headers=headers)


def page(fault: str, plan: Plan) -> web.Response | None:
    """The page of a proxy for a fault that is a status; one of 300 to 399 sends elsewhere."""
    if not fault.isdigit():
        return None
    headers = {"Location": plan.location} if fault.startswith("3") else {}
    headers |= {"Retry-After": plan.retry_after} if plan.retry_after else {}
    text = f"<html>not {fault}</html>"
    return web.Response(status=int(fault), text=text, content_type="text/html", headers=headers)


async def serve() -> None:
    server = Server()
    app = web.Application()
    app.router.add_post("/control", server.control)
    app.router.add_get("/log", server.show_log)
    app.router.add_get("/metrics", server.metrics)
    for path in ("/v1/chat/completions", "/v1/messages", "/elsewhere/chat/completions"):
        app.router.add_post(path, server.chat)
    # A handler that still holds its connection open must not hold up the end of the tests.
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, backlog=1024)
    await site.start()
    print(runner.addresses[0][1], flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    await runner.cleanup()


if __name__ == "__main__":
    asyncio.run(serve())
