"""Speculation by a server's Prometheus counters, for servers that do not report it per request.

Counters are the server's, not a request's: their rise belongs to a call only if nothing else ran
meanwhile. The server's own count of generated tokens proves it: it must rise by exactly what the
call generated. Where it does not, what was drafted for this call is unknown.

Sources: vLLM's ``vllm:spec_decode_*`` (vllm/v1/spec_decode/metrics.py) and SGLang's
``sglang:spec_*`` metrics.
"""

from __future__ import annotations

import asyncio
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit, urlunsplit

logger = logging.getLogger(__name__)

_LINE = re.compile(r"^([A-Za-z_:][\w:]*?)(?:_total)?(?:\{.*\})?\s+([\d.eE+\-]+)(?:\s|$)")
_PREFIXES = ("vllm:", "sglang:")
_WIDTH = "sglang:spec_num_draft_tokens"
"""Tokens that one verification pass takes in: a setting, which every rank shows."""

_SETTLE_S = 1.0
"""How long a server may take to count what it has sent."""

_POLL_S = 0.02
_TIMEOUT_S = 5.0


@dataclass(frozen=True)
class Rise:
    """What was speculated during one call.

    Attributes:
        drafted: Tokens proposed.
        accepted: Proposed tokens that the target accepted.
    """

    drafted: int
    accepted: int


def metrics_url(address: str) -> str:
    """Return where the server of an OpenAI-compatible base address shows its counters."""
    parts = urlsplit(address)
    path = parts.path.rstrip("/").removesuffix("/v1")
    return urlunsplit((parts.scheme, parts.netloc, f"{path}/metrics", "", ""))


def read(page: str) -> dict[str, float]:
    """Return the metrics of a Prometheus page by name without ``_total``, summed over labels."""
    values: dict[str, float] = {}
    for line in page.splitlines():
        match = _LINE.match(line)
        if match is None or not match[1].startswith(_PREFIXES):
            continue
        name, value = match[1], float(match[2])
        values[name] = value if name == _WIDTH else values.get(name, 0.0) + value
    return values


def generated(before: Mapping[str, float], after: Mapping[str, float]) -> int | None:
    """Return the tokens that the server generated in between; ``None`` if it does not count."""
    for prefix in _PREFIXES:
        name = f"{prefix}generation_tokens"
        if name in after:
            return round(after[name] - before.get(name, 0.0))
    return None


def rise(before: Mapping[str, float], after: Mapping[str, float], tokens: int) -> Rise | None:
    """Return what was speculated in between, while the server generated ``tokens`` tokens.

    vLLM counts drafted and accepted tokens. SGLang counts verification passes and tells how many
    tokens each of them verifies, one of which is no draft; a pass yields what it accepts and one
    token more, and the first token comes from the prompt's pass.
    """

    def up(name: str) -> int:
        return round(after[name] - before.get(name, 0.0))

    drafted, accepted = "vllm:spec_decode_num_draft_tokens", "vllm:spec_decode_num_accepted_tokens"
    if drafted in after and accepted in after:
        return Rise(up(drafted), up(accepted))
    passes, width = "sglang:spec_verify_calls", after.get(_WIDTH, 0.0)
    if passes in after and width >= 1:
        most = up(passes) * (round(width) - 1)
        return Rise(most, min(most, max(0, tokens - 1 - up(passes))))
    return None


class Counters:
    """Reads a server's counters before and after a call.

    Args:
        address: Base address of the endpoint.
    """

    def __init__(self, address: str) -> None:
        self.url = metrics_url(address)
        self._is_told = False

    async def now(self) -> dict[str, float] | None:
        """Return the counters; ``None`` if the server shows none, which is told once."""
        import aiohttp

        try:
            timeout = aiohttp.ClientTimeout(total=_TIMEOUT_S)
            async with (
                aiohttp.ClientSession(timeout=timeout) as session,
                session.get(self.url) as response,
            ):
                response.raise_for_status()
                values = read(await response.text())
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            self._tell(f"they cannot be read ({type(error).__name__})")
            return None
        if not values:
            self._tell("none of vLLM's or SGLang's is there")
        return values or None

    async def since(self, before: Mapping[str, float] | None, tokens: int) -> Rise | None:
        """Return what was speculated since ``before`` for a call of ``tokens`` generated tokens.

        Returns:
            ``None`` if the server does not tell, or served others meanwhile.
        """
        deadline = time.perf_counter() + _SETTLE_S
        while before is not None:
            after = await self.now()
            made = None if after is None else generated(before, after)
            if after is None or made is None or made > tokens:
                return None
            if made == tokens:
                return rise(before, after, tokens)
            if time.perf_counter() > deadline:
                return None
            await asyncio.sleep(_POLL_S)
        return None

    def _tell(self, why: str) -> None:
        if not self._is_told:
            logger.warning("no counters at %s: %s; speculation there is unknown", self.url, why)
        self._is_told = True
