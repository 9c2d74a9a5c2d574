"""Prompt settings of a benchmark."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from ttc_bench.benchmarks import BENCHMARKS, Prompting
from ttc_bench.benchmarks.questions import QuestionsParams
from ttc_bench.params import Params, parse_params


class QuestionSet(Params):
    """A file of questions that a run asks.

    Attributes:
        source: The file, and how it is read and scored.
        prompting: Its prompt settings.
    """

    source: QuestionsParams
    prompting: Prompting


def prompting_of(name: str, prompting: Mapping[str, Any], names: Collection[str] = ()) -> Prompting:
    """Return the prompt settings of one benchmark: the common ones, then its own on top.

    Args:
        name: Name of the benchmark.
        prompting: Prompt settings, with settings of single benchmarks under their names.
        names: Names of all benchmarks, files of questions included; those registered if empty.

    Raises:
        UserError: Listing every fault.
    """
    common = {k: v for k, v in prompting.items() if k not in (names or BENCHMARKS)}
    own = prompting.get(name) or {}
    return parse_params(Prompting, {**common, **own}, "prompting")
