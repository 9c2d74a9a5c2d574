"""What went wrong with one try, and whether another one can go better."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ttc_bench.engines.hosting.library import litellm
from ttc_bench.engines.hosting.waits import number, wait_s

if TYPE_CHECKING:
    import aiohttp

RETRIED = {
    "RateLimitError": "rate_limit",
    "Timeout": "timeout",
    "APIConnectionError": "connection",
    "InternalServerError": "server_error",
    "BadGatewayError": "server_error",
    "ServiceUnavailableError": "server_error",
}
"""LiteLLM's error classes that may pass, by the name they have in a row."""

FATAL = {
    "AuthenticationError": "bad_key",
    "PermissionDeniedError": "no_permission",
    "NotFoundError": "unknown_model",
    "PaymentRequiredError": "no_credit",
}
"""Error classes that every other call of the run would meet too."""

FINAL = {
    "ContextWindowExceededError": "context_length",
    "ContentPolicyViolationError": "content_policy",
    "BadRequestError": "bad_request",
    "UnprocessableEntityError": "bad_request",
    "UnsupportedParamsError": "bad_request",
}
"""Error classes of one request: the same request would meet them again."""

REDIRECTS = range(300, 400)
FATAL_STATUS = {401: "bad_key", 402: "no_credit", 403: "no_permission", 404: "unknown_model",
                405: "no_endpoint", 407: "proxy", 410: "no_endpoint",
                501: "no_endpoint"}  # fmt: skip
RETRIED_STATUS = {408: "timeout", 409: "server_error", 425: "server_error", 429: "rate_limit"}

FATAL_CODES = {
    "invalid_api_key": "bad_key",
    "model_not_found": "unknown_model",
    "model_decommissioned": "unknown_model",
    "model_terms_required": "no_permission",
    "insufficient_quota": "no_credit",
    "billing_hard_limit_reached": "no_credit",
}
"""Codes in an error's body that say more than its status."""

_NOT_REACHED = frozenset({"ConnectTimeout", "ConnectError", "ConnectionTimeoutError",
                          "ClientConnectorError", "ClientConnectorDNSError"})  # fmt: skip
"""Classes of httpx and aiohttp for a server that was never reached; LiteLLM has others for it."""

_TLS_ALERT = "\\x15\\x03"
"""How aiohttp quotes the first bytes of what a server of TLS says to a plain request."""

_WORDS = {
    "no_tls": re.compile(r"plain http request|http request to an https", re.I),
    "unknown_model": re.compile(
        r"invalid model|unknown model|no such model|model_not_found|model name passed"
        r"|\bmodel\b.{0,80}(does not exist|not found|is not (available|valid|supported))",
        re.I | re.S,
    ),
    "bad_key": re.compile(
        r"(invalid|incorrect|expired|missing|no|wrong|malformed)[^.]{0,20}"
        r"(api[ _-]?key|(api|access|auth|bearer|server)[ _-]token)"
        r"|authentication error|unauthori[sz]ed|no connected db",
        re.I,
    ),
}
"""What proxies say of a bad model or key under a status that says nothing."""


class TryError(Exception):
    """One try of a call failed.

    Attributes:
        error_type: Short class of the failure, as it stands in a row.
        retryable: Another try may go better.
        fatal: No call of the run can go better.
        status: HTTP status, if there was an answer.
        retry_after_s: Seconds that the provider asks to wait.
        is_general: Any other call would have met it at that moment.
        is_page: It is told by a page for people: a proxy's word, not the model's.
    """

    is_general = False
    is_page = False

    def __init__(
        self,
        error_type: str,
        message: str,
        *,
        retryable: bool = False,
        fatal: bool = False,
        status: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.retryable = retryable
        self.fatal = fatal
        self.status = status
        self.retry_after_s = retry_after_s


def from_status(
    status: int, body: str, headers: Mapping[str, str], provider: str, model: str
) -> TryError:
    """Return what an HTTP error means, by LiteLLM's classes and the code in its body."""
    message, code = read_error(body)
    if status in REDIRECTS:
        return _redirect(status, headers)
    kind = FATAL_CODES.get(code) or (_by_words(message) if status == 400 else None)
    if kind is not None:
        return TryError(kind, f"{message} (HTTP {status})", fatal=True, status=status)
    failure = _by_class(_litellm_class(status, body, provider, model), status)
    known = TryError(
        failure.error_type,
        f"{message or failure.error_type} (HTTP {status})",
        retryable=failure.retryable,
        fatal=failure.fatal,
        status=status,
        retry_after_s=retry_after_s(headers),
    )
    known.is_page = message.startswith("<")
    return known


def _redirect(status: int, headers: Mapping[str, str]) -> TryError:
    where = urlsplit(headers.get("location", "")).netloc.rpartition("@")[2] or "another path"
    return TryError("redirect", f"it sends calls on to {where}", fatal=True, status=status)


def from_litellm(error: Exception) -> TryError:
    """Return what an exception of ``litellm.acompletion`` means."""
    status, headers = _answer_of(error)
    if status in REDIRECTS:
        return _redirect(status, headers)
    text = str(getattr(error, "message", error))
    if any(type(one).__name__ in _NOT_REACHED for one in _behind(error)):
        return TryError("connection", text, retryable=True)
    kind = next((k for code, k in FATAL_CODES.items() if code in text), None)
    failure = _by_class(type(error).__name__, status or None)
    return TryError(
        kind or failure.error_type,
        text,
        retryable=failure.retryable and kind is None,
        fatal=failure.fatal or kind is not None,
        status=failure.status,
        retry_after_s=retry_after_s(headers),
    )


def _behind(error: BaseException) -> list[BaseException]:
    """Return an exception and what is behind it, the first one first."""
    chain, one = list[BaseException](), error
    while one is not None and one not in chain:
        chain.append(one)
        one = one.__cause__ or one.__context__  # type: ignore[assignment]
    return chain


def _answer_of(error: BaseException) -> tuple[int, Mapping[str, str]]:
    """Return status and headers of the answer behind an exception: LiteLLM wraps others' own.

    A redirect it takes for a fault of the server's.
    """
    answers: list[Any] = [getattr(one, "response", None) for one in _behind(error)]
    redirects = [a for a in answers if getattr(a, "status_code", None) in REDIRECTS]
    if redirects:
        named = [answer for answer in redirects if "location" in answer.headers]
        return redirects[0].status_code, (named or redirects)[0].headers
    status = getattr(error, "status_code", None)
    headers = getattr(error, "litellm_response_headers", None)
    headers = headers or getattr(answers[0], "headers", None) or {}
    return (status if isinstance(status, int) else 0), headers


def from_network(error: BaseException, began: bool) -> TryError:
    """Return what a broken connection or a time-out means.

    Args:
        error: What aiohttp raised.
        began: Whether the answer had begun.
    """
    import aiohttp

    text = f"{type(error).__name__}: {error}".rstrip(": ")
    if isinstance(error, aiohttp.ClientResponseError):
        return _no_http(error)
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return TryError("bad_certificate", text, fatal=True)
    if isinstance(error, aiohttp.ClientSSLError):
        return TryError("no_tls", f"it answers, but not by TLS ({text})", fatal=True)
    if isinstance(error, aiohttp.InvalidURL):
        return TryError("connection", text, fatal=True)
    if isinstance(error, TimeoutError) and not isinstance(error, aiohttp.ConnectionTimeoutError):
        return TryError("timeout", text, retryable=True)
    if began:
        text = f"the stream broke off ({text})"
    return TryError("broken_stream" if began else "connection", text, retryable=True)


def _no_http(error: aiohttp.ClientResponseError) -> TryError:
    """Return the failure of who answers, and not as a server of HTTP; its address is left out.

    That of a proxy may hold a login.
    """
    import aiohttp

    if isinstance(error, aiohttp.ClientHttpProxyError):
        is_fatal = error.status in FATAL_STATUS
        text = f"the proxy answers {error.status} {error.message}"
        return TryError("proxy", text, fatal=is_fatal, retryable=not is_fatal, status=error.status)
    if _TLS_ALERT in error.message:
        return TryError("no_tls", "it answers by TLS alone", fatal=True)
    return TryError("connection", f"it speaks no HTTP ({error.message})", retryable=True)


def from_event(error: Any, provider: str, model: str) -> TryError:
    """Return what an error object in the middle of an event stream means."""
    body = json.dumps({"error": error})
    status = error.get("code") if isinstance(error, dict) else None
    if isinstance(status, int) and 400 <= status < 600:
        return from_status(status, body, {}, provider, model)
    message, code = read_error(body)
    kind = FATAL_CODES.get(code)
    if kind is not None:
        return TryError(kind, message, fatal=True)
    return TryError("broken_stream", message, retryable=True)


def no_stream(content_type: str, body: str) -> TryError:
    """Return the failure of a body that is no answer at all, such as a proxy's page."""
    message, code = read_error(body)
    is_fatal = code in FATAL_CODES
    return TryError(
        FATAL_CODES.get(code, "bad_response"),
        f"no event stream but {content_type}: {message}",
        retryable=not is_fatal,
        fatal=is_fatal,
    )


def too_long() -> TryError:
    """Return the failure of who sends without end."""
    return TryError("malformed", "it sends more than any answer holds", retryable=True)


def read_error(body: str) -> tuple[str, str]:
    """Return message and code of an error's body, whatever shape the provider gives it."""
    try:
        data = json.loads(body)
    except ValueError:
        return body.strip(), ""
    error = data.get("error", data) if isinstance(data, dict) else data
    if not isinstance(error, dict):
        return str(error), ""
    message = error.get("message") or error.get("detail") or json.dumps(error)
    return str(message), str(error.get("code") or error.get("type") or "")


def retry_after_s(headers: Mapping[str, str]) -> float | None:
    """Return the wait that ``Retry-After`` asks for, or OpenAI's milliseconds; see `wait_s`."""
    millis = number(headers.get("retry-after-ms"))
    if millis is not None and millis > 0:
        return millis / 1000
    return wait_s(headers.get("retry-after"))


def _by_words(message: str) -> str | None:
    """Return what the message of a general refusal (a proxy's HTTP 400) means for the run."""
    return next((kind for kind, words in _WORDS.items() if words.search(message)), None)


def _litellm_class(status: int, body: str, provider: str, model: str) -> str:
    from litellm.litellm_core_utils.exception_mapping_utils import exception_type
    from litellm.llms.openai.common_utils import OpenAIError

    litellm()
    original = OpenAIError(status_code=status, message=body, headers={})
    try:
        mapping: Any = exception_type
        mapping(model=model, original_exception=original, custom_llm_provider=provider)
    except Exception as mapped:
        return type(mapped).__name__
    return ""


def _by_class(name: str, status: int | None) -> TryError:
    """LiteLLM's class decides; where it is a general one, the status does."""
    retried = RETRIED.get(name) or RETRIED_STATUS.get(status or 0)
    fatal = FATAL.get(name) or FATAL_STATUS.get(status or 0)
    if fatal == "no_endpoint":
        return TryError(fatal, name, fatal=True, status=status)
    if name in FINAL:
        return TryError(FINAL[name], name, status=status)
    if fatal:
        return TryError(fatal, name, fatal=True, status=status)
    if retried or (status or 0) >= 500:
        return TryError(retried or "server_error", name, retryable=True, status=status)
    return TryError("too_large" if status == 413 else "bad_request", name, status=status)
