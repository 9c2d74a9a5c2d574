"""Reward rules for questions of one's own: a rule is one function and the reader of its answers.

Of several gold answers the one that suits best counts. A rule's reward has its own name in the
column ``reward_rule``; it has no further figures.
"""

from __future__ import annotations

import json
import re
import threading
import unicodedata
from collections.abc import Callable, Hashable, Iterator
from fractions import Fraction
from functools import lru_cache
from typing import Any

from pydantic import Field

from ttc_bench.benchmarks.patterns import fault_of, is_found
from ttc_bench.benchmarks.scoring.base import Figures, References, reward_rule
from ttc_bench.benchmarks.scoring.json_answers import canonical_json, json_value, strict
from ttc_bench.benchmarks.scoring.markup import (
    bare,
    bases,
    cleaned,
    expression,
    is_worded,
    unmarked,
)
from ttc_bench.benchmarks.scoring.quantity import number
from ttc_bench.benchmarks.scoring.readers import LETTERS, letter, phrase, vote
from ttc_bench.benchmarks.scoring.text import normalise, token_f1
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


@_rule("exact", canonical=lambda answer: bare(answer) or None)
def _exact(answer: str, gold: str) -> bool:
    """Only emphasis, and the brackets that an answer is asked for in, do not count."""
    return bare(answer) == bare(gold)


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
    return "names none of the choices" if _letter_of(gold, choices) is None else None


def _letter_of(gold: str, choices: tuple[str, ...]) -> str | None:
    """Return the letter of the right choice, which is its letter where it can be one."""
    return gold if gold in tuple(LETTERS[: len(choices)]) else letter(gold, choices)


@_rule(
    "choice",
    canonical=lambda answer, choices=(): letter(answer, choices),
    fault=_not_a_choice,
)
def _choice(answer: str, gold: str, choices: tuple[str, ...] = ()) -> bool:
    chosen = letter(answer, choices)
    return chosen is not None and chosen == _letter_of(gold, choices)


@_rule("contains", canonical=vote, is_free=True)
def _contains(answer: str, gold: str) -> bool:
    """The gold text occurs, as whole words, in whatever case, with whatever blanks and markup."""
    wanted = _comparable(gold)
    if not wanted:
        return False
    word = rf"[^\W{_UNSPACED}]"
    before = rf"(?<!{word})" if not re.match(f"[<{_UNSPACED}]", wanted) else ""
    behind = rf"(?!{word})" if not re.search(f"[>{_UNSPACED}]$", wanted) else ""
    before += r"(?<!\d[.,])" if wanted[0].isdigit() else ""
    behind += r"(?![.,]\d)" if wanted[-1].isdigit() else ""
    phrase_of = re.compile(before + re.escape(wanted) + behind)
    return any(phrase_of.search(_comparable(text)) for text in _readings(answer))


def _readings(answer: str) -> tuple[str, ...]:
    """Return an answer as it is, and without what encloses or emphasises it or its words."""
    return tuple(dict.fromkeys((answer, bare(answer), unmarked(answer))))


_UNSPACED = r"\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
"""Scripts that write words without blanks, or particles at their ends."""


def _comparable(text: str) -> str:
    plain = unicodedata.normalize("NFC", " ".join(text.split()).casefold())
    return plain.replace("\u2019", "'").replace("\u2018", "'")


@_rule("regex", canonical=vote, fault=fault_of, is_free=True)
def _regex(answer: str, gold: str) -> bool:
    """The gold answer is a regular expression that matches somewhere, markup or not."""
    return any(is_found(gold, text) for text in _readings(answer))


@_rule("token_f1", canonical=vote)
def _token_f1(answer: str, gold: str) -> float:
    """What of both is nothing but articles and punctuation ("A", "-") is compared as a phrase."""
    if not normalise(gold):
        return float(phrase(answer) == phrase(gold))
    return token_f1(cleaned(answer), cleaned(gold))


def _not_json(gold: str) -> str | None:
    try:
        strict(gold)
    except ValueError as error:
        return f"is no JSON ({error})"
    return None


def _vote_for_json(answer: str) -> Hashable:
    try:
        return canonical_json(json_value(answer))
    except (ValueError, RecursionError):
        return None


@_rule("json", canonical=_vote_for_json, fault=_not_json, is_free=True)
def _json(answer: str, gold: str) -> bool:
    """Both are the same JSON value; the order of keys and 1.0 for 1 do not count."""
    if _not_json(gold):
        return False
    return _vote_for_json(answer) == canonical_json(json.loads(gold))


@lru_cache(maxsize=1024)
def _not_a_schema(gold: str) -> str | None:
    from jsonschema import SchemaError, validators
    from referencing.exceptions import Unresolvable

    if line := _not_json(gold):
        return line
    schema = json.loads(gold)
    if not isinstance(schema, dict | bool):
        return "is no JSON schema"
    try:
        validators.validator_for(schema).check_schema(schema)
    except SchemaError as error:
        return f"is no JSON schema ({error.message})"
    try:
        _validator(schema).is_valid(None)
        return next(_dangling(schema, schema), None)
    except RecursionError:
        return "is a JSON schema that refers to itself without end"
    except Unresolvable as error:
        return f"has a $ref to what it does not hold ({error.ref})"


def _validator(schema: Any) -> Any:
    """Return a validator that knows the schema alone, and fetches nothing."""
    from jsonschema import validators
    from referencing import Registry

    return validators.validator_for(schema)(schema, registry=Registry())


def _dangling(part: Any, schema: Any) -> Iterator[str]:
    """Yield a line for each reference that leads out of a schema, or to nothing in it."""
    from referencing import Registry
    from referencing.exceptions import Unresolvable
    from referencing.jsonschema import DRAFT202012

    if isinstance(part, dict) and isinstance(ref := part.get("$ref"), str):
        resource = DRAFT202012.create_resource(schema)
        base = resource.id() or ""
        try:
            Registry().with_resource(base, resource).resolver(base).lookup(ref)
        except Unresolvable:
            yield f"has a $ref to what it does not hold ({ref})"
    inner = part.values() if isinstance(part, dict) else part if isinstance(part, list) else ()
    for value in inner:
        yield from _dangling(value, schema)


@_rule("json_schema", canonical=_vote_for_json, fault=_not_a_schema, is_free=True)
def _json_schema(answer: str, gold: str) -> bool:
    """The answer is a JSON value that the gold answer, a JSON schema, allows."""
    if _not_a_schema(gold):
        return False
    schema = json.loads(gold)
    try:
        return bool(_validator(schema).is_valid(json_value(answer)))
    except (ValueError, RecursionError):
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
    try:
        return tuple(parse(f"${text}$", parsing_timeout=limit)) if len(text) <= 1000 else ()
    except (ValueError, RecursionError):
        return ()


def _parsed(answer: str) -> tuple[Any, ...]:
    return () if is_worded(answer) else _expression(expression(answer))


def _vote_for_expression(answer: str) -> Hashable:
    parsed = _parsed(answer)
    return "_".join((str(parsed[0]), *bases(answer))) if parsed else phrase(answer)


@_rule("math", canonical=_vote_for_expression)
def _math(answer: str, gold: str) -> bool:
    """Both are the same expression, by math-verify; what is none is compared as text."""
    wanted, value = _parsed(gold), _parsed(answer)
    if not wanted or not value:
        return phrase(answer) is not None and phrase(answer) == phrase(gold)
    # math-verify reads over bases. An answer without one is in that of its question.
    if bases(answer) not in ((), bases(gold)):
        return False
    from math_verify import verify

    limit = 5 if threading.current_thread() is threading.main_thread() else None
    return bool(verify(list(wanted), list(value), timeout_seconds=limit))


@reward_rule("judge", reward="reward", metrics=(), canonical=phrase, is_free=True, by_judge=True)
def _judge(answer: str, _references: References, _task: str | None = None) -> Figures:
    """A judge model says whether the answer is right, once the pipeline ``judge`` asks it."""
    return {"reward": None if answer.strip() else 0.0}
