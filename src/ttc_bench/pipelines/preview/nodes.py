"""Prompts as a model would get them, and what is read in answers to them; no call is made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import click

from ttc_bench.benchmarks import benchmark_of
from ttc_bench.engines.base import Engine
from ttc_bench.pipelines.preview.params import PreviewParams
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.types import Job

_WRITINGS = ("{}", "The answer is **{}**.", "So it is $\\boxed{{{}}}$.", "#### {}")
"""Ways in which models give an answer, beside the one that is asked for."""

_UNKNOWN = "I do not know."

_LEGEND = (
    "vote: the answer by which policies compare responses, such as self_consistency, which takes"
    " the most frequent one. A response in which none is found in the form asked for has no vote;"
    " its reward is that of what it says all the same."
)


def preview(jobs: list[Job], engine: Engine, params: PreviewParams) -> str:
    """Return, and print, a few questions of each benchmark as the model gets them.

    Below each stands what is read in sample answers, the gold one in several ways and a wrong one
    among them, and the reward that each would get.

    Args:
        jobs: The jobs of the run.
        engine: The models; only a tokenizer is loaded.
        params: How much is shown.
    """
    by_benchmark: dict[str, list[Job]] = {}
    for job in jobs:
        by_benchmark.setdefault(job.benchmark, []).append(job)
    text = "\n".join(
        line for own in by_benchmark.values() for line in _first(own, params.prompts, engine)
    )
    click.echo(text)
    return f"{text}\n"


def _first(jobs: Sequence[Job], count: int, engine: Engine) -> Iterator[str]:
    """Yield the lines of the first questions of a benchmark."""
    shown = jobs[:count]
    of = counted_as(len(jobs), "question")
    yield f"{jobs[0].benchmark}: {len(shown)} of {of} (preview.prompts)"
    yield _LEGEND
    for job in shown:
        yield from _shown(job, jobs, engine)


def _shown(job: Job, others: Sequence[Job], engine: Engine) -> Iterator[str]:
    """Yield the lines of one question."""
    benchmark = benchmark_of(job)
    yield f"=== {as_plain(job.id)} (task {as_plain(job.task)}, reward {job.reward_metric}) ==="
    prompt = engine.prompt_text(job.messages)
    if prompt is None:
        prompt = "\n".join(f"[{m.role}]\n{m.content}" for m in job.messages)
    yield as_plain(prompt)
    yield f"--- at most {counted_as(job.max_tokens, 'token')}; what is read in sample answers: ---"
    for text in sample_answers(job, others):
        vote, reward = benchmark.parse(text, job), benchmark.score(text, job)["reward"]
        said = "no vote: no answer in the form asked for"
        if vote is not None:
            said = f"vote {as_plain(repr(vote))}"
        shown = as_plain(text).replace("\n", "\\n")
        yield f"  {shown}  ->  reward {'none' if reward is None else f'{reward:.2f}'}, {said}"
    yield ""


def sample_answers(job: Job, others: Sequence[Job]) -> list[str]:
    """Return answers to a question: the gold one in several ways, a wrong one, and none.

    Args:
        job: The question.
        others: Questions of the same benchmark, of which one gives the wrong answer.
    """
    benchmark = benchmark_of(job)
    gold = str(job.references[0]) if job.references else ""
    own = benchmark.gold(job)
    ways = [way.format(gold) for way in _WRITINGS] if job.reading is not None else []
    wrong = [benchmark.gold(o) for o in others if o.references != job.references][:1]
    return list(dict.fromkeys([own, f"Let me think.\n{own}", *ways, *wrong, _UNKNOWN]))


def as_plain(text: str) -> str:
    """Return text with what a terminal would act on written out, such as escape sequences."""
    return "".join(
        sign if sign.isprintable() or sign in "\n\t" else repr(sign)[1:-1] for sign in text
    )
