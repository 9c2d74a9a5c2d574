"""What the tables that pages read hold, by which one of another version or origin is told."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from functools import cache
from typing import Any, NamedTuple

from ttc_bench.metrics.base import score_columns
from ttc_bench.params import close_matches
from ttc_bench.policies.responses import NEEDED as OF_RESPONSES
from ttc_bench.policies.responses import response_schema, trace_schema
from ttc_bench.reporting.scaling import COLUMNS as OF_SCALING
from ttc_bench.types import GROUP

OF_SCORES = (
    *("run_id", "config", "job_id", "task", "difficulty", "status", "reward"),
    *("latency_s", "total_tokens", "flops", "usd", *GROUP),
)
"""Columns without which no page can show scores; what later versions added beside, as controls and
digests of answers, a decision goes without."""

ANEW = "`kedro run` makes it anew, and replays what is computed."
"""What to do with any other table."""

NOT_ANEW = "Choose another run above, or remove the file: none but its own run can make it anew."
"""What to do with the scores of an earlier run that cannot be read."""

Kind = str
"""What a column holds, in words."""

TEXT, NUMBER, FLAG = "text", "numbers", "true or false"

_OF_PANDAS = {"string": TEXT, "Float64": NUMBER, "Int64": NUMBER, "boolean": FLAG}

_OF_ARROW: Mapping[str, Kind | None] = {
    "is_null": None,
    "is_boolean": FLAG,
    **dict.fromkeys(("is_integer", "is_floating", "is_decimal"), NUMBER),
    **dict.fromkeys(("is_string", "is_large_string", "is_string_view"), TEXT),
}
"""What a column holds by the test of ``pyarrow.types`` that its type passes."""


class Columns(NamedTuple):
    """Columns of a table.

    Attributes:
        kinds: What each holds that is known.
        needed: Those without which pages cannot show it.
    """

    kinds: Mapping[str, Kind]
    needed: Collection[str]


@cache
def columns_of(name: str) -> Columns:
    """Return what a table of the catalog is expected to hold; nothing of one that is not known."""
    if name in ("all_scores", "kept_scores"):
        return Columns({**_kinds(score_columns()), "run_id": TEXT, "config": TEXT}, OF_SCORES)
    known = {
        "stored_scores": Columns(_kinds(score_columns()), ()),
        "stored_responses": Columns(_kinds(_types(response_schema())), OF_RESPONSES),
        "stored_traces": Columns(
            _kinds(_types(trace_schema())), [n for n in trace_schema().names if n != "score"]
        ),
        "scaling": _of_pandas(OF_SCALING),
        "frontier": _of_pandas(_FRONTIER),
        "intervals": _of_pandas(_INTERVALS),
    }
    return known.get(name, Columns({}, ()))


_FRONTIER = {
    **dict.fromkeys((*GROUP, "level", "cost_metric", "dominated_by"), "string"),
    **dict.fromkeys(("quality", "cost", "n"), "Float64"),
    "on_frontier": "boolean",
}
"""Of the mart ``frontier``, what its plot reads."""

_INTERVALS = {
    **dict.fromkeys((*GROUP, "metric"), "string"),
    **dict.fromkeys(("mean", "mean_low", "mean_high"), "Float64"),
}
"""Of the table ``intervals``, what plots read."""


def faults(name: str, asked: Collection[str], there: Mapping[str, Any]) -> Iterator[str]:
    """Yield what is wrong with the columns of a file, the gravest first.

    Args:
        name: Name of its table in the catalog.
        asked: Columns that are to be read; none are all.
        there: Arrow's types of the columns that it has, by name.
    """
    expected = columns_of(name)
    for column in dict.fromkeys((*expected.needed, *asked)):
        if column not in there:
            yield f"has no column {column}.{close_matches(column, there)}"
    for column, kind in expected.kinds.items():
        if column in there and (column in expected.needed or column in asked or not asked):
            own = kind_of(there[column])
            if own not in (None, kind):
                yield f"holds {own} in its column {column}; expected: {kind}."


def _of_pandas(columns: Mapping[str, str]) -> Columns:
    return Columns({name: _OF_PANDAS[kind] for name, kind in columns.items()}, list(columns))


def _types(schema: Any) -> dict[str, Any]:
    return {field.name: field.type for field in schema}


def _kinds(types: Mapping[str, Any]) -> dict[str, Kind]:
    return {name: str(kind_of(kind)) for name, kind in types.items()}


def kind_of(kind: Any) -> Kind | None:
    """Return what a column of an Arrow type holds, in words; ``None`` of nothing but nulls."""
    from pyarrow import types

    if types.is_dictionary(kind):
        return kind_of(kind.value_type)
    if types.is_list(kind) or types.is_large_list(kind):
        return f"lists of {own}" if (own := kind_of(kind.value_type)) else None
    return next((told for test, told in _OF_ARROW.items() if getattr(types, test)(kind)), str(kind))
