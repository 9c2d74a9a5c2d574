"""Which two runs are compared."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import Field

from ttc_bench.errors import UserError
from ttc_bench.params import Params, unknown
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.types import DataFrame

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
        before: What is compared with. Without a run it is the latest one before ``after`` in which
            a variant of it answered one of its questions, too; where it names a model, the latest
            such run of that model.
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
        pipeline: Names of the pipelines of the run; empty where an earlier version did not say.
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
    pipeline: str = ""

    @property
    def folder(self) -> str:
        """Its place without the model: where all models of the run are."""
        return self.key.rpartition("/")[0]


@dataclass(frozen=True)
class ComparedRuns:
    """Two runs, model by model.

    Attributes:
        pairs: What is compared: before and after.
    """

    pairs: Sequence[tuple[KeptRun, KeptRun]]


def choose_runs(
    kept_settings: Mapping[str, Callable[[], Mapping[str, Any]]],
    kept_scores: Mapping[str, Callable[[], DataFrame]],
    params: CompareParams,
) -> ComparedRuns:
    """Return the two runs that the parameters name, or the last one and one that is like it.

    Args:
        kept_settings: Loads the settings of each run that was kept.
        kept_scores: Loads its scores.
        params: Settings of the comparison.

    Raises:
        UserError: If there is no such run, or it is not clear which models are compared.
    """
    return choose_among(list(readable(kept_settings)), kept_scores, params)


def choose_among(
    runs: Iterable[KeptRun],
    kept_scores: Mapping[str, Callable[[], DataFrame]],
    params: CompareParams,
) -> ComparedRuns:
    """Return the two of some runs that the parameters name, as `choose_runs` does.

    Raises:
        UserError: If there is no such run, or it is not clear which models are compared.
    """
    kept = sorted(runs, key=lambda one: (one.recorded_at, one.key))
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
    if params.before.run is None:
        before = _sharing(before, after, kept_scores)
    return ComparedRuns(_pairs(_latest(before), after, kept))


def _sharing(
    before: Sequence[KeptRun],
    after: Sequence[KeptRun],
    kept_scores: Mapping[str, Callable[[], DataFrame]],
) -> list[KeptRun]:
    """Return the runs up to the latest in which a variant answered a question that ``after`` has.

    Raises:
        UserError: If there is none.
    """
    asked, left = _answers(after, kept_scores), list(before)
    passed: list[str] = []
    while left:
        latest = _latest(left)
        if asked & _answers(latest, kept_scores):
            if passed:
                logger.info(
                    "compared with run %r, the latest before %r that has a question and a variant"
                    " in common with it; passed over: %s",
                    latest[-1].run,
                    after[-1].run,
                    ", ".join(map(repr, passed)),
                )
            return left
        passed.append(latest[-1].run)
        left = [one for one in left if one not in latest]
    raise UserError(
        f"no other run has a question and a variant in common with run {after[-1].run!r}: name what"
        f" is compared by compare.before.run and compare.after.run. {_there([*before, *after])}"
    )


def _answers(
    runs: Sequence[KeptRun], kept_scores: Mapping[str, Callable[[], DataFrame]]
) -> set[tuple[Hashable, ...]]:
    """Return which variant answered which question of which benchmark."""
    keys = ["benchmark", "question", "policy", "variant"]
    tables = (asked_in(kept_scores[one.key]())[keys] for one in runs)
    return {key for table in tables for key in table.itertuples(index=False, name=None)}


def asked_in(scores: DataFrame) -> DataFrame:
    """Return kept scores with what each job asked; older ones tell their jobs alone."""
    return scores if "question" in scores else scores.assign(question=scores["job_id"])


def readable(kept_settings: Mapping[str, Callable[[], Mapping[str, Any]]]) -> Iterator[KeptRun]:
    """Yield the runs that were kept; one whose writing was cut off costs no other."""
    from kedro.io import DatasetError

    for key, load in sorted(kept_settings.items()):
        try:
            yield _checked(KeptRun(key=key, **load()))
        except (DatasetError, UserError, TypeError) as error:
            reason = str(error).splitlines()[-1]
            logger.warning("the kept run %s cannot be read and is left out: %s", key, reason)


def by_run(kept: Iterable[KeptRun]) -> dict[str, list[KeptRun]]:
    """Return all models of each run, the last run first, by a name that no other run has.

    That is the run's own, and where it was kept with several configurations also the digest.
    """
    folders: dict[str, list[KeptRun]] = {}
    for one in sorted(kept, key=lambda one: one.recorded_at, reverse=True):
        folders.setdefault(one.folder, []).append(one)
    names = Counter(models[0].run for models in folders.values())
    return {
        models[0].run if names[models[0].run] == 1 else f"{models[0].run}, {models[0].config}":
        models
        for models in folders.values()
    }  # fmt: skip


def run_line(models: Sequence[KeptRun]) -> str:
    """Return what a run was, in words: pipeline, time, limit, models, machine."""
    one = models[0]
    title = {"": "", "__default__": "the whole suite"}.get(one.pipeline, f"pipeline {one.pipeline}")
    parts = [
        title,
        f"kept {one.recorded_at[:16].replace('T', ' ')} UTC",
        limit_words(one.parameters.get("limit")),
        f"model {', '.join(sorted(each.model for each in models))}",
        f"configuration {one.config}",
        f"on {one.host}",
    ]
    return ", ".join(part for part in parts if part)


def limit_words(limit: Any) -> str:
    """Return in words how many questions of each benchmark a run asks."""
    return (
        "all questions" if limit is None else f"at most {counted_as(limit, 'question')} a benchmark"
    )


def _checked(kept: KeptRun) -> KeptRun:
    """Return a run that was kept.

    Raises:
        TypeError: If its settings are no names with texts and parameters.
    """
    for name, value in vars(kept).items():
        kind = Mapping if name in ("versions", "parameters") else str
        if not isinstance(value, kind):
            raise TypeError(f"{name} is {type(value).__name__}")
    return kept


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
