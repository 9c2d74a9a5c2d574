"""What comes back from a call to a model: text, bill and clock, or why there is none."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, Literal

from ttc_bench.engines.columns import counted, counter, last, peak, reported, slowest
from ttc_bench.statistics.totals import total

FinishReason = Literal["stop", "length"]

NOTED: Mapping[str, str] = {
    "sanitised": "hold characters or numbers that nothing can store, and had them replaced",
    "prompt_cut": "answer a prompt of which the server read a part",
    "usage": "have no token counts from their server: their tokens and dollars are null",
    "thinking": "had their reasoning ended by the budget",
    "near_ties": "hold tokens whose two likeliest differ by rounding alone in half precision, so"
    " that the shape of a pass decides (model.precision=exact computes in float32)",
    "finish": "ended without a reason that is known",
    "choices": "are the first of several that came",
    "past_max_tokens": "went on past the tokens that they were allowed",
    "logprobs": "have a token without a log-probability: they have none",
    "steered": "were at work when the run was paused or called otherwise: their times are null",
    "logprobs_of": "have other numbers of log-probabilities than of tokens",
}
"""Facts about a call (`Completion.extra`) that bear on its figures, and what a response has that
holds such a call, in words."""


@dataclass(frozen=True)
class Usage:
    """The compute of one completion. Token counts are of the answering model's tokenizer.

    What `counter` declares is a column of every response; its definition is the response's, so
    that a completion's own figure is the same for a single call. ``None`` means unknown (a hosted
    model does not tell), never zero.

    Attributes:
        is_estimated: The server told no counts: those of tokens are estimates, which control a
            policy and are null in every table.
        prefill_flops: Floating point operations of the prompt, of all models taking part.
        decode_flops: Floating point operations after the prompt, of all models.
        batch_size: Sequences decoded together (the mean over steps where it varies).
    """

    prompt_tokens: int = counter(
        0, "tokens", "Prompt tokens of all calls; null where a server did not count them.", counted
    )
    cached_tokens: int = counter(
        0, "tokens", "Prompt tokens that were not computed again.", counted, True
    )
    completion_tokens: int = counter(
        0,
        "tokens",
        "Tokens generated in all calls, ends and hidden reasoning included; null where a server"
        " did not count them.",
        counted,
    )
    reasoning_tokens: int | None = counter(
        0, "tokens", "Those of hidden reasoning, where the provider counts them apart.", counted
    )
    draft_tokens: int | None = counter(
        0, "tokens", "Tokens proposed by speculation.", higher_is_better=None
    )
    accepted_tokens: int | None = counter(
        0, "tokens", "Proposed tokens that the target accepted.", higher_is_better=True
    )
    verifier_tokens: int = counter(0, "tokens", "Tokens read by a verifier.")
    forward_passes: int | None = counter(
        None, "passes", "Passes through the answering model, prefill included."
    )
    draft_forward_passes: int | None = counter(None, "passes", "Passes through a draft model.")
    layers_run: int | None = counter(
        None, "layers", "Decoder layers executed over all forward passes."
    )
    prefill_flops: float | None = None
    decode_flops: float | None = None
    peak_kv_bytes: int | None = counter(None, "bytes", "Largest size of the key-value cache.", peak)
    kv_share_kept: float | None = counter(
        None, "1", "Peak cached positions over those of a full cache.", last, None
    )
    padding_share: float | None = counter(
        None, "1", "Padded positions over positions computed.", last
    )
    batch_size: float = 1.0
    is_estimated: bool = False

    @property
    def flops(self) -> float | None:
        """Floating point operations of all models taking part."""
        return total((self.prefill_flops, self.decode_flops))


@dataclass(frozen=True)
class Timing:
    """When things happened, in seconds of the monotonic clock since the call's first try left.

    A user waits ``queue_s``, then for a connection where none is open, then ``latency_s``. A wait
    in our limiter before the first try is queue, whoever imposed it; what passes between a failed
    try and the next one is retry, our limiter included.

    Attributes:
        queue_s: Wait in our own limiter before the first try left.
        ttft_s: Time to the first token of the answer itself, failed tries and hidden reasoning
            included, queue excluded.
        latency_s: Time to the last token, failed tries included, queue excluded.
        retry_s: Part of both until the successful try left: the failed tries and the waits after
            them (backoff, Retry-After, our own limiter again).
        itl_s: Gaps between successive deliveries of tokens (inter-token latencies) in the
            successful try; a pass that yields several tokens at once delivers them with gaps of
            zero.
        reasoning_s: From the first token of hidden reasoning that was seen to the answer's.
        provider_s: Total time that the provider itself reports.
        provider_queue_s: Queue time that the provider itself reports.
    """

    queue_s: float = counter(
        0.0, "s", "Wait in the client's own limiter before first tries, summed over calls.", slowest
    )
    ttft_s: float | None = None
    latency_s: float = counter(
        0.0, "s", "End to end: all calls, failed tries included, one after the other.", slowest
    )
    retry_s: float = counter(
        0.0,
        "s",
        "Part of the latency: time spent on failed tries and the waits after them.",
        slowest,
    )
    itl_s: tuple[float, ...] = ()
    reasoning_s: float | None = counter(
        0.0,
        "s",
        "Part of the latency: hidden reasoning before the answer, as it was seen.",
        slowest,
    )
    provider_s: float | None = counter(
        None, "s", "Total time that the provider itself reports.", reported
    )
    provider_queue_s: float | None = counter(
        None, "s", "Queue time that the provider itself reports.", reported
    )


def _fields(record: Any) -> dict[str, Any]:
    """Return the fields of a record, its usage and timing as what `asdict` makes of them.

    `asdict` copies token by token, which took longer than writing the journal.
    """
    return {**vars(record), "usage": {**vars(record.usage)}, "timing": {**vars(record.timing)}}


def _restored(cls: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of a record, its usage and timing as what they were before `asdict`.

    Raises:
        ValueError: If the record has other fields in the place of its own.
    """
    timing = {**data["timing"], "itl_s": tuple(data["timing"]["itl_s"])}
    usage = Usage(**_known(Usage, data["usage"]))
    times = {**timing, "itl_s": None}
    figures = (*data["usage"].values(), *times.values(), *timing["itl_s"])
    if not all(each is None or isinstance(each, int | float) for each in figures):
        raise ValueError("a figure is no number")
    if not all(isinstance(data[name], str) for name in ("model", "text") if name in data):
        raise ValueError("a text is none")
    return {**_known(cls, data), "usage": usage, "timing": Timing(**_known(Timing, timing))}


def _known(cls: type[Any], data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the fields of this version; one that has added some wrote all of these, too."""
    names = _names(cls)
    if (more := data.keys() - names) and (lacking := names - data.keys()):
        raise ValueError(f"{', '.join(sorted(more))} in place of {', '.join(sorted(lacking))}")
    return {name: value for name, value in data.items() if name in names}


_NAMES: dict[type[Any], frozenset[str]] = {}


def _names(cls: type[Any]) -> frozenset[str]:
    if cls not in _NAMES:
        _NAMES[cls] = frozenset(each.name for each in fields(cls))
    return _NAMES[cls]


def unknown_fields(kind: type[Completion | Reading], record: Mapping[str, Any]) -> set[str]:
    """Return the fields of a record that this version does not have, by name."""
    parts = ((kind, record), (Usage, record["usage"]), (Timing, record["timing"]))
    return {name for cls, part in parts for name in part.keys() - _names(cls)}


@dataclass(frozen=True)
class BrokenCall:
    """A try that broke off after the provider had begun to answer: no answer, but billed.

    Attributes:
        error_type: How it broke ("broken_stream", "timeout", ...).
        model: Name of the model that was answering.
        usage: Tokens of the prompt and of what had arrived.
        timing: The clock of the call until it broke: all of its latency is lost on tries.
        usd: Price in dollars; ``None`` where no price is known.
    """

    error_type: str
    model: str
    usage: Usage
    timing: Timing
    usd: float | None = None

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> BrokenCall:
        """Restore what ``dataclasses.asdict`` made."""
        return cls(**_restored(cls, data))


@dataclass(frozen=True)
class Completion:
    """What came back for one sample of a request.

    Attributes:
        index: Seed index of the sample.
        text: Decoded text, special tokens and stop string removed.
        token_ids: Generated tokens, end token included; empty where the engine cannot tell.
        logprobs: Log-probability of each generated token under the answering model.
        finish_reason: ``stop`` (end token or stop string) or ``length`` (budget used up).
        model: Name of the model that answered.
        usage: The bill.
        timing: The clock.
        usd: Price in dollars; ``None`` where no price is known, 0 for local models.
        attempts: Tries it took, the successful one included.
        shared_prefill: The engine computes the prompt once for all samples of a request.
        replayed: Taken from the journal of an earlier call; timings are the first ones.
        extra: Provider facts worth keeping (e.g. rate-limit headers, exit layers). Where the engine
            can tell, ``stop_reason`` is the stop string that ended the sample, and ``None`` if the
            model ended its turn by itself (vLLM's field of that name).
        broken: Tries before the successful one that broke off half-way and are billed.
    """

    index: int
    text: str
    token_ids: tuple[int, ...]
    logprobs: tuple[float, ...] | None
    finish_reason: FinishReason
    model: str
    usage: Usage
    timing: Timing
    usd: float | None = 0.0
    attempts: int = 1
    shared_prefill: bool = False
    replayed: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict)
    broken: tuple[BrokenCall, ...] = ()

    @property
    def mean_logprob(self) -> float | None:
        """Mean log-probability of its tokens; ``None`` if there is none, or the engine hides it."""
        return sum(self.logprobs) / len(self.logprobs) if self.logprobs else None

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader of its row has to know, each as ``fact: in words``; see `NOTED`."""
        if NOTED.keys().isdisjoint(self.extra):
            return ()
        return tuple(f"{name}: {self.extra[name]}" for name in NOTED if name in self.extra)

    @property
    def answer_tokens(self) -> int | None:
        """Tokens of the answer itself; ``None`` where they or the hidden ones are not counted."""
        usage, is_hidden = self.usage, "reasoning" in self.extra
        if usage.is_estimated or (is_hidden and not usage.reasoning_tokens):
            return None
        return usage.completion_tokens - (usage.reasoning_tokens or 0)

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict from which `from_json` restores an equal completion."""
        broken = [_fields(call) for call in self.broken]
        return {**_fields(self), "extra": dict(self.extra), "broken": broken}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Completion:
        """Restore a completion written by `to_json`."""
        return cls(
            **{
                **_restored(cls, data),
                "token_ids": tuple(data["token_ids"]),
                "logprobs": None if data["logprobs"] is None else tuple(data["logprobs"]),
                "broken": tuple(BrokenCall.from_json(b) for b in data.get("broken", ())),
            }
        )

    def as_replay(self, index: int) -> Completion:
        """Return this completion marked as taken from the journal."""
        return replace(self, index=index, replayed=True)


@dataclass(frozen=True)
class TokenLogprob:
    """One prompt token: its text span in the message and how likely it was.

    Attributes:
        start: Offset of its first character in the text.
        end: Offset after its last character.
        logprob: Natural log-probability given all before it; ``None`` for the first token.
    """

    start: int
    end: int
    logprob: float | None


@dataclass(frozen=True)
class Reading:
    """What reading a text (without generating) gave, with its bill.

    Attributes:
        scores: Verifier scores in [0, 1], one per solution given (`Engine.verify`).
        tokens: Log-probability of each token of the text (`Engine.prompt_logprobs`).
        model: Name of the model that read.
        usage: The bill: the tokens read are ``verifier_tokens``.
        timing: The clock.
        usd: Price in dollars; ``None`` where no price is known.
        replayed: Taken from the journal.
    """

    model: str
    usage: Usage
    timing: Timing
    scores: tuple[float, ...] = ()
    tokens: tuple[TokenLogprob, ...] = ()
    usd: float | None = 0.0
    replayed: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a JSON-ready dict from which `from_json` restores an equal reading."""
        return {**_fields(self), "tokens": [{**vars(token)} for token in self.tokens]}

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Reading:
        """Restore what `to_json` made, marked as taken from the journal."""
        scores, tokens = tuple(data["scores"]), tuple(TokenLogprob(**t) for t in data["tokens"])
        return cls(**{**_restored(cls, data), "scores": scores, "tokens": tokens, "replayed": True})


LIMIT = "budget"
"""The class of a failure by a limit that the user has set."""


class CallError(Exception):
    """A call failed for good: retries, if any, are used up.

    Attributes:
        error_type: Short class of the failure ("rate_limit", "timeout", ...).
        attempts: Tries made.
        fatal: No other call can succeed either (bad key, unknown model): stop the run.
        broken: Tries that broke off half-way and are billed.
    """

    def __init__(
        self,
        error_type: str,
        message: str,
        *,
        attempts: int = 1,
        fatal: bool = False,
        broken: Sequence[BrokenCall] = (),
    ) -> None:
        super().__init__(message)
        self.error_type = error_type
        self.attempts = attempts
        self.fatal = fatal
        self.broken = tuple(broken)

    @property
    def lets_end(self) -> bool:
        """Whether calls that are on their way may end: those are paid, and no other begins."""
        return self.error_type == LIMIT
