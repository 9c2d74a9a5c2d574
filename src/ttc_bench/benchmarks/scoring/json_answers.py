"""JSON in the answers of models: bare, between fences, in a sentence, with sources behind it.

Pure text handling. Where an answer holds several values of which any may be meant, none is read.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any, NamedTuple, NoReturn

from ttc_bench.benchmarks.answers import answer_span, partners

_FENCE = re.compile(r"(```|~~~)(?P<name>\w*)[ \t]*\n(?P<inside>.*?)\1", re.DOTALL)
_OPENING = re.compile(r"[{\[]")
_MEANT = re.compile(r"\{\s*(?:[\"']|\w+\s*:)|\[")
"""The beginning of what is meant to be JSON; what it holds is no answer in its place."""


class Placed(NamedTuple):
    """A value in a text.

    Attributes:
        value: The value.
        is_apart: It has lines of its own.
    """

    value: Any
    is_apart: bool


def json_value(answer: str) -> Any:
    """Return the JSON value that an answer is, holds between fences, or has its last object of.

    Raises:
        ValueError: If there is none, or it is open which of several is meant.
    """
    fences = [fence["inside"] for fence in _FENCE.finditer(answer)]
    for text in (answer, *reversed(fences)):
        try:
            return strict(text.strip())
        except (ValueError, RecursionError):
            continue
    outside = _FENCE.sub("\n", answer)
    for text in dict.fromkeys((outside, answer, answer_span(answer) or "")):
        if values := _values(text):
            return _meant(values)
    raise ValueError("no JSON value")


def strict(text: str) -> Any:
    """Return the value of a text in JSON.

    Raises:
        ValueError: If it is none, as NaN, or an object that says something twice.
    """
    return json.loads(text, object_pairs_hook=_object, parse_constant=_no_number)


def _object(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
    names = dict(pairs)
    if len(names) < len(pairs):
        raise ValueError("an object says something twice")
    return names


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is no JSON")


def _values(text: str) -> list[Placed]:
    """Return the objects and lists in a text that are no part of others, behind broken ones."""
    decoder = json.JSONDecoder(object_pairs_hook=_object, parse_constant=_no_number)
    values, at, partner = list[Placed](), 0, partners(text)
    while opening := _OPENING.search(text, at):
        start = opening.start()
        try:
            value, at = decoder.raw_decode(text, start)
            values.append(Placed(value, _is_apart(text, start, at)))
        except RecursionError:
            break
        except ValueError:
            if not _MEANT.match(text, start):
                at = start + 1
                continue
            is_object = text[start] == "{"
            if is_object:
                values.clear()
            at = partner.get(start, len(text) if is_object else start) + 1
    return values


def _is_apart(text: str, start: int, end: int) -> bool:
    before, behind = text[:start].rpartition("\n")[2], text[end:].partition("\n")[0]
    return not (before.strip() or behind.strip(" \t\r.,;"))


def _meant(values: Sequence[Placed]) -> Any:
    """Return the value that is meant: the last one, numbers of sources aside.

    Raises:
        ValueError: If it is a list in the words behind an object: either may be meant.
    """
    without = [placed for placed in values if placed.is_apart or not _is_source(placed.value)]
    last = (without or values)[-1]
    is_beside = isinstance(last.value, list) and not last.is_apart
    if is_beside and any(isinstance(placed.value, dict) for placed in without):
        raise ValueError("it is open whether an object or a list is meant")
    return last.value


def _is_source(value: Any) -> bool:
    """Return whether a value is the number of a source, as in "see [1]"."""
    return isinstance(value, list) and len(value) == 1 and isinstance(value[0], int)


def canonical_json(value: Any) -> str:
    """Return a JSON value as text, the same for equal values: sorted keys, 1.0 as 1."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value
