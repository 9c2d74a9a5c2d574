"""Elastic batching: which requests decode together, and when a free slot is refilled.

Requests are packed into one padded batch under a token budget; a finished one leaves at once and
the next that fits takes its place. It is the continuous batching of inference servers (Orca,
Yu et al., OSDI 2022), at the level of iterations. Nothing here imports torch.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from ttc_bench.engines.base import Capability, Decoding, Requirements
from ttc_bench.errors import UserError

if TYPE_CHECKING:
    from ttc_bench.engines.runtime.context import DecodeContext
    from ttc_bench.engines.runtime.runner import WhiteBox


class ElasticBatch(Decoding):
    """Plain decoding of many requests in one batch; `Engine.complete_many` takes them together.

    A batch of ``r`` rows whose longest reserves ``w`` positions takes ``r * w`` of the budget: the
    padded size that its cache may grow to.

    Attributes:
        order: ``greedy`` admits waiting requests first-fit, in the order given; ``sorted`` does
            the same in order of length, longest first, so that neighbours are of similar length.
        token_budget: Most padded positions in the batch.
        max_rows: Most requests in the batch.
    """

    requires: ClassVar[Requirements] = {
        "target": frozenset({Capability.GENERATE, Capability.BATCH})
    }
    lossless: ClassVar[bool] = True

    order: Literal["greedy", "sorted"] = "greedy"
    token_budget: int = Field(default=8192, ge=1)
    max_rows: int = Field(default=16, ge=1)

    def run(self, context: DecodeContext) -> None:
        """Decode one sample: a batch of one."""
        for _ in self.steps(context.white_box, {0: context}):
            pass

    def steps(
        self, runner: WhiteBox, contexts: Mapping[int, DecodeContext]
    ) -> Iterator[tuple[list[int], list[int]]]:
        """Decode all samples together; see `runtime.batch.decode_elastic`.

        Raises:
            UserError: If a sample alone exceeds the token budget.
        """
        from ttc_bench.engines.runtime.batch import decode_elastic

        demands = [Demand(i, len(c.prompt), c.capacity) for i, c in contexts.items()]
        return decode_elastic(runner, contexts, Queue(self, demands))


@dataclass(frozen=True)
class Demand:
    """What one request may need.

    Attributes:
        index: Place of the request among those given.
        prompt: Positions of its prompt.
        reserved: Positions of prompt and longest possible answer.
    """

    index: int
    prompt: int
    reserved: int


class Queue:
    """The requests that wait, admitted as a batch has room.

    Args:
        batch: Its order and its limits.
        demands: One per request.

    Raises:
        UserError: If a request alone exceeds the token budget.
    """

    def __init__(self, batch: ElasticBatch, demands: Sequence[Demand]) -> None:
        self._batch = batch
        longest = max((d.reserved for d in demands), default=0)
        if longest > batch.token_budget:
            raise UserError(
                f"the token budget of a batch is {batch.token_budget}, but one request alone"
                f" may need {longest} positions: raise token_budget or lower max_tokens."
            )
        self._waiting = list(demands)
        if batch.order == "sorted":
            self._waiting.sort(key=lambda d: -d.prompt)

    def __len__(self) -> int:
        return len(self._waiting)

    def admit(self, running: Sequence[int]) -> list[Demand]:
        """Return the waiting requests that join now, and forget them.

        Args:
            running: Positions reserved by each request in the batch.
        """
        rows, width = len(running), max(running, default=0)
        admitted: list[Demand] = []
        for demand in self._waiting:
            wider = max(width, demand.reserved)
            if rows < self._batch.max_rows and (rows + 1) * wider <= self._batch.token_budget:
                admitted.append(demand)
                rows, width = rows + 1, wider
        taken = {demand.index for demand in admitted}
        self._waiting = [d for d in self._waiting if d.index not in taken]
        return admitted
