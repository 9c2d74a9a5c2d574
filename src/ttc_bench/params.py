"""Typed parameters: every key is known, every fault is told at once, with close matches."""

from __future__ import annotations

import difflib
import io
import itertools
import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from ttc_bench.errors import UserError


class Params(BaseModel):
    """Base class of all parameter models.

    Unknown keys, numbers that are infinite or none, and switches in the place of numbers are
    rejected; instances are immutable and hashable, so that a parameter set can be part of a cache
    key.
    """

    model_config = ConfigDict(
        extra="forbid", frozen=True, validate_default=True, allow_inf_nan=False
    )

    @field_validator("*", mode="before")
    @classmethod
    def _is_no_switch(cls, value: Any, info: ValidationInfo) -> Any:
        """Refuse what YAML makes of ``yes`` and ``on`` where a number is asked for."""
        annotation = cls.model_fields[str(info.field_name)].annotation
        kinds = set(get_args(annotation) or (annotation,))
        values = value if isinstance(value, list | tuple) else [value]
        is_switch = any(isinstance(one, bool) for one in values)
        if is_switch and kinds & {int, float} and bool not in kinds:
            raise ValueError("input should be a number")
        return value


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
        every: list[dict[str, Any]] = [dict(fault) for fault in error.errors()]
        above = {fault["loc"][:depth] for fault in every for depth in range(len(fault["loc"]))}
        # A list is said to be too short, too, where an item of it is wrong.
        own = [fault for fault in every if fault["loc"] not in above]
        raise UserError("\n".join(_line(model, fault, where) for fault in own)) from error


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


_SHAPES = {
    **dict.fromkeys(("tuple_type", "list_type"), "input should be a list, as [a, b]"),
    **dict.fromkeys(
        ("dict_type", "model_type"), "input should be names with values, each as `name: value`"
    ),
}
"""What Pydantic says of shapes, in words of YAML, by the type of the fault."""


def _line(model: type[BaseModel], fault: Mapping[str, Any], where: str) -> str:
    path = ".".join(str(part) for part in (where, *fault["loc"]) if str(part))
    if fault["type"] == "extra_forbidden":
        owner = _model_at(model, fault["loc"][:-1])
        return f"parameter {path}: {unknown('key', str(fault['loc'][-1]), owner.model_fields)}"
    is_shown = fault["type"] != "missing" and not _may_be_secret(model, fault["loc"])
    given = f" (got {fault['input']!r})" if is_shown else ""
    message = _SHAPES.get(fault["type"]) or str(fault["msg"]).removeprefix("Value error, ")
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


_TOP_LEVEL = re.compile(r"""^["']?[A-Za-z_][\w.{}-]*["']?\s*:""", re.MULTILINE)
"""Where a part of a YAML file begins, under a name of its own."""


def yaml_faults(path: Path) -> list[str]:
    """Return the faults of a YAML file, a line each.

    Behind its first fault a parser is lost, so the parts under each top-level name are parsed one
    by one; where these are sound, the fault is that of the whole.

    Args:
        path: The file.
    """
    text = path.read_text(encoding="utf-8", errors="replace")
    whole = _yaml_fault(text, 0)
    if whole is None:
        return []
    starts = [0, *(match.start() for match in _TOP_LEVEL.finditer(text)), len(text)]
    parts = (
        _yaml_fault(text[start:end], text.count("\n", 0, start))
        for start, end in itertools.pairwise(starts)
    )
    return [f"{path}, {fault}" for fault in [part for part in parts if part] or [whole]]


def _yaml_fault(text: str, lines_above: int) -> str | None:
    from omegaconf import OmegaConf
    from yaml import MarkedYAMLError, YAMLError

    try:
        OmegaConf.load(io.StringIO(text))
    except MarkedYAMLError as error:
        mark = error.problem_mark
        place = f"line {lines_above + mark.line + 1}, column {mark.column + 1}: " if mark else ""
        return f"{place}{error.problem or error}"
    except (YAMLError, ValueError, OSError):
        return None
    return None
