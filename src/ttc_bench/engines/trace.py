"""The trace of a response: what became of each token, step, round or part on the way to it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["token", "step", "round", "part"]


@dataclass(frozen=True)
class TraceRecord:
    """One token, step or round, or one part of a text that is made part by part.

    Attributes:
        kind: What it is.
        text: Its text.
        state: Of a token ``accepted`` or ``rejected`` where it was drafted, ``own`` where the
            target chose it, ``exit`` where it left the stack at a layer; of a step ``kept`` or
            ``dropped``; of a round ``draft``, ``critique`` or ``revision``; of a part ``accepted``
            or ``rejected`` where a small model drafted it, ``own`` where the target wrote it,
            ``added`` by the policy, ``probe`` where an answer was only asked for on the way.
        parent: Place of the step that it goes on from; ``None`` for a first one.
        score: The score by which it was judged: the verifier's of the solution up to it, or how
            sure the policy was of it.
        layer: Layers that ran for it.
    """

    kind: Kind
    text: str
    state: str
    parent: int | None = None
    score: float | None = None
    layer: int | None = None


TokenTrace = tuple[int, str, int | None]
"""Token id, state and layer: what a decoding notes of a token; its text is read afterwards."""


def of_completion(kept: Iterable[Sequence[Any]] | None) -> tuple[TraceRecord, ...]:
    """Return the trace in the ``extra`` of a completion, whose records are text, state, layer."""
    return tuple(
        TraceRecord("token", text, state, layer=layer) for text, state, layer in kept or ()
    )
