"""A response and its bill: the row that a policy leaves behind for one job."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

from ttc_bench.engines.ledger import COLUMNS, Ledger
from ttc_bench.engines.trace import TraceRecord
from ttc_bench.metrics.resources import Reading
from ttc_bench.metrics.stored import as_of_now
from ttc_bench.policies.steering import STEERED
from ttc_bench.storable import REPLACEMENT, is_changed, storable

if TYPE_CHECKING:
    import pandas as pd
    import pyarrow as pa

logger = logging.getLogger(__name__)

Status = Literal["ok", "failed"]


NESTED = ("ledger", "resources", "control", "control_ttft_s", "is_timed", "trace", "steered")
"""Fields of a response whose parts are columns or rows of another table, or that decide what these
hold."""

RESOURCES = tuple(reading.name for reading in fields(Reading))
"""Readings of the machine, of the whole run of a variant; see `metrics.resources`."""


TIMES = ("ttft_s", *(column.spec.name for column in COLUMNS if column.spec.unit == "s"))
"""Columns that are measurements: null where a call was replayed, for its time is of another run,
and where a row failed by a call that has no clock."""

CONTROL = ("latency_s", "ttft_s", "flops", "usd")
"""Figures of a control that are columns, under ``control_`` and their name."""


@dataclass(frozen=True)
class Response:
    """What a policy returned for one job.

    Attributes:
        job_id: The job answered.
        benchmark: Its benchmark.
        task: Its task type.
        difficulty: Its difficulty level.
        model: Name of the target model.
        engine: Kind of engine.
        policy: Name of the policy.
        variant: Name of the variant, sweep point included (``majority[n=4]``).
        status: ``ok``, or ``failed``: then ``text`` is ``None`` and the error columns tell.
        text: The final answer.
        finish_reason: How the completion behind the answer ended (``stop`` or ``length``).
        error_type: Class of the failure.
        error_message: What went wrong, in one line.
        ttft_s: Time until the first token of the final answer could be shown.
        itl_s: Gaps between the tokens of the completion behind the answer, where the user sees them
            come; none where it is shown when it is whole.
        answer_tokens: Tokens of that completion, hidden reasoning left out; null where they were
            not counted, or the answer is put together of several.
        reasoning: Hidden reasoning of that completion, where the provider shows it.
        samples: Candidate texts that a sampling policy chose from.
        info: What the policy noted, e.g. ``{"confidence": 0.75, "rounds": 2}``.
        mean_logprob: Mean log-probability of the tokens of the completion behind the answer.
        resources: What the machine gave while the variant ran, by the names of `RESOURCES`.
        ledger: The bill.
        control: The bill of the baseline's decoding that was timed beside it.
        control_ttft_s: Time until the first token of that one's answer could be shown.
        control_first: Whether that ran first.
        trace: What became of tokens, steps or rounds; empty where it is not told.
        is_timed: Whether the bill's clock holds all that the user waited for; not where a call came
            to nothing, no try of which is billed.
        lossless: Whether the answer is the baseline's by construction, on this model.
        host: Name of the machine whose process answered.
        device: What the model computed on, there; ``None`` where others serve it.
        steered: What changed in how the run calls its models while this was answered.

    The column ``notes`` holds what a reader has to know of the calls of the bill: see
    `ttc_bench.engines.completion.NOTED`.
    """

    job_id: str
    benchmark: str
    task: str
    difficulty: str | None
    model: str
    engine: str
    policy: str
    variant: str
    status: Status
    text: str | None
    ledger: Ledger
    finish_reason: str | None = None
    error_type: str | None = None
    error_message: str | None = None
    ttft_s: float | None = None
    itl_s: tuple[float, ...] = ()
    answer_tokens: int | None = None
    reasoning: str | None = None
    samples: tuple[str, ...] = ()
    info: Mapping[str, Any] = field(default_factory=dict)
    mean_logprob: float | None = None
    resources: Mapping[str, Any] = field(default_factory=dict)
    control: Ledger = field(default_factory=Ledger)
    control_ttft_s: float | None = None
    control_first: bool | None = None
    lossless: bool | None = None
    host: str | None = None
    device: str | None = None
    is_timed: bool = True
    trace: Sequence[TraceRecord] = ()
    steered: tuple[str, ...] = ()

    @property
    def notes(self) -> tuple[str, ...]:
        """What a reader has to know of its calls, each thing once."""
        own = [note for call in self.ledger.calls for note in call.notes]
        return tuple(dict.fromkeys([*own, *(f"{STEERED}: {one}" for one in self.steered)]))

    @property
    def is_measured(self) -> bool:
        """Whether every call was made in this run, as it is, so that times are this variant's."""
        return not self.steered and not any(call.replayed for call in self.ledger.calls)

    def to_row(self) -> dict[str, Any]:
        """Return the Parquet row: identity, answer, totals of the bill, and the bill itself."""
        own = {f.name: getattr(self, f.name) for f in fields(self) if f.name not in NESTED}
        info, bill = dict(self.info), [call.to_json() for call in self.ledger.calls]
        row: dict[str, Any] = {
            **own,
            **{name: self.resources.get(name) for name in RESOURCES},
            "itl_s": list(self.itl_s),
            "samples": list(self.samples),
            "info": json.dumps(storable(info), sort_keys=True),
            **self.ledger.totals(),
            **{f"control_{name}": value for name, value in self._of_control().items()},
            "replayed": bool(self.ledger.calls) and all(c.replayed for c in self.ledger.calls),
            "measured": self.is_measured,
            "notes": list(self.notes),
            "bill": json.dumps(storable(bill)),
        }
        if not (self.is_measured and self.is_timed):
            row |= {**dict.fromkeys(TIMES), "itl_s": []}
        kept = {name: storable(value) for name, value in row.items()}
        same = {n for n, value in row.items() if kept[n] is value or kept[n] == value}
        within = [name for name, value in (("bill", bill), ("info", info)) if is_changed(value)]
        changed = [*within, *sorted(row.keys() - same)]
        if changed:
            kept["notes"] = [*kept["notes"], f"sanitised: {', '.join(changed)}"]
            logger.warning(
                "%s: %s of %s cannot be stored as they came: lone surrogates are now %s, numbers"
                " beyond 64 bits or not finite null.",
                *(self.variant, ", ".join(changed), self.job_id, REPLACEMENT),
            )
        return kept

    def _of_control(self) -> dict[str, Any]:
        """Return the figures of the control; its times only where it came to an answer, unsteered.

        A control that failed is paid for, and the time of its tries is that of no answer.
        """
        if not self.control.calls:
            return dict.fromkeys(CONTROL)
        figures = {**self.control.totals(), "ttft_s": self.control_ttft_s}
        has_answered = not all(call.is_broken for call in self.control.calls)
        if self.steered or not has_answered:
            figures |= dict.fromkeys(("latency_s", "ttft_s"))
        return {name: figures[name] for name in CONTROL}


def response_schema() -> pa.Schema:
    """Return the Arrow schema of a responses table; every column is always there."""
    import pyarrow as pa

    kinds = {
        "int | None": pa.int64(),
        "float | None": pa.float64(),
        "bool | None": pa.bool_(),
        "tuple[float, ...]": pa.list_(pa.float64()),
        "tuple[str, ...]": pa.list_(pa.string()),
    }
    own = [each for each in fields(Response) if each.name not in NESTED]
    return pa.schema(
        [
            *((f.name, kinds.get(str(f.type), pa.string())) for f in (*own, *fields(Reading))),
            *((c.spec.name, pa.int64() if c.is_integer else pa.float64()) for c in COLUMNS),
            *((f"control_{name}", pa.float64()) for name in CONTROL),
            ("replayed", pa.bool_()),
            ("measured", pa.bool_()),
            ("notes", pa.list_(pa.string())),
            ("bill", pa.string()),
        ]
    )


TRACED = ("job_id", "model", "benchmark", "policy", "variant")
"""Columns that name the response of a trace."""


def trace_schema() -> pa.Schema:
    """Return the Arrow schema of a table of traces."""
    import pyarrow as pa

    kinds = {name: pa.int64() for name in ("place", "parent", "layer")} | {"score": pa.float64()}
    names = (*TRACED, "place", *(f.name for f in fields(TraceRecord)))
    return pa.schema([(name, kinds.get(name, pa.string())) for name in names])


def to_traces(responses: Sequence[Response]) -> pd.DataFrame:
    """Return the traces of responses, a row per record.

    Columns: `TRACED`, ``place`` from 0 within a response, and those of `TraceRecord`.
    """
    import pandas as pd
    import pyarrow as pa

    rows = [
        {**{name: getattr(one, name) for name in TRACED}, "place": place, **vars(record)}
        for one in responses
        for place, record in enumerate(one.trace)
    ]
    table = pa.Table.from_pylist([storable(row) for row in rows], schema=trace_schema())
    frame = table.to_pandas(types_mapper=pd.ArrowDtype)
    assert isinstance(frame, pd.DataFrame)
    return frame


def to_frame(responses: Sequence[Response]) -> pd.DataFrame:
    """Return responses as a table with the columns and types of `response_schema`."""
    import pandas as pd
    import pyarrow as pa

    table = pa.Table.from_pylist([r.to_row() for r in responses], schema=response_schema())
    # Lists stay Python objects: pandas cannot read back the Arrow type of a list by its name.
    frame = table.to_pandas(
        types_mapper=lambda kind: None if pa.types.is_list(kind) else pd.ArrowDtype(kind)
    )
    assert isinstance(frame, pd.DataFrame)
    return frame


NEEDED = ("job_id", "benchmark", "task", "model", "engine", "policy", "variant", "status", "text")
"""Columns without which a stored response says nothing."""


def responses_of_now(tables: Sequence[pd.DataFrame]) -> list[pd.DataFrame]:
    """Return stored tables of responses with the columns of this version.

    Raises:
        DataError: If one lacks what every response has.
    """
    columns = {field.name: field.type for field in response_schema()}
    remedy = "`kedro run` generates them anew."
    return as_of_now(tables, columns, NEEDED, "responses", remedy)
