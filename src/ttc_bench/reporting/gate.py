"""A run against a policy of limits: GO, NO-GO or INCONCLUSIVE, by a line per rule."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any
from xml.etree import ElementTree

from pydantic import Field, model_validator

from ttc_bench.errors import UserError
from ttc_bench.params import Params, parse_params, unknown
from ttc_bench.reporting.pairing import Jobs, Name, jobs_of, values_by_variant
from ttc_bench.statistics.gate import (
    Ruling,
    Word,
    loss_at_most,
    mean_at_most,
    overall,
    quantile_at_most,
    share_at_most,
)
from ttc_bench.types import BASELINE, DataFrame

EVERY = "all"
"""Stands for every benchmark of the run."""


class GateParams(Params):
    """Settings of the gate.

    Attributes:
        policy: File of the rules, in YAML.
        confidence: Level of the interval that a limit has to lie outside of, for each rule.
    """

    policy: str = "conf/base/gate.yml"
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)


class Rule(Params):
    """What one variant must keep to; what is null is not asked.

    Attributes:
        variant: Its name, ``policy.variant``.
        benchmark: The benchmark, or ``all`` for each of the run.
        reward_loss: Most that its mean reward may be below the baseline's.
        p95_latency_s: Most seconds that 95% of answers may take, of those that were timed.
        usd: Most dollars of an answer, on average.
        flops: Most floating point operations of an answer, on average.
        total_tokens: Most tokens of an answer, on average.
        failure_share: Largest share of failed responses.
        samples: Least responses.
    """

    variant: str
    benchmark: str = EVERY
    reward_loss: float | None = Field(default=None, gt=0.0, lt=1.0)
    p95_latency_s: float | None = Field(default=None, gt=0.0)
    usd: float | None = Field(default=None, gt=0.0)
    flops: float | None = Field(default=None, gt=0.0)
    total_tokens: float | None = Field(default=None, gt=0.0)
    failure_share: float | None = Field(default=None, gt=0.0, lt=1.0)
    samples: int | None = Field(default=None, ge=1)

    @model_validator(mode="after")
    def _asks(self) -> Rule:
        if not self.limits():
            raise ValueError(f"sets no limit: one of {', '.join(CRITERIA)}")
        return self

    def limits(self) -> dict[str, float]:
        """Return the limits that are set, by criterion."""
        given = ((name, getattr(self, name)) for name in CRITERIA)
        return {name: limit for name, limit in given if limit is not None}


class Policy(Params):
    """Rules that have to be kept, all of them.

    Attributes:
        rules: At least one.
    """

    rules: tuple[Rule, ...] = Field(min_length=1)


@dataclass(frozen=True)
class Answers:
    """The responses of one variant on one benchmark.

    Attributes:
        part: Scores of the benchmark, of all variants.
        jobs: Its jobs.
        name: Policy and variant.
    """

    part: DataFrame
    jobs: Jobs
    name: Name

    def known(self, metric: str) -> tuple[Any, Any]:
        """Return the values of a metric that are known, and their clusters."""
        import numpy as np

        values = values_by_variant(self.part, metric, self.jobs)[self.name]
        known = ~np.isnan(values)
        return values[known], None if self.jobs.codes is None else self.jobs.codes[known]


Criterion = Callable[[Answers, float, float], Ruling]
"""Rules on answers by a limit, at a confidence."""

CRITERIA: dict[str, Criterion] = {}
"""By the name that a rule has for it."""

UNKNOWN = Ruling("INCONCLUSIVE", math.nan, math.nan, math.nan, 0)
"""Of a figure that no response has, or of a bill with a gap."""


def criterion(name: str) -> Callable[[Criterion], Criterion]:
    """Return a decorator that registers a criterion under ``name``."""

    def decorate(function: Criterion) -> Criterion:
        CRITERIA[name] = function
        return function

    return decorate


@criterion("reward_loss")
def _reward_loss(answers: Answers, limit: float, confidence: float) -> Ruling:
    import numpy as np

    rewards = values_by_variant(answers.part, "reward", answers.jobs)
    if BASELINE not in rewards:
        return UNKNOWN
    own, base, codes = rewards[answers.name], rewards[BASELINE], answers.jobs.codes
    both = ~np.isnan(own + base)
    clusters = None if codes is None else codes[both]
    return loss_at_most(own[both], base[both], limit, confidence, clusters)


@criterion("p95_latency_s")
def _p95_latency_s(answers: Answers, limit: float, confidence: float) -> Ruling:
    values, clusters = answers.known("latency_s")
    return quantile_at_most(values, 0.95, limit, confidence, clusters) if len(values) else UNKNOWN


def _mean(metric: str, answers: Answers, limit: float, confidence: float) -> Ruling:
    values, clusters = answers.known(metric)
    return mean_at_most(values, limit, confidence, clusters) if len(values) else UNKNOWN


for _metric in ("usd", "flops", "total_tokens"):
    criterion(_metric)(partial(_mean, _metric))


@criterion("failure_share")
def _failure_share(answers: Answers, limit: float, confidence: float) -> Ruling:
    failed = answers.part["status"].ne("ok").astype("Float64")
    rows = answers.part.assign(failed=failed, status="ok")
    values, clusters = Answers(rows, answers.jobs, answers.name).known("failed")
    return share_at_most(values, limit, confidence, clusters)


@criterion("samples")
def _samples(answers: Answers, limit: float, _confidence: float) -> Ruling:
    n = len(answers.known("reward")[0])
    enough = n >= limit
    return Ruling("GO" if enough else "INCONCLUSIVE", n, n, n, n, None if enough else int(limit))


@dataclass(frozen=True)
class Verdict:
    """One limit, and what the run says of it.

    Attributes:
        model: The model.
        benchmark: The benchmark.
        variant: The variant, ``policy.variant``.
        criterion: What is limited.
        limit: Its limit.
        ruling: What the run says.
    """

    model: str
    benchmark: str
    variant: str
    criterion: str
    limit: float
    ruling: Ruling


def gate(
    all_scores: DataFrame, policy: Mapping[str, Any], params: GateParams, min_clusters: int
) -> list[Verdict]:
    """Return a verdict for every limit of the policy, in its order.

    Raises:
        UserError: If a rule is malformed or names what the run does not have; all faults at once.
    """
    rules = parse_params(Policy, policy, params.policy).rules
    _check_names(all_scores, rules, params.policy)
    verdicts = []
    for rule in rules:
        for (model, benchmark), part in all_scores.groupby(["model", "benchmark"], sort=True):
            name = (rule.variant.partition(".")[0], rule.variant.partition(".")[2])
            if rule.benchmark in (EVERY, benchmark) and _has(part, name):
                answers = Answers(part, jobs_of(part, min_clusters), name)
                for what, limit in rule.limits().items():
                    ruling = CRITERIA[what](answers, limit, params.confidence)
                    place = (str(model), str(benchmark), rule.variant)
                    verdicts.append(Verdict(*place, what, limit, ruling))
    return verdicts


def _has(part: DataFrame, name: Name) -> bool:
    return bool(((part["policy"] == name[0]) & (part["variant"] == name[1])).any())


def _check_names(all_scores: DataFrame, rules: tuple[Rule, ...], file: str) -> None:
    benchmarks = {EVERY, *all_scores["benchmark"]}
    variants = set(all_scores["policy"] + "." + all_scores["variant"])
    faults = []
    for number, rule in enumerate(rules):
        for kind, name, allowed in (
            ("benchmark", rule.benchmark, benchmarks),
            ("variant", rule.variant, variants),
        ):
            if name not in allowed:
                faults.append(f"{file}, rules.{number}: the run has no such name: "
                              f"{unknown(kind, name, allowed)}")  # fmt: skip
    if faults:
        raise UserError("\n".join(faults))


def word_of(verdicts: list[Verdict]) -> Word:
    """Return the verdict over all rules."""
    return overall(verdict.ruling.word for verdict in verdicts)


def lines(verdicts: list[Verdict]) -> Iterator[str]:
    """Yield a line per verdict, and the verdict over all."""
    several = len({verdict.model for verdict in verdicts}) > 1
    for verdict in verdicts:
        model = f"{verdict.model} " if several else ""
        yield (
            f"{verdict.ruling.word:12s}  {model}{verdict.benchmark} {verdict.variant}"
            f" {verdict.criterion}: {_seen(verdict)}"
        )
    yield f"{word_of(verdicts)}: {_told(verdicts)}"


def _seen(verdict: Verdict) -> str:
    ruling, limit = verdict.ruling, f"{verdict.limit:.6g}"
    if verdict.criterion == "samples":
        return f"{ruling.n}, at least {limit} are asked for"
    if math.isnan(ruling.figure):
        return f"at most {limit} is asked for, and not all responses have it, or no baseline"
    ends = ", ".join("-" if math.isnan(end) else f"{end:.4g}" for end in (ruling.low, ruling.high))
    needed = f"; {ruling.needed} would decide at this figure" if ruling.needed else ""
    if ruling.word == "INCONCLUSIVE" and not ruling.needed:
        needed = "; it lies on its limit, and no number of samples is likely to decide"
    return f"{ruling.figure:.4g} [{ends}] of {ruling.n}, at most {limit} is asked for{needed}"


def _told(verdicts: list[Verdict]) -> str:
    words = [verdict.ruling.word for verdict in verdicts]
    count = len(words)
    if word_of(verdicts) == "NO-GO":
        return f"{words.count('NO-GO')} of {count} limits are shown to be broken."
    if word_of(verdicts) == "INCONCLUSIVE":
        return f"{words.count('INCONCLUSIVE')} of {count} limits are neither kept nor broken yet."
    return f"all {count} limits are shown to be kept."


def as_json(verdicts: list[Verdict]) -> dict[str, Any]:
    """Return the verdicts as plain values; what is not known is null."""
    rows = []
    for verdict in verdicts:
        row = {**asdict(verdict), **asdict(verdict.ruling)}
        del row["ruling"]
        rows.append({name: None if _is_nan(value) else value for name, value in row.items()})
    plain: dict[str, Any] = json.loads(json.dumps({"verdict": word_of(verdicts), "rules": rows}))
    return plain


def _is_nan(value: Any) -> bool:
    return isinstance(value, float) and math.isnan(value)


def as_junit(verdicts: list[Verdict]) -> str:
    """Return the verdicts as JUnit XML: a broken limit is a failure, an open one is skipped."""
    words = [verdict.ruling.word for verdict in verdicts]
    counts = {
        "tests": len(words),
        "failures": words.count("NO-GO"),
        "skipped": words.count("INCONCLUSIVE"),
    }
    attributes = {"name": "ttc-bench gate", **{k: str(v) for k, v in counts.items()}}
    suite = ElementTree.Element("testsuite", attributes)
    for verdict in verdicts:
        place = f"{verdict.model}.{verdict.benchmark}.{verdict.variant}"
        case = ElementTree.SubElement(
            suite, "testcase", {"classname": place, "name": verdict.criterion}
        )
        if tag := {"NO-GO": "failure", "INCONCLUSIVE": "skipped"}.get(verdict.ruling.word):
            ElementTree.SubElement(case, tag, {"message": _seen(verdict)})
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"
