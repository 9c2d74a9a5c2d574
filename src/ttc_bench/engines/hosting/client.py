"""The client of one endpoint: wait for a place, send, try again if that can help, bill."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import Any

from tenacity import AsyncRetrying, retry_if_exception, wait_random_exponential

from ttc_bench.engines.base import Request
from ttc_bench.engines.completion import BrokenCall, CallError, Completion, Usage
from ttc_bench.engines.hosting import door, endings, reported, shapes
from ttc_bench.engines.hosting.answer import Answer, Choice
from ttc_bench.engines.hosting.attempts import Attempts, RetrySchedule
from ttc_bench.engines.hosting.concurrency import ConcurrencyLimiter
from ttc_bench.engines.hosting.counters import Counters
from ttc_bench.engines.hosting.endpoint import Endpoint
from ttc_bench.engines.hosting.failures import TryError
from ttc_bench.engines.hosting.library import litellm
from ttc_bench.engines.hosting.limits import Throttle, Ticket
from ttc_bench.engines.hosting.money import UNKNOWN, Booking, Budget
from ttc_bench.engines.hosting.secrets import Redactor
from ttc_bench.engines.hosting.tokenizer import Tokenizer
from ttc_bench.engines.hosting.transports import Transport

logger = logging.getLogger(__name__)

_LONG_S = 5.0
"""A pause of this length is told."""

_HINTS: Mapping[str, str] = {
    "bad_key": ". Check the key in {variable}.",
    "no_permission": ". Check what the key in {variable} may use.",
    "unknown_model": ". Check the parameters model.target and model.api_base.",
    "no_endpoint": ". No model answers at this address: check the parameter model.api_base.",
    "connection": ". Is the server running? Check the parameter model.api_base.",
    "no_tls": ". Check whether model.api_base should begin with http:// or with https://.",
    "bad_certificate": ". Its certificate is not trusted: set SSL_CERT_FILE to its authority's.",
    "redirect": ". No key is sent elsewhere: set model.api_base to the address that is meant.",
    "proxy": ". Check HTTPS_PROXY and HTTP_PROXY, or name the host in NO_PROXY.",
}

_CUT_BYTES_PER_TOKEN, _CUT_SHARE = 6.0, 0.6
"""A prompt of more bytes per token than that is counted by another tokenizer, and taken for cut
below this share of its count: tokenizers differ by less on the same text."""

_UNREACHABLE_TRIES = 3
"""Tries after which an endpoint that never answered counts as not there."""

_STALE_S = 1.0
"""A server that closes a connection sooner than this had closed it before it read the request."""

_LOST_CALLS = 5
"""Calls in a row, each with all its tries, after which one that had answered counts as gone."""

_SILENT_S = 30.0
"""One that refuses or delays them counts as gone after this long without an answer, too."""

_AWAY = frozenset({502, 503, 504, 529, *range(520, 528), 530})
"""Statuses by which proxies say that there is nobody behind them, or too little."""

_GENERAL = frozenset({"connection", "proxy", "rate_limit"})
"""Failures that are of no request."""

_BAD_REQUEST, _TOO_MANY = 400, 429

_TELL_AGAIN_S = 60.0
"""How long a pause that is told once is no news."""


@dataclass
class InFlightCall:
    """One try on its way: what it has used is booked when it ends.

    Attributes:
        ticket: Its slots in the rate limits.
        entered_s: When it got its place.
        admitted_s: When the rate limits let it leave.
        prompt_tokens: Estimated tokens of its prompt.
        tokens: Tokens to book: the estimate, until the answer tells.
        usd: Dollars to book.
    """

    ticket: Ticket
    entered_s: float
    admitted_s: float
    prompt_tokens: int
    tokens: float
    usd: Booking = UNKNOWN


class EndpointClient:
    """Asks one endpoint; one client is shared by all calls to it.

    Args:
        endpoint: The endpoint.
        transport: Carries one try.
        throttle: Its rate limits.
        limiter: Its concurrency.
        budget: The budget of the run.
        schedule: When a sample is tried again.
        counters: The server's counters of speculation, if they are to be read.
        tokenizer: The model's tokenizer, for servers that count no tokens.
    """

    def __init__(
        self,
        endpoint: Endpoint,
        transport: Transport,
        throttle: Throttle,
        limiter: ConcurrencyLimiter,
        budget: Budget,
        schedule: RetrySchedule,
        counters: Counters | None = None,
        tokenizer: Tokenizer | None = None,
    ) -> None:
        self.endpoint = endpoint
        self._transport = transport
        self._throttle, self._limiter, self._budget = throttle, limiter, budget
        self._schedule, self._counters, self._tokenizer = schedule, counters, tokenizer
        self._redact = Redactor([endpoint.key, *endpoint.secrets])
        self._backoff = wait_random_exponential(multiplier=schedule.backoff_s, max=30.0)
        self._dead: TryError | None = None
        self._has_answered = False
        self._lost_calls = 0
        self._lost_since_s: float | None = None
        self._told_s = -math.inf
        self._is_cut_told = False
        self._sends_all: bool | None = None
        self._leaves_stop = False
        self._tokens_per_byte = 0.3

    async def ask(self, request: Request, index: int, seed: int) -> Completion:
        """Return one sample.

        Raises:
            CallError: If it failed for good.
        """
        attempts = Attempts()
        retrying = AsyncRetrying(
            retry=retry_if_exception(lambda e: isinstance(e, TryError) and e.retryable),
            stop=lambda state: self._gives_up(attempts, state.idle_for),
            wait=lambda state: max(0.0, self._backoff(state) - attempts.told_s),
            reraise=True,
        )
        try:
            return await retrying(self._try, request, index, seed, attempts)
        except TryError as failure:
            raise self._final(failure, attempts) from None
        except CallError as error:
            error.broken = tuple(attempts.broken)
            raise

    def limit(
        self,
        concurrency: int,
        requests_per_minute: float | None,
        tokens_per_minute: float | None,
        is_held: bool,
    ) -> None:
        """Go by other limits from now on; while it is held, nothing leaves, retries included."""
        self._limiter.resize(concurrency)
        self._throttle.limit(requests_per_minute, tokens_per_minute)
        self._throttle.hold(is_held)

    async def close(self) -> None:
        """Release what is bound to the running event loop."""
        await self._transport.close()

    async def _try(self, request: Request, index: int, seed: int, attempts: Attempts) -> Completion:
        answer = Answer(most_tokens=request.max_tokens)
        async with self._in_flight(request, attempts) as call:
            try:
                if self._dead is not None:
                    raise TryError(self._dead.error_type, str(self._dead), fatal=True)
                await self._carry(request, seed, answer, call)
                completion = self._completion(request, index, answer, attempts, call)
            except TryError as failure:
                self._failed(failure, answer, attempts, call)
                raise
            self._succeeded(request, completion, answer, call)
            return completion

    async def _carry(self, request: Request, seed: int, answer: Answer, call: InFlightCall) -> None:
        """Let the transport ask; read the counters around it, where they are wanted."""
        counters = self._counters
        before = await counters.now() if counters else None
        await self._transport.ask(request, seed, answer, call.ticket.sent)
        usage = answer.counts()
        if counters and usage and reported.speculation(answer.facts) == (None, None):
            risen = await counters.since(before, usage.completion_tokens)
            if risen is not None:
                reported.note_counters(answer.facts, risen.drafted, risen.accepted)

    @asynccontextmanager
    async def _in_flight(self, request: Request, attempts: Attempts) -> AsyncIterator[InFlightCall]:
        """Wait for a place, the budget and the rate limits; book what was used in the end."""
        asked_s, held_s = time.perf_counter(), self._throttle.held_s
        prompt_tokens = self._prompt_tokens(request)
        tokens = prompt_tokens + request.max_tokens
        async with self._limiter.enter() as entered_s:
            reservation = await self._budget.reserve(self._most_usd(request))
            call = None
            try:
                ticket = await self._throttle.admit(tokens)
                admitted_s = time.perf_counter()
                attempts.held_s += self._throttle.held_s - held_s
                call = InFlightCall(ticket, entered_s, admitted_s, prompt_tokens, tokens)
                if not attempts.log:
                    attempts.queue_s = admitted_s - asked_s
                yield call
            finally:
                if call is None:
                    self._budget.settle(reservation, Booking(0.0))
                else:
                    call.ticket.sent(time.perf_counter())
                    call.ticket.settle(call.tokens)
                    self._budget.settle(reservation, call.usd)

    def _completion(
        self,
        request: Request,
        index: int,
        answer: Answer,
        attempts: Attempts,
        call: InFlightCall,
    ) -> Completion:
        """Return the answer as a completion.

        Raises:
            TryError: If it is none.
        """
        finish, choice = endings.finish_of_answer(answer, request), answer.choice
        self._settle(choice)
        if self.endpoint.logprobs and "".join(choice.text) and not choice.logprobs:
            raise TryError(
                "no_logprobs", "sends no log-probabilities: set model.logprobs=false", fatal=True
            )
        attempts.started_s = attempts.started_s or answer.sent_s
        whole = door.clean(self._redact.known("".join(choice.text)), answer.facts)
        text, stop = endings.cut_at(whole, request.stop)
        self._note_stop(stop, answer, bool(request.stop))
        usage = self._usage(request, answer, call.prompt_tokens)
        endings.note_oddities(answer, usage, request)
        self._note_cut(request, answer, usage)
        return Completion(
            index=index,
            text=text,
            token_ids=(),
            logprobs=endings.logprobs_of(answer) if self.endpoint.logprobs else None,
            finish_reason=finish,
            model=self.endpoint.name,
            usage=usage,
            timing=answer.timing(attempts.queue_s, attempts.started_s),
            usd=self._usd(usage),
            attempts=attempts.made,
            extra=door.clean(self._redact.known(self._extra(answer, attempts)), answer.facts),
            broken=tuple(attempts.broken),
        )

    def _settle(self, choice: Choice) -> None:
        """Have the texts of an answer once, whether its events held what was new or all so far.

        Raises:
            TryError: If that cannot be told: one of the two texts is not what the model said.
        """
        for pieces in (choice.text, choice.reasoning):
            if not pieces.settle(self._sends_all):
                raise TryError(
                    "malformed",
                    f"the text of each event begins with the one before ({', '.join(pieces)}):"
                    " it is not clear whether these are parts of the answer, or all of it so far",
                )
            self._sends_all = self._sends_all if pieces.grows is None else pieces.grows

    def _note_cut(self, request: Request, answer: Answer, usage: Usage) -> None:
        """Say so if the server can have read only a part of the prompt (a context cut short)."""
        size = _bytes(request)
        if usage.is_estimated or size < _CUT_BYTES_PER_TOKEN * usage.prompt_tokens:
            return
        texts = [message.content for message in request.messages]
        expected = sum(len(litellm().encode(model="gpt-4o", text=text)) for text in texts)
        if usage.prompt_tokens >= _CUT_SHARE * expected:
            return
        facts = f"the server read {usage.prompt_tokens} of about {expected} prompt tokens"
        answer.facts["prompt_cut"] = facts
        if not self._is_cut_told:
            logger.warning(
                "%s: %s. Its context is too short, or it counts no cached tokens: raise the"
                " server's context (Ollama: OLLAMA_CONTEXT_LENGTH)",
                self.endpoint.name,
                facts,
            )
        self._is_cut_told = True

    def _usage(self, request: Request, answer: Answer, prompt_tokens: int) -> Usage:
        """Return the provider's counts, or else those of the tokenizer named, or an estimate."""
        if (counted := answer.counts()) is not None:
            return counted
        estimate = answer.estimated(prompt_tokens)
        if self._tokenizer is None or not answer.is_whole:
            return estimate
        return self._tokenizer.exact(estimate, self.endpoint.messages(request.messages), answer)

    def _usd(self, usage: Usage) -> float | None:
        """Return what a call cost: nothing is known where its tokens are estimates."""
        price = self.endpoint.price
        return None if price is None or usage.is_estimated else price.usd(usage)

    def _note_stop(self, stop: str | None, answer: Answer, was_asked: bool) -> None:
        """Tell a stop string from the end of the turn where the endpoint does not.

        A server that has left a stop string in its text leaves all of them in: where none is, the
        model ended its turn by itself.
        """
        choice = answer.choice
        if choice.tells_stop:
            answer.facts["stop_reason"] = choice.stop_reason
            return
        if not was_asked or shapes.finish_of(choice.finish or "") != "stop":
            return
        self._leaves_stop = self._leaves_stop or stop is not None
        if self._leaves_stop:
            answer.facts["stop_reason"] = stop

    def _succeeded(
        self, request: Request, completion: Completion, answer: Answer, call: InFlightCall
    ) -> None:
        self._has_answered, self._lost_calls, self._lost_since_s = True, 0, None
        usage = completion.usage
        call.usd = self._booked(completion.usd, usage, answer)
        call.tokens = usage.prompt_tokens + usage.completion_tokens
        if not usage.is_estimated:
            ratio = usage.prompt_tokens / max(1, _bytes(request))
            self._tokens_per_byte += 0.2 * (ratio - self._tokens_per_byte)
        self._pause(reported.pause_s(answer.headers, int(call.tokens)))
        self._limiter.succeeded()

    def _pause(self, seconds: float | None) -> None:
        """Hold all calls back for as long as a limit is used up.

        A wait beyond ``max_wait_s`` is not kept: if the provider means it, it refuses the next
        call and says so, which ends the run.
        """
        if seconds is None:
            return
        if seconds > self._schedule.max_wait_s:
            self._tell(
                "says that a limit is used up for %.0f s: going on until it refuses", seconds
            )
            return
        if seconds >= _LONG_S:
            self._tell("asks to wait %.0f s: no call leaves until then", seconds)
        self._throttle.pause(seconds)

    def _tell(self, what: str, seconds: float) -> None:
        now = time.perf_counter()
        is_news = now - self._told_s >= _TELL_AGAIN_S
        level = logging.WARNING if is_news else logging.DEBUG
        logger.log(level, "%s " + what, self.endpoint.name, seconds)
        self._told_s = now if is_news else self._told_s

    def _booked(self, usd: float | None, usage: Usage, answer: Answer) -> Booking:
        """Return what the budget books for a call that was answered, in whole or in part.

        What is not known is booked at the most that it can have cost, and at what has come if a
        server ignored its limit.
        """
        price = self.endpoint.price
        if usd is not None or price is None:
            return Booking(usd or 0.0)
        came = max(usage.completion_tokens, answer.most_came if answer.cut_off else 0)
        return Booking(None, price.usd(replace(usage, cached_tokens=0, completion_tokens=came)))

    def _failed(
        self, failure: TryError, answer: Answer, attempts: Attempts, call: InFlightCall
    ) -> None:
        was_sent, was_silent = answer.sent_s > 0, not answer.has_tokens
        if failure.error_type == "rate_limit":
            self._limiter.refused(call.entered_s)
            if failure.retry_after_s is None:
                failure.retry_after_s = reported.pause_s(answer.headers, 1)
        elif failure.error_type == "timeout" and was_sent and was_silent:
            self._limiter.silent(call.entered_s)
        self._weigh(failure, was_silent)
        if (failure.retry_after_s or 0.0) <= self._schedule.max_wait_s and failure.retryable:
            self._pause(failure.retry_after_s)
        if failure.fatal:
            self._dead = failure
        attempts.add(failure, answer.sent_s or call.admitted_s)
        is_open = was_sent and answer.status is None
        call.tokens, call.usd = 0.0, UNKNOWN if is_open else Booking(0.0)
        if answer.began or (is_open and time.perf_counter() - answer.sent_s > _STALE_S):
            broken = self._broken(failure, answer, attempts, call.prompt_tokens)
            attempts.broken.append(broken)
            call.usd = self._booked(broken.usd, broken.usage, answer)
            call.tokens = broken.usage.prompt_tokens + broken.usage.completion_tokens

    def _weigh(self, failure: TryError, was_silent: bool) -> None:
        """Tell what is of one request from what every call would meet, and both from a stray page.

        Where the model was there a moment ago, one page of a proxy between stops nothing: it takes
        some calls in a row, each with all its tries.
        """
        failure.is_general = (
            failure.fatal
            or failure.is_page
            or failure.error_type in _GENERAL
            or failure.status in _AWAY
            or (failure.error_type == "timeout" and was_silent)
        )
        if self._dead is not None or not self._has_answered:
            return
        if failure.status == _BAD_REQUEST and not failure.is_page:
            failure.fatal = failure.is_general = False
        elif failure.is_page or (failure.fatal and not self._is_told(failure)):
            failure.fatal, failure.retryable = False, True
        is_too_long = (failure.retry_after_s or 0.0) > self._schedule.max_wait_s
        if is_too_long and failure.error_type != "rate_limit":
            failure.retry_after_s = None

    @staticmethod
    def _is_told(failure: TryError) -> bool:
        """Return whether a failure is the provider's own word, however healthy the run was."""
        return failure.status == _TOO_MANY or failure.error_type == "no_logprobs"

    def _broken(
        self, failure: TryError, answer: Answer, attempts: Attempts, prompt_tokens: int
    ) -> BrokenCall:
        usage = answer.counts() or answer.estimated(prompt_tokens)
        timing = answer.timing(attempts.queue_s, attempts.started_s)
        lost_s = time.perf_counter() - attempts.started_s
        return BrokenCall(
            error_type=failure.error_type,
            model=self.endpoint.name,
            usage=usage,
            timing=replace(timing, latency_s=lost_s, retry_s=lost_s),
            usd=self._usd(usage),
        )

    def _extra(self, answer: Answer, attempts: Attempts) -> dict[str, Any]:
        """Return the facts worth keeping about a call."""
        facts = {**answer.facts, "headers": reported.kept_headers(answer.headers)}
        if reasoning := "".join(answer.choice.reasoning):
            facts["reasoning"] = reasoning
        if attempts.log:
            facts["attempts"] = attempts.log
        return {k: v for k, v in facts.items() if v is not None or k == "stop_reason"}

    def _gives_up(self, attempts: Attempts, backoff_s: float) -> bool:
        if attempts.log[-1]["error"] == "connection" and not self._has_answered:
            return attempts.counted >= min(_UNREACHABLE_TRIES, self._schedule.attempts)
        if attempts.counted >= self._schedule.attempts:
            return True
        return backoff_s + attempts.lost_s > self._schedule.max_wait_s

    def _final(self, failure: TryError, attempts: Attempts) -> CallError:
        """Return the failure of the call, as it stands in a row or stops the run."""
        kind, fatal = failure.error_type, failure.fatal
        message = self._redact.line(str(failure))
        where = self._redact(self.endpoint.url or self.endpoint.address or self.endpoint.provider)
        if kind == "connection":
            fatal = fatal or not self._has_answered
            message = f"cannot be reached at {where} ({message})"
        if self._is_gone(failure, attempts) and not fatal:
            fatal = True
            message += f"; {self._lost_calls} calls in a row had no answer"
        if fatal:
            self._dead = self._dead or failure
        asked_s = failure.retry_after_s or 0.0
        if asked_s > self._schedule.max_wait_s:
            fatal = True
            message += f"; it asks to wait {asked_s:.0f} s, longer than model.max_wait_s"
        hint = _HINTS.get(kind, "") if fatal else ""
        return CallError(
            kind,
            f"{self.endpoint.name}: {message}{hint.format(variable=self.endpoint.key_variable)}",
            attempts=len(attempts.log),
            fatal=fatal,
            broken=attempts.until_now(),
        )

    def _is_gone(self, failure: TryError, attempts: Attempts) -> bool:
        """Count a call that is given up; return whether the endpoint counts as gone by now.

        A refusal of one request is an answer. Where proxies answer in its place, or nothing comes
        in time, it may come back, and is waited for a while.
        """
        if not failure.is_general:
            self._lost_calls, self._lost_since_s = 0, None
            return False
        self._lost_calls += 1
        self._lost_since_s = self._lost_since_s or attempts.started_s
        may_return = failure.status in {*_AWAY, _TOO_MANY} or failure.error_type == "timeout"
        silent_s = time.perf_counter() - self._lost_since_s
        return self._lost_calls >= _LOST_CALLS and (not may_return or silent_s >= _SILENT_S)

    def _prompt_tokens(self, request: Request) -> int:
        return int(_bytes(request) * self._tokens_per_byte) + 8 * len(request.messages)

    def _most_usd(self, request: Request) -> float:
        price = self.endpoint.price
        if price is None:
            return 0.0
        texts = [message.content for message in request.messages]
        return price.most_usd(texts, request.max_tokens)


def _bytes(request: Request) -> int:
    return sum(len(message.content.encode()) for message in request.messages)
