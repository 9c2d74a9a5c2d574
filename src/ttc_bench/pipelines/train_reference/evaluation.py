"""Held-out evaluation of the reference models by the product's own policies and metrics.

It stands beside the nodes of this stage, not in `ttc_bench.reference`, which trains and knows no
policy: what is measured here runs the nodes of other stages.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ttc_bench.benchmarks import BENCHMARKS, Prompting
from ttc_bench.benchmarks.sim.samples import SimParams, chance_by_task
from ttc_bench.engines import engine_params
from ttc_bench.metrics.base import METRICS, ScoreParams
from ttc_bench.pipelines.generate.nodes import generate
from ttc_bench.pipelines.generate.params import TimingParams, sweep
from ttc_bench.pipelines.score.nodes import score_responses
from ttc_bench.policies.journal import Journal
from ttc_bench.reference.recipe import EvaluationParams
from ttc_bench.statistics import mean_interval
from ttc_bench.types import DataFrame, Job

UNTIMED = TimingParams(jobs=0)

FAMILIES = ("benchmark", "compute", "sampling")

Figures = dict[str, float | None]


@dataclass(frozen=True)
class Arm:
    """One way to answer that the card reports.

    Attributes:
        name: Its name in the card.
        variant: ``{policy}.{variant}`` of the product.
        settings: Settings of the variant.
        model: Which of the models takes the target's part.
    """

    name: str
    variant: str
    settings: Mapping[str, Any] = field(default_factory=dict)
    model: str = "target"


def arms(params: EvaluationParams) -> list[Arm]:
    """Return what is evaluated; the greedy target comes first."""
    draws = {"n": params.votes, "temperature": params.temperature}
    exits = [Arm(f"exit_{k}", "early_exit.fixed_layer", {"layers": k}) for k in params.exits]
    return [
        Arm("greedy", "baseline.greedy"),
        Arm("draft", "baseline.greedy", model="draft"),
        *exits,
        Arm("majority", "self_consistency.majority", draws),
        Arm("verifier", "best_of_n.verifier", draws),
        Arm("speculative", "speculative.draft_model", {"k": params.drafted}),
    ]


def evaluate_benchmark(
    name: str, folders: Mapping[str, Path], params: EvaluationParams
) -> dict[str, Any]:
    """Return the held-out figures of one benchmark.

    Args:
        name: One of those that ``params.samples`` names.
        folders: Where ``target``, ``draft`` and ``verifier`` lie.
        params: How much to evaluate.
    """
    jobs = held_out_jobs(name, params)
    pool = Journal()
    scores = {arm.name: run(arm, jobs, folders, params.seed, pool) for arm in arms(params)}
    greedy, picked = scores["greedy"], scores["verifier"]
    drawn = {"oracle": picked["oracle_reward"], "random": picked["mean_sample_reward"]}
    rewards = {**{arm: table["reward"] for arm, table in scores.items()}, **drawn}
    return {
        "samples": len(jobs),
        "votes": params.votes,
        "rewards": {arm: interval(values, 0.0) for arm, values in rewards.items()},
        "gains": {arm: interval(values - rewards["greedy"]) for arm, values in rewards.items()},
        "verifier_over_random": interval(rewards["verifier"] - rewards["random"]),
        "acceptance_rate": acceptance_rate(scores["speculative"]),
        "by_level": by(greedy, "difficulty"),
        "by_task": by(greedy, "task"),
        "draft_by_task": by(scores["draft"], "task"),
        "chance_by_task": chances(name, params),
    }


def held_out_jobs(name: str, params: EvaluationParams) -> list[Job]:
    """Return the jobs of the test side, drawn by the evaluation's own seed."""
    benchmark, source = BENCHMARKS[name], _source(name, params)
    return [benchmark.render(s, Prompting(), source) for s in benchmark.load(source)]


def chances(name: str, params: EvaluationParams) -> dict[str, float]:
    """Return what informed blind guesses get, per task."""
    return dict(chance_by_task(BENCHMARKS[name].load(_source(name, params))))


def _source(name: str, params: EvaluationParams) -> SimParams:
    return SimParams(seed=params.seed, count=params.samples[name])


def run(
    arm: Arm, jobs: Sequence[Job], folders: Mapping[str, Path], seed: int, pool: Journal
) -> DataFrame:
    """Return the scores of one arm, one row per job; samples in the pool are not drawn again."""
    roles = {**folders, "target": folders[arm.model]}
    engine = engine_params({"engine": "local", **{k: str(v) for k, v in roles.items()}}).build()
    responses = generate(sweep(arm.variant, arm.settings), jobs, engine, pool, seed, UNTIMED)
    families = {family: family in FAMILIES for family in METRICS}
    return score_responses(responses, jobs, ScoreParams(families=families))


def acceptance_rate(scores: DataFrame) -> float:
    """Return the share of all drafted tokens that the target accepted."""
    return float(scores["accepted_tokens"].sum() / max(scores["draft_tokens"].sum(), 1))


def interval(values: Iterable[float], least: float = -1.0) -> Figures:
    """Return a mean of rewards, or of their differences, with its 95% interval.

    Args:
        values: Rewards of 0 to 1, or their differences.
        least: Least value there can be; the largest is 1.
    """
    mean = mean_interval([float(value) for value in values], bounds=(least, 1.0))
    return {key: None if v is None else round(v, 4) for key, v in mean._asdict().items()}


def by(scores: DataFrame, column: str) -> dict[str, float]:
    """Return the mean reward per value of a column, in order of first sight."""
    means = scores.groupby(column, sort=False)["reward"].mean()
    return {str(key): round(float(value), 4) for key, value in means.items()}
