"""What a stored response holds beyond single values: read by its type, or told with its column."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any

import pytest

from ttc_bench.errors import DataError
from ttc_bench.reporting import stored_response
from ttc_bench.reporting.answers import calls, tree_text

OF = {"policy": "best_of_n", "variant": "likelihood", "job_id": "mine/1"}

CALL = '{"request": 0, "purpose": "answer", "role": "target", "model": "m"%s}'

READ: dict[str, Callable[[Any], Any]] = {
    "samples": lambda value: stored_response.samples({**OF, "samples": value}),
    "info": lambda value: stored_response.noted({**OF, "info": value}),
    "scores": lambda value: stored_response.scores({**OF, "info": f'{{"scores": {value}}}'}, 2),
    "bill": lambda value: calls({**OF, "bill": value}),
    "call": lambda value: calls({**OF, "bill": f"[{CALL % value}]"}),
}
"""What reads each, and how its column is made."""

NOT_OF_THEIR_TYPE = {
    "samples": (["a", None], [1, 2], [b"a"], [["a"]], [{"a": 1}], [math.nan], [True]),
    "info": ("7", "null", '"text"', "[1]", "{", "\0", '{"a":' * 5_000, '{"a": "\\ud800"}',
             f'{{"a": {"9" * 5_000}}}'),
    "scores": ('"ab"', "[true, false]", '["1", "2"]', "[[1], [2]]", "[1]", "[1, 2, 3]", "7",
               '{"a": 1}', "false", '[1, "x"]'),
    "bill": ("7", "{}", "null", "true", "[1, 2]", "[null]", '["x"]', "[[1]]", "[{}]",
             "[" * 5_000, f"[{CALL % ''}, 1]", CALL % ""),
    "call": (', "usd": "1"', ', "latency_s": [1]', ', "flops": true', ', "replayed": 1',
             f', "prompt_tokens": {"9" * 30}', ', "attempts": -1', ', "completion_tokens": 0.5',
             ', "model": 7'),
}  # fmt: skip


@pytest.mark.parametrize(
    ("column", "value"),
    [(column, value) for column, values in NOT_OF_THEIR_TYPE.items() for value in values],
    ids=lambda value: str(value)[:30],
)
def test_what_is_not_of_its_type_is_told_by_column_response_and_remedy(
    column: str, value: Any
) -> None:
    name = {"scores": "info", "call": "bill"}.get(column, column)
    of = rf"^The column {name} of the response of best_of_n\.likelihood to mine/1 is damaged"
    with pytest.raises(DataError, match=rf"{of}[^\n]*: [^\n]+\. `kedro run` generates"):
        READ[column](value)


@pytest.mark.parametrize("nothing", [None, ""])
def test_what_another_version_lacks_is_empty(nothing: str | None) -> None:
    for own in (OF, {**OF, "info": nothing, "bill": nothing, "samples": None}):
        assert stored_response.noted(own) == {}
        assert stored_response.scores(own, 2) == [None, None]
        assert (stored_response.samples(own), stored_response.bill(own)) == ([], [])


def test_scores_that_are_not_known_are_null_among_the_others() -> None:
    """What scored minus infinity is stored as null; other versions wrote it as it was."""
    assert READ["scores"]("[null, 0.5]") == [None, 0.5]
    assert READ["scores"]("[-Infinity, 1]") == [-math.inf, 1.0]


def step(place: Any, parent: Any = None, **own: Any) -> dict[str, Any]:
    kind = {"kind": "step", "text": f"{place}", "state": "kept", "score": None, "layer": None}
    return {**OF, "place": place, "parent": parent, **kind, **own}


@pytest.mark.parametrize(
    ("column", "rows"),
    [
        *((name, [step(0), step(1, 0, **{name: None})]) for name in ("text", "kind", "state")),
        ("place", [step(0), step(None)]),
        ("place", [step(0), step(0)]),
        ("place", [step(1)]),
        ("parent", [step(0, 0)]),
        ("parent", [step(0), step(1, 2), step(2, 1)]),
        ("parent", [step(0, -1)]),
        ("layer", [step(0, layer=0.5)]),
        ("layer", [step(0, layer=math.inf)]),
    ],
)
def test_a_trace_whose_records_are_none_is_told(column: str, rows: list[dict[str, Any]]) -> None:
    of = f"The column {column} of the trace of the response of best_of_n.likelihood to mine/1 is"
    with pytest.raises(DataError, match=f"^{re.escape(of)} damaged at record {len(rows) // 2}: "):
        stored_response.trace(rows)


def test_a_search_may_be_deeper_than_calls_go() -> None:
    rows = stored_response.trace([step(0), *(step(n, n - 1.0) for n in range(1, 5_000))])
    assert tree_text(rows).count("\n") == 4_999
