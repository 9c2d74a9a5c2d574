"""The token stream of one sample: clock, end tokens, stop strings, text."""

from __future__ import annotations

import bisect
import copy
import hashlib
import itertools
import time
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

from ttc_bench.engines.completion import FinishReason, Timing
from ttc_bench.thinking import marker_texts

UNFINISHED = "\ufffd"
"""What a decoder prints for a character whose last bytes are still to come."""

TEXTS = 64
"""Texts whose tokens are remembered: what one model has read or gone on from, the next one reads,
too, and models of one family have equal tokenizers."""

LONGEST = 2**16
"""Letters of the longest text that is remembered: with a token for each it takes 2.5 megabytes."""


class TokenStream:
    """Takes tokens as they are made, stamps them, and says when the sample is finished.

    Args:
        tokenizer: The model's tokenizer.
        end_tokens: Token ids that end a sample.
        stop: Strings that end a sample; a match may span tokens.
        max_tokens: Most tokens.
        start_s: Moment of the request on the ``time.perf_counter`` clock.
        before: Last tokens of the text that is continued, if one is; see `decode_behind`.

    Attributes:
        queue_s: Seconds that the request waited before its turn came.
    """

    def __init__(
        self,
        tokenizer: Any,
        end_tokens: frozenset[int],
        stop: Sequence[str],
        max_tokens: int,
        start_s: float,
        before: Sequence[int] = (),
    ) -> None:
        self.tokens: list[int] = []
        self.logprobs: list[float] = []
        self.max_tokens = max_tokens
        self.finish_reason: FinishReason | None = None
        self.queue_s = 0.0
        self._tokenizer = tokenizer
        self._end_tokens = end_tokens
        self._matcher = StopMatcher(tokenizer, stop, before) if any(stop) else None
        self._before = tuple(before)
        self._start_s = start_s
        self._times: list[float] = []
        self._stop = tuple(stop)
        self._head = ""

    @property
    def done(self) -> bool:
        """Whether the sample is finished."""
        return self.finish_reason is not None

    @property
    def room(self) -> int:
        """Tokens that may still come."""
        return self.max_tokens - len(self.tokens)

    @property
    def stop_string(self) -> str | None:
        """The stop string that ended the sample; ``None`` for an end token or the budget."""
        return None if self._matcher is None else self._matcher.matched

    def leave_queue(self) -> None:
        """Note that the request's turn has come: the clock of its answer starts now."""
        self.queue_s = time.perf_counter() - self._start_s

    def restart(self) -> None:
        """Set the clock to zero: what came before was the work of another sample."""
        self._start_s = time.perf_counter()

    def emit(self, tokens: Sequence[int], logprobs: Sequence[float]) -> bool:
        """Take tokens that are delivered together; those after the end are discarded.

        Args:
            tokens: Token ids.
            logprobs: Their natural log-probabilities.

        Returns:
            Whether the sample is finished.
        """
        now = time.perf_counter()
        for token, logprob in zip(tokens, logprobs, strict=True):
            self.tokens.append(token)
            self.logprobs.append(logprob)
            self._times.append(now)
            self.finish_reason = self._end(token)
            if self.done:
                break
        return self.done

    def text(self) -> str:
        """Return the decoded text, without special tokens and cut at a stop string."""
        if self._matcher is not None and self._matcher.cut is not None:
            return self._head + self._matcher.cut
        return decode_behind(self._tokenizer, self._before, self.tokens)

    def read(self, token: int) -> str:
        """Return the text of one token, special ones as what they are called."""
        return decode_part(self._tokenizer, (token,), skip_special=False)

    def timing(self, first: int | None = 0) -> Timing:
        """Return the clock readings, in seconds since the request's turn came.

        Args:
            first: Place of the answer's first token, behind its reasoning; ``None`` if it has none.
        """
        stamps = [t - self._start_s - self.queue_s for t in self._times]
        own = [] if first is None else stamps[first:]
        return Timing(
            queue_s=self.queue_s,
            ttft_s=own[0] if own else None,
            latency_s=stamps[-1],
            itl_s=tuple(b - a for a, b in itertools.pairwise(own)),
            reasoning_s=(own[0] if own else stamps[-1]) - stamps[0],
        )

    def token_at(self, place: int) -> int:
        """Return which token holds the letter at ``place`` of the text."""
        counts = range(1, len(self.tokens) + 1)
        return bisect.bisect_right(counts, place, key=lambda count: len(self._decoded(count)))

    def _decoded(self, count: int) -> str:
        return decode_behind(self._tokenizer, self._before, self.tokens[:count])

    def encoded(self, text: str) -> list[int]:
        """Return the tokens of a text of ours."""
        return encode(self._tokenizer, text)

    def limited(self, max_tokens: int, is_new: bool = False) -> TokenStream:
        """Return an empty stream of the same kind.

        Args:
            max_tokens: Most tokens.
            is_new: Its clock starts now.
        """
        start_s = time.perf_counter() if is_new else self._start_s
        kind = (self._tokenizer, self._end_tokens, self._stop)
        return TokenStream(*kind, max_tokens, start_s, () if is_new else self._before)

    def joined(self, more: TokenStream, forced: Sequence[int]) -> TokenStream:
        """Return this stream with tokens that were put behind it, and the stream behind those.

        What is put there is of no moment of its own, and nobody has chosen it: it has no
        log-probability.

        Args:
            more: The stream behind them.
            forced: The token ids.
        """
        whole = copy.copy(more)
        whole._before = self._before
        whole._head = decode_behind(self._tokenizer, self._before, [*self.tokens, *forced])
        whole.tokens = [*self.tokens, *forced, *more.tokens]
        whole.logprobs = [*self.logprobs, *more.logprobs]
        now = self._times[-1] if self._times else more._start_s
        whole._times = [*self._times, *[now] * len(forced), *more._times]
        whole.max_tokens, whole.queue_s, whole._start_s = (
            self.max_tokens,
            self.queue_s,
            self._start_s,
        )
        return whole

    def _end(self, token: int) -> FinishReason | None:
        if token in self._end_tokens:
            return "stop"
        if self._matcher is not None and self._matcher.push(token):
            return "stop"
        return "length" if len(self.tokens) >= self.max_tokens else None


class StopMatcher:
    """Finds stop strings in text that arrives token by token.

    Only the last few tokens are decoded at each step, in a window that starts where the text was
    last complete, so the cost of a token does not grow with the text. Special tokens are text here
    if a stop string holds one, and are never part of the `cut`.

    Args:
        tokenizer: The model's tokenizer.
        stop: The strings.
        before: Last tokens of the text that is continued; they are not searched.

    Attributes:
        cut: The text up to the match; ``None`` before there is one.
        matched: The string that matched.
    """

    def __init__(self, tokenizer: Any, stop: Sequence[str], before: Sequence[int] = ()) -> None:
        self.cut: str | None = None
        self.matched: str | None = None
        self._tokenizer = tokenizer
        self._stop, self._longest, self._special = _searched(tokenizer, tuple(stop))
        self._tokens: list[int] = list(before)
        self._text = ""
        self._window = 0
        self._complete = len(before)
        self._before = self._decoded_window() if before else ""

    def push(self, token: int) -> bool:
        """Take one token; return whether a stop string is there now (then `cut` is set)."""
        self._tokens.append(token)
        after = self._decoded_window()
        if after.endswith(UNFINISHED):
            return False
        searched = max(0, len(self._text) - self._longest + 1)
        self._text += after[len(self._before) :]
        self._window, self._complete = self._complete, len(self._tokens)
        self._before = self._decoded_window()
        matches = [(at, s) for s in self._stop if (at := self._text.find(s, searched)) >= 0]
        if not matches:
            return False
        at, self.matched = min(matches)
        self.cut = self._text[:at]
        for special in self._special:
            self.cut = self.cut.replace(special, "")
        return True

    def _decoded_window(self) -> str:
        return decode_part(self._tokenizer, tuple(self._tokens[self._window :]), not self._special)


@lru_cache(64)
def _searched(
    tokenizer: Any, stop: tuple[str, ...]
) -> tuple[tuple[str, ...], int, tuple[str, ...]]:
    """Return the strings that can be found, the length of the longest, and special tokens.

    Those of the tokenizer, if one is within a string: then they are text as any other.
    """
    strings = tuple(s for s in stop if s)
    special = special_texts(tokenizer)
    is_special = any(one in string for string in strings for one in special)
    return strings, max(map(len, strings)), special if is_special else ()


def decode_behind(tokenizer: Any, before: Sequence[int], tokens: Sequence[int]) -> str:
    """Return the text that tokens add to the text of those before them.

    A SentencePiece tokenizer writes a blank as the first sign of the word behind it, and leaves it
    out at the beginning of a text: behind "rc/t" its token for " model" is that, alone "model".

    Args:
        tokenizer: The tokenizer.
        before: Some tokens before them, none where a text begins.
        tokens: The tokens.
    """
    head = decode(tokenizer, before) if before else ""
    if not head or head.endswith(UNFINISHED):
        return decode(tokenizer, tokens)
    return decode(tokenizer, [*before, *tokens])[len(head) :]


def encode(tokenizer: Any, text: str) -> list[int]:
    """Return the token ids of a text, with nothing put before or behind it."""
    backend = _backend(tokenizer)
    if backend is None:
        return list(tokenizer(text, add_special_tokens=False)["input_ids"])
    if len(text) > LONGEST:
        return list(_encoded.__wrapped__(backend, text))
    return list(_encoded(backend, text))


@dataclass(frozen=True)
class _Backend:
    """What a tokenizer calls for every text; two are equal if they give the same tokens.

    Attributes:
        form: All that decides the tokens.
        backend: The library's own object.
    """

    form: Hashable
    backend: Any = field(compare=False)


@lru_cache(TEXTS)
def _encoded(own: _Backend, text: str) -> tuple[int, ...]:
    return tuple(own.backend.encode(text, add_special_tokens=False).ids)


@lru_cache(16)
def _backend(tokenizer: Any) -> _Backend | None:
    """Return what a tokenizer calls for every text; ``None`` where its class does more.

    Called at once it takes half of the time, which is most of a short call's outside the model.
    """
    from transformers import PreTrainedTokenizerFast as Fast

    own = type(tokenizer)
    names = ("__call__", "_encode_plus", "decode", "_decode")
    does_more = any(getattr(own, name, None) is not getattr(Fast, name) for name in names)
    if does_more:
        return None
    tokenizer("", add_special_tokens=False)  # Sets it to cut nothing and to fill nothing up.
    backend = tokenizer.backend_tokenizer
    try:
        written = backend.to_str().encode()
    except Exception:  # whatever the library raises where a part is written in Python
        return _Backend(id(backend), backend)
    # Whether special tokens are read as text is not in what is written.
    form = hashlib.sha256(written).digest(), backend.encode_special_tokens
    return _Backend(form, backend)


@lru_cache(2**16)
def decode_part(tokenizer: Any, tokens: tuple[int, ...], skip_special: bool = True) -> str:
    """Return the text of a few tokens, remembered: it is asked for at every token made."""
    return decode(tokenizer, tokens, skip_special)


def decode(tokenizer: Any, tokens: Sequence[int], skip_special: bool = True) -> str:
    """Return the text of ``tokens``, by default without special ones; nothing is cleaned up.

    Special tokens that mark reasoning stay: without them it could not be told from the answer.
    """
    markers = _markers(tokenizer) if skip_special else frozenset[str]()
    own, skips = _backend(tokenizer), skip_special and not markers
    text: str = (
        tokenizer.decode(
            list(tokens), skip_special_tokens=skips, clean_up_tokenization_spaces=False
        )
        if own is None
        else own.backend.decode(list(tokens), skip_special_tokens=skips)
    )
    for special in special_texts(tokenizer) if markers else ():
        text = text if special in markers else text.replace(special, "")
    return text


@lru_cache(16)
def _markers(tokenizer: Any) -> frozenset[str]:
    return marker_texts(special_texts(tokenizer))


@lru_cache(16)
def special_texts(tokenizer: Any) -> tuple[str, ...]:
    """Return the texts of the tokens that a tokenizer holds to be special."""
    added = tokenizer.added_tokens_decoder.values()
    return tuple(token.content for token in added if token.special and token.content)
