"""Typed parameters: every key is known, every fault is told at once, with close matches."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from ttc_bench.errors import UserError


class Params(BaseModel):
    """Base class of all parameter models.

    Unknown keys and numbers that are infinite or none are rejected; instances are immutable and
    hashable, so that a parameter set can be part of a cache key.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )


class RunParams(Params):
    """Top-level parameters of ``conf/base/parameters.yml``.

    Attributes:
        benchmarks: Benchmarks to run.
        limit: Most samples per benchmark; null takes all.
        seed: Seed of all sampling.
        prompting: Prompt settings, see `benchmarks.Prompting`; a benchmark's name as key holds
            settings for that benchmark alone.
        sources: Where each benchmark comes from.
        model: The engine and its models.
        min_valid_share: Share of valid responses below which the run ends non-zero.
    """

    benchmarks: tuple[str, ...] = Field(min_length=1)
    limit: int | None = Field(ge=1)
    seed: int = Field(ge=0)
    prompting: dict[str, Any]
    sources: dict[str, Any]
    model: dict[str, Any]
    min_valid_share: float = Field(ge=0.0, le=1.0)


P = TypeVar("P", bound=BaseModel)


def close_matches(word: str, allowed: Iterable[str]) -> str:
    """Return ``' Did you mean ...?'`` for a mistyped word, or an empty string."""
    matches = difflib.get_close_matches(word, list(allowed), n=3, cutoff=0.5)
    return f" Did you mean {' or '.join(map(repr, matches))}?" if matches else ""


def unknown(kind: str, word: Any, allowed: Iterable[str]) -> str:
    """Return the line that names an unknown word, its close matches and what is allowed."""
    word, names = str(word), sorted(allowed)
    listed = ", ".join(names) or "none"
    return f"unknown {kind} {word!r}.{close_matches(word, names)} Allowed: {listed}."


def parse_params(model: type[P], data: Any, where: str) -> P:
    """Return ``data`` as an instance of ``model``.

    Args:
        model: The parameter model.
        data: What the user gave.
        where: The place of ``data`` in the parameters, e.g. ``speculative.draft_model``.

    Raises:
        UserError: Listing every fault, one per line.
    """
    try:
        return model.model_validate(data)
    except ValidationError as error:
        lines = [_line(model, dict(fault), where) for fault in error.errors()]
        raise UserError("\n".join(lines)) from error


def faults(model: type[BaseModel], data: Any, where: str) -> list[str]:
    """Return one line per fault of ``data``, see `parse_params`; empty if it is valid."""
    try:
        parse_params(model, data, where)
    except UserError as error:
        return error.message.splitlines()
    return []


def flat(settings: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return nested settings as one dict, by dotted names in alphabetical order."""
    values: dict[str, Any] = {}
    for name, value in sorted(settings.items()):
        inner = isinstance(value, Mapping)
        values |= flat(value, f"{prefix}{name}.") if inner else {f"{prefix}{name}": value}
    return values


def _line(model: type[BaseModel], fault: Mapping[str, Any], where: str) -> str:
    path = ".".join(str(part) for part in (where, *fault["loc"]) if str(part))
    if fault["type"] == "extra_forbidden":
        owner = _model_at(model, fault["loc"][:-1])
        return f"parameter {path}: {unknown('key', str(fault['loc'][-1]), owner.model_fields)}"
    is_shown = fault["type"] != "missing" and not _may_be_secret(model, fault["loc"])
    given = f" (got {fault['input']!r})" if is_shown else ""
    is_list = fault["type"] in ("tuple_type", "list_type")
    message = "input should be a list, as [a, b]" if is_list else str(fault["msg"])
    return f"parameter {path}: {message[:1].lower()}{message[1:]}{given}."


def _may_be_secret(model: type[BaseModel], path: Sequence[Any]) -> bool:
    """Return whether a value belongs to a field that is never shown."""
    fields = (
        _model_at(model, path[:depth]).model_fields.get(str(name))
        for depth, name in enumerate(path)
    )
    return any(field is not None and not field.repr for field in fields)


def _model_at(model: type[BaseModel], path: Iterable[Any]) -> type[BaseModel]:
    for part in path:
        field = model.model_fields.get(str(part))
        # A group of settings, or a list of such groups.
        for nested in (field.annotation, *get_args(field.annotation)) if field else ():
            if isinstance(nested, type) and issubclass(nested, BaseModel):
                model = nested
    return model
