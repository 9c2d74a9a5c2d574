"""What a stored response holds beyond single values, each read by its type.

Files come from other versions and other hands: what is not of its type is told with the column and
the response that it is of, and never shown as something else.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, NotRequired

from pydantic import (
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    TypeAdapter,
    ValidationError,
)
from typing_extensions import TypedDict

from ttc_bench.metrics.stored import damaged, of_json, valid
from ttc_bench.reporting.row_dicts import Row
from ttc_bench.reporting.sheet import counted_as, known

Count = Annotated[StrictInt, Field(ge=0, lt=2**63)] | None
Number = StrictFloat | None


class BilledCall(TypedDict):
    """What is read of a call of a bill; see `ttc_bench.engines.ledger.Call`."""

    request: StrictInt
    purpose: StrictStr
    role: StrictStr
    model: StrictStr
    prompt_tokens: NotRequired[Count]
    completion_tokens: NotRequired[Count]
    verifier_tokens: NotRequired[Count]
    latency_s: NotRequired[Number]
    flops: NotRequired[Number]
    usd: NotRequired[Number]
    attempts: NotRequired[Count]
    replayed: NotRequired[StrictBool]


class Traced(TypedDict):
    """A record of a trace; see `ttc_bench.engines.trace.TraceRecord`."""

    place: int
    kind: StrictStr
    text: StrictStr
    state: StrictStr
    parent: int | None
    score: NotRequired[Number]
    layer: int | None


class _Scored(TypedDict, total=False):
    scores: list[Number] | None


_TEXTS = TypeAdapter(list[StrictStr])
_NOTES = TypeAdapter(dict[str, Any])
_SCORED = TypeAdapter(_Scored)
_BILL = TypeAdapter(list[BilledCall])
_TRACE = TypeAdapter(list[Traced])


def samples(response: Row) -> list[str]:
    """Return the candidate texts that a policy chose from, in the order in which they came.

    Raises:
        DataError: If the column ``samples`` is damaged.
    """
    texts = response.get("samples")
    return [] if texts is None else valid(_TEXTS, list(texts), response, "samples")


def noted(response: Row) -> dict[str, Any]:
    """Return what the policy noted of its decision.

    Raises:
        DataError: If the column ``info`` is damaged.
    """
    return of_json(_NOTES, response, "info") or {}


def scores(response: Row, n: int) -> list[float | None]:
    """Return the score that the policy noted for each of its candidates; nulls where it noted none.

    Args:
        response: The response.
        n: How many candidates it has.

    Raises:
        DataError: If the column ``info`` is damaged, or holds other scores.
    """
    own = (of_json(_SCORED, response, "info") or {}).get("scores")
    if own and len(own) != n:
        wrong = f"{counted_as(len(own), 'score')} of {counted_as(n, 'sample')}"
        raise damaged(response, "info", ("scores",), wrong)
    return own or [None] * n


def bill(response: Row) -> list[BilledCall]:
    """Return the calls of a response, in their order.

    Raises:
        DataError: If the column ``bill`` is damaged.
    """
    return of_json(_BILL, response, "bill") or []


def trace(rows: Sequence[Row]) -> list[Traced]:
    """Return the trace of a response, in its order.

    Args:
        rows: Its rows in the table of traces, by their ``place``.

    Raises:
        DataError: If a column is damaged: a value is missing or of another kind, places do not
            count from 0, or a step goes on from none before it.
    """
    values = [{name: value if known(value) else None for name, value in row.items()}
              for row in rows]  # fmt: skip
    try:
        records = _TRACE.validate_python(values)
    except ValidationError as error:
        first = error.errors()[0]
        number, column = first["loc"][:2]
        raise damaged(rows[0], str(column), (f"record {number}",), first["msg"], "trace") from error
    for place, (row, record) in enumerate(zip(rows, records, strict=True)):
        parent = record["parent"]
        if record["place"] != place:
            raise damaged(row, "place", (f"record {place}",), "places count from 0", "trace")
        if parent is not None and not 0 <= parent < place:
            raise damaged(
                row, "parent", (f"record {place}",), "it goes on from none before it", "trace"
            )
    return records
