"""The bill of a response: a line per call, and the columns that the lines add up to."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from ttc_bench.engines.base import ReadRequest, Request
from ttc_bench.engines.columns import (
    Column,
    Figure,
    Total,
    columns,
    counted,
    counter,
    figure,
    last,
    summed,
)
from ttc_bench.engines.completion import BrokenCall, Completion, Reading, Timing, Usage
from ttc_bench.statistics.totals import total

Asked = Request | ReadRequest
"""What a line of the bill is of."""

Done = Completion | Reading | BrokenCall
"""What came back for it."""


@dataclass(frozen=True, kw_only=True)
class Call(Usage, Timing):
    """One line of the bill: the compute and the clock of one sample, one reading or one lost try.

    The counters are what this call costs when its policy runs alone. ``None`` is unknown, never
    zero.

    Attributes:
        request: Number of its request; samples of one request run side by side.
        role: Role of the model that was called.
        purpose: What the call was for ("answer", "probe", ...).
        model: Name of that model.
        prompt_share_kept: Prompt tokens kept after pruning over tokens before.
        usd: Its price in dollars.
        attempts: Tries it took, the successful one included.
        replayed: Taken from the journal: nothing was spent on it this time.
        notes: What a reader has to know of it; see `Completion.notes`.
    """

    request: int
    role: str
    purpose: str
    model: str
    prompt_share_kept: float | None = counter(
        None, "1", "Prompt tokens left after pruning.", last, None
    )
    usd: float | None = counter(
        0.0, "USD", "Price of all calls when the policy runs alone; null without a known price."
    )
    attempts: int = 1
    replayed: bool = False
    notes: tuple[str, ...] = ()

    @property
    def is_broken(self) -> bool:
        """Whether it is a try that broke off: billed, and behind no answer."""
        return self.purpose == "broken"

    def to_json(self) -> dict[str, Any]:
        """Return the line as it stands in the column ``bill``; token gaps are left out."""
        line = {**asdict(self), "flops": self.flops}
        del line["itl_s"]
        return line


def _spent(part: Callable[[Call], Figure]) -> Total:
    """Return what sums a part of every call that was really made."""
    return lambda calls, _: total(part(call) for call in calls if not call.replayed)


def _fresh(call: Call) -> Figure:
    """Return the tokens that were computed for a call, if they were counted."""
    if call.is_estimated:
        return None
    return call.prompt_tokens - call.cached_tokens + call.completion_tokens


COLUMNS: tuple[Column, ...] = (
    Column(
        figure("calls", "calls", "Calls made, readings by a verifier included."),
        lambda calls, _: len(calls),
        is_integer=True,
    ),
    *columns(Call),
    Column(figure("flops", "FLOP", "Floating point operations of all models taking part."), summed),
    Column(
        figure("retries", "calls", "Tries beyond the first, of all calls."),
        lambda calls, _: sum(call.attempts - 1 for call in calls),
        is_integer=True,
    ),
    Column(
        figure("broken_tokens", "tokens", "Completion tokens of tries that broke off."),
        lambda calls, _: counted([call for call in calls if call.is_broken], "completion_tokens"),
        is_integer=True,
    ),
    Column(
        figure(
            "spent_calls", "calls", "Calls really made: those replayed from a journal are free."
        ),
        _spent(lambda _: 1),
        is_integer=True,
    ),
    Column(
        figure("spent_tokens", "tokens", "Uncached prompt and completion tokens really computed."),
        _spent(_fresh),
        is_integer=True,
    ),
    Column(
        figure("spent_flops", "FLOP", "Floating point operations really spent."),
        _spent(lambda call: call.flops),
    ),
    Column(
        figure(
            "spent_usd",
            "USD",
            "Price of the calls really made: those replayed from a journal are free.",
        ),
        _spent(lambda call: call.usd),
    ),
)
"""Every column of the responses that comes from the bill."""


@dataclass
class Ledger:
    """The whole bill of one response.

    Attributes:
        calls: Every call, in the order in which they were billed.
        on_call: Is told of each, with what was asked and what came back, if there is anyone to
            tell.
    """

    calls: list[Call] = field(default_factory=list)
    on_call: Callable[[Call, Asked, Done], None] | None = field(
        default=None, compare=False, repr=False
    )

    def totals(self) -> dict[str, Figure]:
        """Return the figures of the response by the names of `COLUMNS`."""
        return {c.spec.name: c.total(self.calls, c.spec.name) for c in COLUMNS}

    def bill(
        self, request: Request, completions: Sequence[Completion], broken: Sequence[BrokenCall] = ()
    ) -> None:
        """Enter the samples of a request, and what was charged for tries that came to nothing.

        Where the samples shared the prompt's computation, the first one bears it.
        """
        number = self._next_number()
        for position, completion in enumerate(completions):
            is_charged = position == 0 or not completion.shared_prefill
            self._enter(
                number,
                request,
                completion if is_charged else _without_prompt(completion),
                prompt_share_kept=request.prompt_share_kept,
                attempts=completion.attempts,
                replayed=completion.replayed,
                notes=completion.notes,
            )
            for lost in completion.broken:
                self._enter(number, request, lost, purpose="broken", replayed=completion.replayed)
        for lost in broken:
            self._enter(number, request, lost, purpose="broken")

    def bill_reading(self, request: ReadRequest, reading: Reading) -> None:
        """Enter one reading."""
        self._enter(self._next_number(), request, reading, replayed=reading.replayed)

    def _next_number(self) -> int:
        return self.calls[-1].request + 1 if self.calls else 0

    def _enter(
        self,
        number: int,
        request: Asked,
        done: Done,
        **facts: Any,
    ) -> None:
        line = {
            **vars(done.timing),
            **vars(done.usage),
            "request": number,
            "role": request.role,
            "purpose": request.purpose,
            "model": done.model,
            "usd": done.usd,
        }
        self.calls.append(Call(**{**line, **facts}))
        if self.on_call is not None:
            self.on_call(self.calls[-1], request, done)


def _without_prompt(completion: Completion) -> Completion:
    """Return a completion whose prompt was computed for another sample."""
    usage = completion.usage
    usage = replace(usage, cached_tokens=usage.prompt_tokens, prefill_flops=0.0)
    return replace(completion, usage=usage)
