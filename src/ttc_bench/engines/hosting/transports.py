"""How a request travels: read here event by event, or by LiteLLM."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlsplit

from ttc_bench.engines.base import Request
from ttc_bench.engines.hosting import failures
from ttc_bench.engines.hosting.answer import Answer, EventError
from ttc_bench.engines.hosting.endpoint import Endpoint
from ttc_bench.engines.hosting.library import litellm, staying
from ttc_bench.engines.hosting.limits import PerLoop
from ttc_bench.engines.hosting.sse import BodyReader
from ttc_bench.errors import UserError

if TYPE_CHECKING:
    import aiohttp

_DECODER = json.JSONDecoder()
_CONNECT_S = 15.0
_END, _LONGEST_END = b"[DONE]", 16
_END_S = 1.0
"""How long a connection may take to close the stream after its last event."""

_LONGEST_PAGE, _PAGE_S = 65536, 2.0
"""Bytes of a refusal that are read, and how long they may take."""


@dataclass(frozen=True)
class Timeouts:
    """How long to wait, in seconds.

    Attributes:
        total_s: For a whole answer.
        idle_s: For the next bytes within an answer.
        first_s: For its first token, the server's queue included.
    """

    total_s: float
    idle_s: float
    first_s: float = math.inf

    def next_s(self, answer: Answer) -> float:
        """Return how long to wait for what comes next.

        Of a whole answer only its counts and the end of its stream are missing, which servers
        send at once, or never.
        """
        if answer.is_whole:
            return min(_END_S, self.idle_s)
        return self.idle_s if answer.has_tokens else self.first_s


class Transport(Protocol):
    """Carries one try of one sample."""

    async def ask(
        self, request: Request, seed: int, answer: Answer, sent: Callable[[float], None]
    ) -> None:
        """Fill ``answer`` with what comes back.

        Args:
            request: The request.
            seed: Seed of the sample.
            answer: Filled as it comes, and readable if this raises.
            sent: Told the moment at which the request leaves.

        Raises:
            TryError: If no whole answer came.
        """
        ...

    async def close(self) -> None:
        """Release what is bound to the running event loop."""
        ...


class Direct(Transport):
    """Reads the event stream of an OpenAI-compatible endpoint over one pooled session.

    Args:
        endpoint: The endpoint.
        timeouts: How long to wait.
    """

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        self._endpoint = endpoint
        self._timeouts = timeouts
        self._session = PerLoop(self._open)
        self._templates: dict[str, dict[str, Any]] = {}
        self._proxy = _proxy(endpoint.url or "")

    async def ask(
        self, request: Request, seed: int, answer: Answer, sent: Callable[[float], None]
    ) -> None:
        """Send the request and read its events; see `Transport.ask`.

        Raises:
            TryError: If no whole answer came.
        """
        import aiohttp

        def leaves() -> None:
            answer.sent_s = time.perf_counter()
            sent(answer.sent_s)

        endpoint = self._endpoint
        assert endpoint.url is not None
        try:
            async with (
                asyncio.timeout(self._timeouts.first_s) as limit,
                self._session.get().post(
                    endpoint.url,
                    data=self._body(request, seed),
                    headers=endpoint.headers,
                    proxy=self._proxy,
                    allow_redirects=False,
                    trace_request_ctx=leaves,
                ) as response,
            ):
                answer.status, answer.headers = response.status, response.headers
                await self._read(response, answer, limit)
        except EventError as error:
            raise failures.from_event(error.error, endpoint.provider, endpoint.model) from error
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if not answer.is_whole:
                raise failures.from_network(error, answer.began) from error

    async def close(self) -> None:
        """Close the connections of the running event loop."""
        session = self._session.pop()
        if session is not None:
            await session.close()

    async def _read(
        self, response: aiohttp.ClientResponse, answer: Answer, limit: asyncio.Timeout
    ) -> None:
        endpoint, content = self._endpoint, response.content
        if not answer.began:
            # What is asked of the first token is not asked of a refusal's end.
            limit.reschedule(asyncio.get_running_loop().time() + 2 * _PAGE_S)
            body = await _page(content)
            raise failures.from_status(
                response.status, body, response.headers, endpoint.provider, endpoint.model
            )
        loop, reader = asyncio.get_running_loop(), BodyReader(response.content_type)
        while chunk := await content.readany():
            for data in reader.feed(chunk):
                if _is_end(data):
                    answer.ended = True
                    break
                for event in _events(data, answer):
                    answer.take(event, time.perf_counter())
            if answer.ended or answer.cut_off:
                break
            limit.reschedule(loop.time() + self._timeouts.next_s(answer))
        for data in reader.rest():
            for event in _events(data, answer):
                answer.take(event, time.perf_counter())
        if answer.ended:
            await _drain(content)

    def _body(self, request: Request, seed: int) -> bytes:
        endpoint = self._endpoint
        body = {**self._template(request), "messages": endpoint.messages(request.messages)}
        if request.sampling.temperature > 0 and "seed" in endpoint.supported:
            body["seed"] = seed
        return json.dumps({**body, **endpoint.extras(request)}).encode()

    def _template(self, request: Request) -> dict[str, Any]:
        """Return the body without its messages, as LiteLLM would send it."""
        parameters = self._endpoint.parameters(request)
        key = json.dumps(parameters)
        if key not in self._templates:
            self._templates[key] = _litellm_body(self._endpoint, parameters)
        return self._templates[key]

    def _open(self) -> aiohttp.ClientSession:
        import aiohttp

        async def headers_sent(_: Any, context: SimpleNamespace, __: Any) -> None:
            context.trace_request_ctx()

        trace = aiohttp.TraceConfig()
        trace.on_request_headers_sent.append(headers_sent)
        return aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, ssl=_ssl(self._endpoint.url or "")),
            timeout=aiohttp.ClientTimeout(
                total=self._timeouts.total_s,
                sock_connect=_CONNECT_S,
            ),
            trace_configs=[trace],
            cookie_jar=aiohttp.DummyCookieJar(),
        )


class ByLiteLLM(Transport):
    """Lets LiteLLM make the call: for providers with protocols of their own.

    Its stream costs about half a millisecond of CPU per token, which bends timings once many
    streams run side by side; results say so in their ``engine`` column.

    Args:
        endpoint: The endpoint.
        timeouts: How long to wait.
    """

    def __init__(self, endpoint: Endpoint, timeouts: Timeouts) -> None:
        self._endpoint = endpoint
        self._timeouts = timeouts

    async def ask(
        self, request: Request, seed: int, answer: Answer, sent: Callable[[float], None]
    ) -> None:
        """Call LiteLLM and read its chunks; see `Transport.ask`.

        Raises:
            TryError: If no whole answer came.
        """
        endpoint, parameters = self._endpoint, self._endpoint.parameters(request)
        if request.sampling.temperature > 0 and "seed" in endpoint.supported:
            parameters["seed"] = seed
        answer.sent_s = time.perf_counter()
        sent(answer.sent_s)
        try:
            with staying():
                async with asyncio.timeout(self._timeouts.total_s):
                    await self._stream(request, parameters, answer)
        except EventError as error:
            raise failures.from_event(error.error, endpoint.provider, endpoint.model) from error
        except failures.TryError:
            raise
        except TimeoutError as error:
            if not answer.is_whole:
                raise failures.from_network(error, answer.began) from error
        except Exception as error:  # LiteLLM's own classes and whatever its providers raise
            if not answer.is_whole:
                raise failures.from_litellm(error) from error

    async def _stream(
        self, request: Request, parameters: Mapping[str, Any], answer: Answer
    ) -> None:
        import httpx

        endpoint, loop = self._endpoint, asyncio.get_running_loop()
        async with asyncio.timeout(self._timeouts.first_s) as limit:
            stream = await litellm().acompletion(
                model=endpoint.name,
                messages=endpoint.messages(request.messages),
                api_base=endpoint.address,
                # OpenAI's client refuses to be without one, whatever the server wants.
                api_key=endpoint.key or "none",
                stream=True,
                timeout=httpx.Timeout(self._timeouts.total_s, connect=_CONNECT_S),
                max_retries=0,
                extra_body=endpoint.extras(request) or None,
                extra_headers=endpoint.headers or None,
                **parameters,
            )
            answer.status = 200
            async for chunk in stream:
                answer.take(chunk.model_dump(), time.perf_counter())
                if answer.cut_off:
                    break
                limit.reschedule(loop.time() + self._timeouts.next_s(answer))
        if not any(getattr(chunk, "usage", None) for chunk in stream.chunks):
            # Where the provider sends no usage, LiteLLM puts a guess in its place.
            answer.usage.forget()
        if (counts := answer.usage.counts()) is not None and not counts.reasoning:
            # LiteLLM fills in zeros for what was not told.
            answer.usage.forget("reasoning")
        answer.ended = not answer.cut_off

    async def close(self) -> None:
        """Close LiteLLM's clients of the running event loop."""
        closing = getattr(litellm(), "close_litellm_async_clients", None)
        if closing is not None:
            with contextlib.suppress(Exception):  # best effort: nothing of ours depends on it
                await closing()


def _is_end(data: bytes) -> bool:
    return len(data) < _LONGEST_END and data.strip() == _END


def _events(data: bytes, answer: Answer) -> Iterator[Mapping[str, Any]]:
    """Yield the events in the data of one: several where no blank line stood between them."""
    if not data.strip() or data.strip() == b"null":
        return  # It keeps the connection open.
    lines = data.split(b"\n")
    if len(lines) == 1 or not all(line.startswith(b"{") or _is_end(line) for line in lines):
        yield _event(data, answer)
        return
    for line in lines:
        if not _is_end(line):
            yield _event(line, answer)
        else:
            answer.ended = True


def _event(data: bytes, answer: Answer) -> Mapping[str, Any]:
    try:
        text = data.decode()
    except UnicodeDecodeError:
        text = data.decode(errors="replace")
        answer.facts["sanitised"] = "bytes that are no UTF-8 were replaced"
    try:
        # As json.loads, which looks for white space twice: half the time.
        text = text.strip()
        event, end = _DECODER.raw_decode(text)
        if end != len(text):
            raise ValueError("there is more than one value")
    except (ValueError, RecursionError) as error:
        raise failures.TryError(
            "malformed", f"an event is not JSON: {data[:80]!r}", retryable=True
        ) from error
    if not isinstance(event, dict):
        raise failures.TryError(
            "malformed", f"an event is no object: {data[:80]!r}", retryable=True
        )
    return event


async def _page(content: aiohttp.StreamReader) -> str:
    """Return the body of a refusal, as far as it comes at once: its status says most of it."""
    import aiohttp

    page = b""
    with contextlib.suppress(aiohttp.ClientError, TimeoutError, OSError):
        async with asyncio.timeout(_PAGE_S):
            while len(page) < _LONGEST_PAGE and (chunk := await content.readany()):
                page += chunk
    return page[:_LONGEST_PAGE].decode(errors="replace")


async def _drain(content: aiohttp.StreamReader) -> None:
    """Read to the end of the body, so that its connection can be used again."""
    if content.at_eof():
        return
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(_END_S):
            while await content.readany():
                pass


def _litellm_body(endpoint: Endpoint, parameters: Mapping[str, Any]) -> dict[str, Any]:
    from litellm.types.utils import LlmProviders
    from litellm.utils import ProviderConfigManager

    library = litellm()
    try:
        mapped = library.utils.get_optional_params(
            model=endpoint.model, custom_llm_provider=endpoint.dialect, stream=True, **parameters
        )
    except library.UnsupportedParamsError as error:
        raise endpoint.cannot(f"what the policy needs ({error.message})") from error
    extra = mapped.pop("extra_body", None) or {}
    config: Any = ProviderConfigManager.get_provider_chat_config(
        endpoint.model, LlmProviders(endpoint.dialect)
    )
    body: dict[str, Any] = config.transform_request(
        model=endpoint.model,
        messages=[{"role": "user", "content": ""}],
        optional_params=mapped,
        litellm_params={},
        headers={},
    )
    return {**body, **extra}


def _ssl(url: str) -> Any:
    if not url.startswith("https"):
        return False
    from litellm.llms.custom_httpx.http_handler import get_ssl_configuration

    return get_ssl_configuration()


def _proxy(url: str) -> str | None:
    """Return the proxy of the environment for ``url``, if any; never one for this machine.

    Raises:
        UserError: If it speaks a protocol that is not known here.
    """
    from urllib.request import getproxies, proxy_bypass

    parts = urlsplit(url)
    host = parts.hostname or "localhost"
    if host in ("localhost", "::1") or host.startswith("127.") or proxy_bypass(host):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    if proxy and "://" not in proxy:
        proxy = f"http://{proxy}"
    if proxy and urlsplit(proxy).scheme not in ("http", "https"):
        raise UserError(
            f"the proxy of {parts.scheme} in the environment is of {urlsplit(proxy).scheme}:"
            f" only http and https are known. Name {host} in NO_PROXY to go there without."
        )
    return proxy
