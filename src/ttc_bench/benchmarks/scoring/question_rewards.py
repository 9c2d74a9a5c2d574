"""Reward rules for questions of one's own: a rule is one function and the reader of its answers.

Of several gold answers the one that suits best counts. A rule's reward has its own name in the
column ``reward_rule``; it has no further figures.
"""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Hashable
from fractions import Fraction
from functools import lru_cache
from typing import Any

from pydantic import Field

from ttc_bench.benchmarks.scoring.base import Figures, References, reward_rule
from ttc_bench.benchmarks.scoring.readers import (
    canonical_json,
    cleaned,
    json_value,
    letter,
    number,
    phrase,
    vote,
)
from ttc_bench.benchmarks.scoring.text import token_f1
from ttc_bench.errors import UserError
from ttc_bench.params import Params

Reward = Callable[..., float | bool]


class Tolerance(Params):
    """How far a number may be off.

    Attributes:
        tolerance: Largest difference from the gold number.
        relative_tolerance: Largest difference as a share of the gold number; the larger counts.
    """

    tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    relative_tolerance: float = Field(default=0.0, ge=0, allow_inf_nan=False)


def _rule(name: str, **settings: Any) -> Callable[[Reward], Reward]:
    """Return a decorator that registers ``reward(answer, gold)``; the best gold answer counts."""

    def decorate(reward: Reward) -> Reward:
        def compute(
            answer: str, references: References, _task: str | None = None, **options: Any
        ) -> Figures:
            golds = [gold for gold in references if gold is not None]
            return {
                "reward": max((float(reward(answer, g, **options)) for g in golds), default=0.0)
            }

        reward_rule(name, reward="reward", metrics=(), **settings)(compute)
        return reward

    return decorate


@_rule("exact", canonical=lambda answer: answer.strip() or None)
def _exact(answer: str, gold: str) -> bool:
    return answer.strip() == gold.strip()


@_rule("normalised", canonical=phrase)
def _normalised(answer: str, gold: str) -> bool:
    """Case, punctuation, articles and blanks do not count."""
    return phrase(answer) is not None and phrase(answer) == phrase(gold)


def _vote_for_number(answer: str, **_: float) -> Hashable:
    value = number(answer)
    return None if value is None else str(value)


def _not_a_number(gold: str, **_: float) -> str | None:
    return "is no number" if number(gold) is None else None


@_rule("numeric", canonical=_vote_for_number, fault=_not_a_number, options=Tolerance)
def _numeric(
    answer: str, gold: str, tolerance: float = 0.0, relative_tolerance: float = 0.0
) -> bool:
    value, wanted = number(answer), number(gold)
    if value is None or wanted is None:
        return False
    # A tolerance of 0.1 is the decimal 0.1, not the double next to it.
    allowed = (Fraction(str(tolerance)), Fraction(str(relative_tolerance)) * abs(wanted))
    return abs(value - wanted) <= max(allowed)


def _not_a_choice(gold: str, choices: tuple[str, ...] = ()) -> str | None:
    return "names none of the choices" if letter(gold, choices) is None else None


@_rule(
    "choice",
    canonical=lambda answer, choices=(): letter(answer, choices),
    fault=_not_a_choice,
)
def _choice(answer: str, gold: str, choices: tuple[str, ...] = ()) -> bool:
    chosen = letter(answer, choices)
    return chosen is not None and chosen == letter(gold, choices)


@_rule("contains", canonical=vote, is_free=True)
def _contains(answer: str, gold: str) -> bool:
    """The gold text occurs, as whole words, in whatever case and with whatever blanks."""
    wanted, text = (" ".join(part.split()).casefold() for part in (gold, answer))
    return bool(wanted) and bool(re.search(rf"(?<!\w){re.escape(wanted)}(?!\w)", text))


def _not_a_pattern(gold: str) -> str | None:
    try:
        re.compile(gold)
    except re.error as error:
        return f"is no regular expression ({error})"
    return None


@_rule("regex", canonical=vote, fault=_not_a_pattern, is_free=True)
def _regex(answer: str, gold: str) -> bool:
    """The gold answer is a regular expression that matches somewhere."""
    return _not_a_pattern(gold) is None and bool(re.search(gold, answer))


@_rule("token_f1", canonical=vote)
def _token_f1(answer: str, gold: str) -> float:
    return token_f1(answer, gold)


def _not_json(gold: str) -> str | None:
    try:
        json.loads(gold)
    except ValueError as error:
        return f"is no JSON ({error})"
    return None


def _vote_for_json(answer: str) -> Hashable:
    try:
        return canonical_json(json_value(answer))
    except ValueError:
        return None


@_rule("json", canonical=_vote_for_json, fault=_not_json, is_free=True)
def _json(answer: str, gold: str) -> bool:
    """Both are the same JSON value; the order of keys and 1.0 for 1 do not count."""
    if _not_json(gold):
        return False
    return _vote_for_json(answer) == canonical_json(json.loads(gold))


def _not_a_schema(gold: str) -> str | None:
    from jsonschema import SchemaError, validators

    if line := _not_json(gold):
        return line
    schema = json.loads(gold)
    if not isinstance(schema, dict | bool):
        return "is no JSON schema"
    try:
        validators.validator_for(schema).check_schema(schema)
    except SchemaError as error:
        return f"is no JSON schema ({error.message})"
    return None


@_rule("json_schema", canonical=_vote_for_json, fault=_not_a_schema, is_free=True)
def _json_schema(answer: str, gold: str) -> bool:
    """The answer is a JSON value that the gold answer, a JSON schema, allows."""
    from jsonschema import validators

    if _not_a_schema(gold):
        return False
    schema = json.loads(gold)
    try:
        return bool(validators.validator_for(schema)(schema).is_valid(json_value(answer)))
    except ValueError:
        return False


@lru_cache(maxsize=4096)
def _expression(text: str) -> tuple[Any, ...]:
    """Return what math-verify reads in an answer: the expression, then its text.

    Raises:
        UserError: If the package is not installed.
    """
    try:
        from math_verify import parse
    except ImportError as error:
        raise UserError(
            'reward math needs math-verify: pip install "ttc-bench[questions]", or take the reward'
            " numeric or normalised."
        ) from error
    # Its time limits are signals, which only a main thread may set.
    limit = 5 if threading.current_thread() is threading.main_thread() else None
    return tuple(parse(f"${text}$", parsing_timeout=limit))


def _vote_for_expression(answer: str) -> Hashable:
    parsed = _expression(cleaned(answer))
    return str(parsed[0]) if parsed else phrase(answer)


@_rule("math", canonical=_vote_for_expression)
def _math(answer: str, gold: str) -> bool:
    """Both are the same expression, by math-verify; what is none is compared as text."""
    wanted, value = (_expression(cleaned(text)) for text in (gold, answer))
    if not wanted or not value:
        return phrase(answer) is not None and phrase(answer) == phrase(gold)
    from math_verify import verify

    limit = 5 if threading.current_thread() is threading.main_thread() else None
    return bool(verify(list(wanted), list(value), timeout_seconds=limit))


@reward_rule("judge", reward="reward", metrics=(), canonical=phrase, is_free=True, by_judge=True)
def _judge(answer: str, _references: References, _task: str | None = None) -> Figures:
    """A judge model says whether the answer is right, once the pipeline ``judge`` asks it."""
    return {"reward": None if answer.strip() else 0.0}
