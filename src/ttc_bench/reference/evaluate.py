"""Held-out evaluation of the reference models: greedy, early exits, votes and the verifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from ttc_bench.benchmarks import BENCHMARKS, Prompting
from ttc_bench.reference.conversations import TASKS
from ttc_bench.reference.datasets import ReferenceModel
from ttc_bench.reference.problems import LEVELS, Problem
from ttc_bench.reference.samples import as_sample, chance_by_task, generate
from ttc_bench.reference.sampling import complete, first_layers, prompt_text
from ttc_bench.reference.settings import EvaluationParams
from ttc_bench.reference.verifier import score_rows
from ttc_bench.types import Job

SIMULATED = ("crm_sim", "worf_sim")

Rewards = list[float]


def evaluate_models(
    target: ReferenceModel,
    draft: ReferenceModel,
    verifier: ReferenceModel,
    params: EvaluationParams,
) -> dict[str, Any]:
    """Return all held-out figures, per benchmark."""
    return {name: evaluate_benchmark(name, target, draft, verifier, params) for name in SIMULATED}


def evaluate_benchmark(
    name: str,
    target: ReferenceModel,
    draft: ReferenceModel,
    verifier: ReferenceModel,
    params: EvaluationParams,
) -> dict[str, Any]:
    """Return the figures of one benchmark."""
    tasks = [task for task in TASKS.values() if task.benchmark == name]
    problems = generate(tasks, params.seed, params.samples, "test")
    jobs = jobs_of(name, problems)
    prompts = [prompt_text(problem) for problem in problems]

    def greedy(model: Any) -> Rewards:
        texts = complete(model, target.tokenizer, prompts)
        return [reward(name, text[0], job) for text, job in zip(texts, jobs, strict=True)]

    full = greedy(target.model)
    exits = {str(k): mean(greedy(first_layers(target.model, k))) for k in params.exits}
    samples = [as_sample(p, str(i), params.seed) for i, p in enumerate(problems)]
    return {
        "samples": len(problems),
        "target_greedy": mean(full),
        "target_by_level": by(full, [p.level for p in problems], LEVELS),
        "target_by_task": by(full, [p.task for p in problems], [t.name for t in tasks]),
        "draft_greedy": mean(greedy(draft.model)),
        "early_exit": exits,
        "chance_by_task": dict(chance_by_task(samples)),
        "votes": votes(name, target, verifier, problems[: params.voted], full, params),
    }


def votes(
    name: str,
    target: ReferenceModel,
    verifier: ReferenceModel,
    problems: Sequence[Problem],
    greedy: Rewards,
    params: EvaluationParams,
) -> dict[str, Any]:
    """Return what several samples buy: random pick, majority, verifier's pick and oracle."""
    jobs = jobs_of(name, problems)
    prompts = [prompt_text(problem) for problem in problems]
    texts = complete(
        target.model, target.tokenizer, prompts, params.votes, params.temperature, params.seed
    )
    rewards = [[reward(name, t, job) for t in row] for row, job in zip(texts, jobs, strict=True)]
    flat = [(p, t) for p, row in zip(prompts, texts, strict=True) for t in row]
    scores = torch.tensor(score_rows(verifier.model, target.tokenizer, flat))
    picks = scores.view(len(texts), params.votes).argmax(1).tolist()
    majority = [
        row[vote(name, samples, job)]
        for row, samples, job in zip(rewards, texts, jobs, strict=True)
    ]
    base = greedy[: len(problems)]
    arms = {
        "random": [mean(row) for row in rewards],
        "majority": majority,
        "verifier": [row[i] for row, i in zip(rewards, picks, strict=True)],
        "oracle": [max(row) for row in rewards],
    }
    gains = {f"{arm}_gain": interval(got, base) for arm, got in arms.items()}
    return {"greedy": mean(base), **{arm: mean(got) for arm, got in arms.items()}, **gains}


def vote(name: str, texts: Sequence[str], job: Job) -> int:
    """Return the index of the first sample that gives the most frequent answer."""
    answers = [BENCHMARKS[name].parse(text, job) for text in texts]
    counts = {a: answers.count(a) for a in answers if a is not None}
    return answers.index(max(counts, key=lambda a: counts[a])) if counts else 0


def jobs_of(name: str, problems: Sequence[Problem]) -> list[Job]:
    """Return problems as jobs with the default prompting."""
    benchmark = BENCHMARKS[name]
    samples = [as_sample(p, str(i), 0) for i, p in enumerate(problems)]
    return [benchmark.render(s, Prompting(), benchmark.params()) for s in samples]


def reward(name: str, text: str, job: Job) -> float:
    """Return the benchmark's reward of a response."""
    return float(BENCHMARKS[name].score(text, job)["reward"] or 0.0)


def mean(values: Sequence[float]) -> float:
    """Return the mean, rounded for a report."""
    return round(sum(values) / len(values), 4) if values else 0.0


def by(values: Rewards, keys: Sequence[str], order: Sequence[str]) -> Mapping[str, float]:
    """Return the mean per key."""
    groups = {key: [v for v, k in zip(values, keys, strict=True) if k == key] for key in order}
    return {key: mean(found) for key, found in groups.items()}


def interval(got: Rewards, base: Rewards) -> dict[str, float]:
    """Return the mean paired difference with its 95% normal interval."""
    gaps = torch.tensor(got, dtype=torch.float64) - torch.tensor(base, dtype=torch.float64)
    centre = float(gaps.mean())
    half = 1.96 * float(gaps.std()) / max(len(got), 1) ** 0.5 if len(got) > 1 else 0.0
    return {
        "mean": round(centre, 4),
        "low": round(centre - half, 4),
        "high": round(centre + half, 4),
    }
