"""Reward rules by dotted path: a function of one's own, wherever Python can import it."""

from __future__ import annotations

import contextlib
import importlib
import sys
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path
from typing import Any

from ttc_bench.benchmarks.scoring.base import Figures, References, RewardRule
from ttc_bench.benchmarks.scoring.readers import phrase
from ttc_bench.errors import DataError, UserError


@lru_cache(maxsize=32)
def rule_of_function(path: str) -> RewardRule:
    """Return the rule of a function ``reward(answer, references) -> float``.

    It gets the final answer (or the whole response, if that is asked for) and the list of gold
    answers, and returns a number from 0 to 1, or whether the answer is right.

    Args:
        path: Dotted path, e.g. ``my_rewards.close_enough``; modules of the current folder count.

    Raises:
        UserError: If it cannot be imported, or is no function.
    """
    function = _imported(path)

    def compute(answer: str, references: References, _task: str | None = None) -> Figures:
        try:
            value = function(answer, list(references))
        except Exception as error:
            raise DataError(
                f"reward {path}: raised {type(error).__name__} ({error}) for the answer"
                f" {answer[:80]!r}. Mend the function; the responses are kept."
            ) from error
        # Also what numpy and decimal call a number; a text is none, whatever it says.
        if isinstance(value, str) or not hasattr(value, "__float__"):
            raise DataError(
                f"reward {path}: returned {type(value).__name__}, not a number from 0 to 1."
            )
        return {"reward": float(value)}

    return RewardRule(path, compute, (), "reward", canonical=phrase)


def _imported(path: str) -> Callable[..., Any]:
    module, _, name = path.rpartition(".")
    try:
        with _current_folder():
            function = getattr(importlib.import_module(module), name)
    except Exception as error:  # whatever the user's module raises while it is read
        what = f"{type(error).__name__}: {error}"
        raise UserError(
            f"reward {path!r}: cannot be imported ({what}). Name a function by its module, e.g."
            " my_rewards.close_enough for the file my_rewards.py in this folder."
        ) from error
    if not callable(function):
        raise UserError(f"reward {path!r}: is {type(function).__name__}, not a function.")
    return function  # type: ignore[no-any-return]


@contextlib.contextmanager
def _current_folder() -> Iterator[None]:
    """Let modules of the current folder be imported: the command's own folder is another."""
    folder = str(Path.cwd())
    sys.path.append(folder)
    try:
        yield
    finally:
        sys.path.remove(folder)
