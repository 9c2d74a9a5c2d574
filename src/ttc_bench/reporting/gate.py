"""A run against a policy of limits: GO, NO-GO or INCONCLUSIVE, by a line per rule."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, NamedTuple
from xml.etree import ElementTree

from pydantic import Field, model_validator

from ttc_bench.errors import UserError
from ttc_bench.params import Params, parse_params, unknown
from ttc_bench.reporting.pairing import (
    Layout,
    Name,
    are_identical,
)
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.reporting.speeds import timed
from ttc_bench.reporting.verdicts import lossless_variants
from ttc_bench.statistics.gate import (
    UNKNOWN,
    Ruling,
    Word,
    loss_at_most,
    mean_at_most,
    overall,
    quantile_at_most,
    ratio_at_least,
    ratio_at_most,
    share_at_most,
)
from ttc_bench.statistics.speed import Ratio, relative_speed, speed
from ttc_bench.types import BASELINE, DataFrame

ALONE = (
    "Intervals of {} are of one variant alone, as each rule is; in the table and the report they"
    " hold for all variants at once."
)

UNANSWERED = "nothing was answered, an answer lacks it, or there is no baseline"
UNTIMED = (
    "no answer was timed beside plain decoding, as where timing.jobs is 0, calls come from the"
    " journal, or it is plain decoding itself"
)
UNKEPT = (
    "that takes this run and one before it of its model, both kept, which timed some question in"
    " common beside plain decoding"
)

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
        samples: Least answers.
        speed: Least times as fast as plain decoding beside it.
        ttft_ratio: Most that its time to first token may be of plain decoding's beside it.
        kept_speed: Least times as fast as in the kept run before, each beside its own plain
            decoding, on the questions that both timed.
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
    speed: float | None = Field(default=None, gt=0.0)
    ttft_ratio: float | None = Field(default=None, gt=0.0)
    kept_speed: float | None = Field(default=None, gt=0.0)

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
    """The responses of one variant on one benchmark; where it did not run there, none.

    Attributes:
        layout: Scores of the benchmark, of all variants.
        name: Policy and variant.
        beside: Scores of the model and benchmark in this run and in the kept one before it, told
            apart by ``side``; see `ttc_bench.reporting.run_changes.load_runs`.
    """

    layout: Layout
    name: Name
    beside: DataFrame | None = None

    def values(self, metric: str) -> Any:
        """Return a metric by job; NaN where it is not known."""
        return self.layout.values(metric)[self.name]


Criterion = Callable[[Answers, float, float], Ruling]
"""Rules on answers by a limit, at a confidence."""

CRITERIA: dict[str, Criterion] = {}
"""By the name that a rule has for it."""


class Asked(NamedTuple):
    """What is told of a criterion.

    Attributes:
        of: What its sample consists of.
        at: Whether ``most`` the limit is asked for, or ``least``.
        unknown: Why its figure is not known, where it is not.
        alone: Whether tables tell the same figure with another interval; see `ALONE`.
    """

    of: str
    at: str = "most"
    unknown: str = UNANSWERED
    alone: bool = False


ASKED: dict[str, Asked] = {}
"""By the name of the criterion."""


def criterion(name: str, **told: Any) -> Callable[[Criterion], Criterion]:
    """Return a decorator that registers a criterion under ``name``; see `Asked`."""

    def decorate(function: Criterion) -> Criterion:
        CRITERIA[name], ASKED[name] = function, Asked(**told)
        return function

    return decorate


@criterion("reward_loss", of="question", alone=True)
def _reward_loss(answers: Answers, limit: float, confidence: float) -> Ruling:
    import numpy as np

    layout, name = answers.layout, answers.name
    rewards = layout.values("reward")
    if BASELINE not in rewards:
        return UNKNOWN
    pairs = int((~np.isnan(rewards[name] + rewards[BASELINE])).sum())
    same = are_identical(layout.answers(), name, BASELINE)
    if pairs and (name == BASELINE or (same and name in lossless_variants(layout.part))):
        return Ruling("GO", 0.0, 0.0, 0.0, pairs, by_construction=True)
    answered = layout.answered_by_either([(name, BASELINE)])[:, 0]
    own = np.where(answered, rewards[name], np.nan)
    return loss_at_most(own, rewards[BASELINE], limit, confidence, layout.codes)


@criterion("p95_latency_s", of="timed answer")
def _p95_latency_s(answers: Answers, limit: float, confidence: float) -> Ruling:
    values = answers.values("latency_s")
    return quantile_at_most(values, 0.95, limit, confidence, answers.layout.codes)


def _mean(metric: str, answers: Answers, limit: float, confidence: float) -> Ruling:
    return mean_at_most(answers.values(metric), limit, confidence, answers.layout.codes)


for _metric in ("usd", "flops", "total_tokens"):
    criterion(_metric, of="answer")(partial(_mean, _metric))


@criterion("failure_share", of="response")
def _failure_share(answers: Answers, limit: float, confidence: float) -> Ruling:
    values = answers.layout.failed()[answers.name]
    return share_at_most(values, limit, confidence, answers.layout.codes)


@criterion("samples", of="answer")
def _samples(answers: Answers, limit: float, _confidence: float) -> Ruling:
    n = int(answers.layout.answered()[answers.name].sum())
    enough = n >= limit
    return Ruling("GO" if enough else "INCONCLUSIVE", n, n, n, n, None if enough else int(limit))


def _ratio(answers: Answers, name: str, confidence: float) -> Ratio:
    """Return a ratio of times beside the control, with the interval that the decision goes by."""
    times = timed(answers.layout, name).get(answers.name)
    if times is None:
        return Ratio(math.nan, math.nan, math.nan, 0)
    ratio = speed(*times, confidence)
    return ratio if name == "speed" else ratio.inverse()


@criterion("speed", of="timed pair", at="least", unknown=UNTIMED, alone=True)
def _speed(answers: Answers, limit: float, confidence: float) -> Ruling:
    return ratio_at_least(_ratio(answers, "speed", confidence), limit)


@criterion("ttft_ratio", of="timed pair", unknown=UNTIMED, alone=True)
def _ttft_ratio(answers: Answers, limit: float, confidence: float) -> Ruling:
    return ratio_at_most(_ratio(answers, "ttft_ratio", confidence), limit)


@criterion("kept_speed", of="timed pair", at="least", unknown=UNKEPT, alone=True)
def _kept_speed(answers: Answers, limit: float, confidence: float) -> Ruling:
    if answers.beside is None:
        return UNKNOWN
    policy, variant = answers.name
    own = answers.beside
    own = own[(own["policy"] == policy) & (own["variant"] == variant)]
    own = own.assign(policy=own["side"])
    times = timed(Layout(own, len(own) + 1), "speed")
    if len(times) < 2:
        return UNKNOWN
    now, before = (times[side, variant] for side in ("after", "before"))
    return ratio_at_least(relative_speed(now, before, confidence), limit)


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
        beside: The kept run that it is beside, in words; ``None`` of what looks at one run alone.
    """

    model: str
    benchmark: str
    variant: str
    criterion: str
    limit: float
    ruling: Ruling
    beside: str | None = None


def gate(
    all_scores: DataFrame,
    policy: Mapping[str, Any],
    params: GateParams,
    min_clusters: int,
    beside_kept: Callable[[], DataFrame | None] = lambda: None,
) -> list[Verdict]:
    """Return a verdict for every limit of the policy, in its order.

    Of a variant that did not run on a benchmark of its rule, and of a run without a response,
    nothing is known, and every limit stays open.

    Args:
        all_scores: Scores of the run.
        policy: The rules.
        params: Settings of the gate.
        min_clusters: Task types from which on they are clusters.
        beside_kept: Loads the scores of both runs, for rules on `Answers.beside`; ``None`` where
            no run before it was kept.

    Raises:
        UserError: If a rule is malformed or names what the run does not have; all faults at once.
    """
    rules = parse_params(Policy, policy, params.policy).rules
    if all_scores.empty:
        limits = [(rule, limit) for rule in rules for limit in rule.limits().items()]
        return [
            Verdict("-", rule.benchmark, rule.variant, *limit, UNKNOWN) for rule, limit in limits
        ]
    _check_names(all_scores, rules, params.policy)
    groups = all_scores.groupby(["model", "benchmark"], sort=True)
    layouts = [(key, Layout(part, min_clusters)) for key, part in groups]
    kept = beside_kept() if any(rule.kept_speed is not None for rule in rules) else None
    return [
        Verdict(
            str(model),
            str(benchmark),
            rule.variant,
            what,
            limit,
            ruling,
            _run_before(beside) if what == "kept_speed" else None,
        )
        for rule in rules
        for (model, benchmark), layout in layouts
        if rule.benchmark in (EVERY, benchmark)
        for beside in (_of(kept, model, benchmark),)
        for what, limit, ruling in _rulings(layout, rule, params, beside)
    ]


def _of(kept: DataFrame | None, model: Any, benchmark: Any) -> DataFrame | None:
    if kept is None:
        return None
    own: DataFrame = kept[(kept["model_after"] == model) & (kept["benchmark"] == benchmark)]
    return own


def _run_before(beside: DataFrame | None) -> str | None:
    """Return which run the scores of both runs have as the one before, in words."""
    if beside is None or beside.empty:
        return None
    first = beside[beside["side"] == "before"].iloc[0]
    return f"run {first['run_id']} (model {first['model_before']})"


def _rulings(
    layout: Layout, rule: Rule, params: GateParams, beside: DataFrame | None
) -> Iterator[tuple[str, float, Ruling]]:
    """Yield what a rule limits, the limit, and the ruling, on one model and benchmark."""
    policy, _, variant = rule.variant.partition(".")
    answers = Answers(layout, (policy, variant), beside)
    is_there = answers.name in layout.names
    for what, limit in rule.limits().items():
        yield (
            what,
            limit,
            CRITERIA[what](answers, limit, params.confidence) if is_there else UNKNOWN,
        )


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
                faults.append(f"{file}, rules.{number}: {run_of(all_scores)}, the last one, has no"
                              f" such name: {unknown(kind, name, allowed)}")  # fmt: skip
                if kind == "variant" and (pipeline := name.partition(".")[0]):
                    faults[-1] += f" A run with it comes first: kedro run --pipeline={pipeline}."
    if faults:
        raise UserError("\n".join(faults))


def run_of(all_scores: DataFrame) -> str:
    """Return which run the scores are of, in words."""
    names = sorted(set(all_scores["run_id"])) if "run_id" in all_scores else []
    policies = sorted(set(all_scores["policy"]))
    return f"run {', '.join(map(str, names)) or 'without a name'} ({', '.join(policies)})"


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
    if alone := dict.fromkeys(v.criterion for v in verdicts if _has_own_interval(v)):
        yield ALONE.format(", ".join(alone))
    yield f"{word_of(verdicts)}: {_told(verdicts)}"


def _has_own_interval(verdict: Verdict) -> bool:
    ruling = verdict.ruling
    known = not (math.isnan(ruling.figure) or ruling.by_construction)
    return ASKED[verdict.criterion].alone and known


def _seen(verdict: Verdict) -> str:
    ruling, limit = verdict.ruling, f"{verdict.limit:.6g}"
    if verdict.criterion == "samples":
        return f"{counted_as(ruling.n, 'answer')}, at least {limit} asked for"
    told = ASKED[verdict.criterion]
    asked = f"at {told.at} {limit} is asked for"
    if math.isnan(ruling.figure):
        return f"{asked}, and it is not known: {told.unknown}"
    beside = f" beside {verdict.beside}" if verdict.beside else ""
    seen = f"of {counted_as(ruling.n, told.of)}{beside}"
    if ruling.by_construction:
        return f"{ruling.figure:.4g} {seen}, all identical, lossless by construction; {asked}"
    ends = ", ".join("-" if math.isnan(end) else f"{end:.4g}" for end in (ruling.low, ruling.high))
    needed = ""
    if ruling.needed:
        needed = f"; {counted_as(ruling.needed, told.of)} would decide at this figure"
    if ruling.word == "INCONCLUSIVE" and not ruling.needed:
        needed = "; it lies on its limit, and no number of samples is likely to decide"
        if math.isnan(ruling.low) and math.isnan(ruling.high):
            needed = "; so few do not bound it"
    return f"{ruling.figure:.4g} [{ends}] {seen}, {asked}{needed}"


def _told(verdicts: list[Verdict]) -> str:
    words, word = [verdict.ruling.word for verdict in verdicts], word_of(verdicts)
    limits = counted_as(len(words), "limit")
    if word == "GO":
        return f"all of {limits} shown to be kept."
    fault = "shown to be broken" if word == "NO-GO" else "neither kept nor broken yet"
    return f"{words.count(word)} of {limits} {fault}."


def as_json(verdicts: list[Verdict]) -> dict[str, Any]:
    """Return the verdicts as plain values; what is not known is null."""
    rows = []
    for verdict in verdicts:
        row = {**asdict(verdict), **asdict(verdict.ruling)}
        del row["ruling"]
        rows.append({name: _plain(value) for name, value in row.items()})
    plain: dict[str, Any] = json.loads(json.dumps({"verdict": word_of(verdicts), "rules": rows}))
    return plain


def _plain(value: Any) -> Any:
    """Return a value as JSON holds it, which knows no number without an end."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


_NOT_IN_XML = re.compile(r"[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Signs that XML 1.0 cannot hold in any way; names of models may."""


def as_junit(verdicts: list[Verdict]) -> str:
    """Return the verdicts as JUnit XML: a broken limit is a failure, an open one is skipped.

    Attributes are those that the schema of Jenkins asks for; a test's name holds its limit, so that
    two rules on the same figure are two tests.
    """
    words = [verdict.ruling.word for verdict in verdicts]
    counts = {
        "tests": len(words),
        "failures": words.count("NO-GO"),
        "errors": 0,
        "skipped": words.count("INCONCLUSIVE"),
    }
    attributes = {"name": "ttc-bench gate", **{k: str(v) for k, v in counts.items()}}
    suite = ElementTree.Element("testsuite", attributes)
    for verdict in verdicts:
        place = f"{verdict.model}.{verdict.benchmark}.{verdict.variant}"
        named = {"classname": place, "name": f"{verdict.criterion} {verdict.limit:g}"}
        case = ElementTree.SubElement(suite, "testcase", named)
        if tag := {"NO-GO": "failure", "INCONCLUSIVE": "skipped"}.get(verdict.ruling.word):
            ElementTree.SubElement(case, tag, {"message": _seen(verdict)})
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding="unicode", xml_declaration=True)
    return _NOT_IN_XML.sub("\ufffd", text) + "\n"
