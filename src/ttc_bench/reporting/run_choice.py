"""Which two runs are compared."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from ttc_bench.errors import UserError
from ttc_bench.params import Params, unknown

logger = logging.getLogger(__name__)


class ChosenRunParams(Params):
    """One side of a comparison.

    Attributes:
        run: Name of a run that was kept; null takes the latest that fits.
        model: Name of its model; null takes all.
        config: Digest of its configuration, for a run that was kept with several.
    """

    run: str | None = None
    model: str | None = None
    config: str | None = None


class CompareParams(Params):
    """Which two runs, or two models, are compared.

    Attributes:
        before: What is compared with. Without a run it is the latest one before ``after``; where
            it names a model, the latest one of that model.
        after: What is compared. Without a run it is the latest one.
    """

    before: ChosenRunParams = Field(default_factory=ChosenRunParams)
    after: ChosenRunParams = Field(default_factory=ChosenRunParams)


@dataclass(frozen=True)
class KeptRun:
    """A run that was kept, of one model.

    Attributes:
        key: Its place among those kept.
        run: Name of the run.
        config: Digest of what it was measured with.
        model: Name of the target model.
        recorded_at: When it was kept, in ISO form and UTC.
        commit: Commit of the code.
        versions: Versions of packages by name.
        parameters: All parameters.
        host: Name of the machine that ran it.
        device: What computes in that machine.
    """

    key: str
    run: str
    config: str
    model: str
    recorded_at: str
    commit: str
    versions: Mapping[str, str]
    parameters: Mapping[str, Any]
    host: str = "unknown"
    device: str = "unknown"


@dataclass(frozen=True)
class ComparedRuns:
    """Two runs, model by model.

    Attributes:
        pairs: What is compared: before and after.
    """

    pairs: Sequence[tuple[KeptRun, KeptRun]]


def choose_runs(
    kept_settings: Mapping[str, Callable[[], Mapping[str, Any]]], params: CompareParams
) -> ComparedRuns:
    """Return the two runs that the parameters name.

    Args:
        kept_settings: Loads the settings of each run that was kept.
        params: Settings of the comparison.

    Raises:
        UserError: If there is no such run, or it is not clear which models are compared.
    """
    kept = list(readable(kept_settings))
    kept.sort(key=lambda one: (one.recorded_at, one.key))
    after = _latest(_fitting(kept, params.after, "after"))
    if not after:
        raise UserError("no run is kept yet: make some, e.g. by `kedro run`.")
    before = _fitting(kept, params.before, "before")
    before = [one for one in before if one not in after]
    if params.before.run is None and params.before.model is None:
        before = [one for one in before if one.recorded_at <= after[-1].recorded_at]
    if not before:
        raise UserError(
            f"nothing to compare run {after[-1].run!r} with: name another run by"
            " compare.before.run, or another model of it by compare.before.model and"
            f" compare.after.model. {_there(kept)}"
        )
    return ComparedRuns(_pairs(_latest(before), after, kept))


def readable(kept_settings: Mapping[str, Callable[[], Mapping[str, Any]]]) -> Iterator[KeptRun]:
    """Yield the runs that were kept; one whose writing was cut off costs no other."""
    from kedro.io import DatasetError

    for key, load in sorted(kept_settings.items()):
        try:
            yield KeptRun(key=key, **load())
        except (DatasetError, UserError, TypeError) as error:
            reason = str(error).splitlines()[-1]
            logger.warning("the kept run %s cannot be read and is left out: %s", key, reason)


def _fitting(kept: Sequence[KeptRun], side: ChosenRunParams, name: str) -> list[KeptRun]:
    """Return the runs that a side names, each field in turn, so that the fault is told apart."""
    runs = list(kept)
    for field in ("run", "model", "config"):
        asked = getattr(side, field)
        if asked is None:
            continue
        there = {getattr(one, field) for one in runs}
        if asked not in there:
            raise UserError(f"parameter compare.{name}.{field}: {unknown(field, asked, there)}")
        runs = [one for one in runs if getattr(one, field) == asked]
    return runs


def _latest(kept: Sequence[KeptRun]) -> list[KeptRun]:
    """Return all models of the run and configuration that was kept last."""
    return [one for one in kept if (one.run, one.config) == (kept[-1].run, kept[-1].config)]


def _pairs(
    before: Sequence[KeptRun], after: Sequence[KeptRun], kept: Sequence[KeptRun]
) -> list[tuple[KeptRun, KeptRun]]:
    if len(before) == len(after) == 1:
        return [(before[0], after[0])]
    of_model = {one.model: one for one in before}
    pairs = [(of_model[one.model], one) for one in after if one.model in of_model]
    if not pairs:
        raise UserError(
            "the two runs have several models and none in common: name one of each by"
            f" compare.before.model and compare.after.model. {_there(kept)}"
        )
    return pairs


def _there(kept: Iterable[KeptRun]) -> str:
    names = dict.fromkeys(f"{one.run} (model {one.model})" for one in kept)
    return f"Kept are, oldest first: {', '.join(names)}."
