"""Load benchmarks into one sample schema and render samples as jobs."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any

from ttc_bench.benchmarks import BENCHMARKS, Benchmark, Prompting
from ttc_bench.benchmarks.questions import QUESTIONS
from ttc_bench.benchmarks.selection import stratified
from ttc_bench.errors import DataError, UserError
from ttc_bench.params import Params
from ttc_bench.pipelines.ingest_benchmarks.params import QuestionSet
from ttc_bench.reporting.sheet import counted_as
from ttc_bench.types import Job, Sample

logger = logging.getLogger(__name__)


def ingest(
    name: str,
    selected: Sequence[str],
    limit: int | None,
    prompting: Prompting,
    source: Params,
    seed: int,
) -> list[Job]:
    """Return the jobs of one benchmark; none if the run does not select it.

    Args:
        name: Name of the benchmark.
        selected: Benchmarks that the run uses.
        limit: Most samples per benchmark; ``None`` takes all.
        prompting: Prompt settings.
        source: The benchmark's own source settings.
        seed: Seed of which samples a limit takes; see `stratified`.

    Raises:
        DataError: If the source cannot be read or holds no sample.
        UserError: If a few-shot example is itself scored.
    """
    if name not in selected:
        return []
    return _ingest(BENCHMARKS[name], name, limit, prompting, source, seed)


def ingest_questions(limit: int | None, questions: dict[str, QuestionSet], seed: int) -> list[Job]:
    """Return the jobs of all files of questions that a run selects; see `ingest`.

    Args:
        limit: Most questions of each.
        questions: The files by name.
        seed: Seed of which questions a limit takes.

    Raises:
        DataError: With all faults of all files.
    """
    jobs, lines = list[Job](), list[str]()
    for name, own in questions.items():
        try:
            jobs += _ingest(QUESTIONS, name, limit, own.prompting, own.source, seed)
        except UserError as error:
            lines.append(error.message)
    if lines:
        raise DataError("\n".join(lines))
    return jobs


def _ingest(
    benchmark: Benchmark[Any],
    name: str,
    limit: int | None,
    prompting: Prompting,
    source: Params,
    seed: int,
) -> list[Job]:
    scored = benchmark.load(source)
    if not scored:
        raise DataError(f"{name}: the source holds no sample.")
    samples = stratified(scored, limit, seed)
    logger.info("%s: %s", name, _coverage(samples, scored, benchmark.chance(samples)))
    if prompting.shots:
        shown = [e for s in samples for e in benchmark.examples(s, prompting.shots, source)]
        _check_examples(name, shown, scored)
    population = (len(scored), len({sample.task for sample in scored}))
    jobs = (benchmark.render(sample, prompting, source) for sample in samples)
    return [job.model_copy(update={"population": population}) for job in jobs]


def _coverage(samples: Sequence[Sample], scored: Sequence[Sample], chance: float | None) -> str:
    """Return how many samples and task types are asked, of how many; what blind guesses score."""
    tasks, every = ({sample.task for sample in part} for part in (samples, scored))
    line = (
        f"{len(samples)} of {counted_as(len(scored), 'sample')},"
        f" {len(tasks)} of {counted_as(len(every), 'task type')}"
    )
    return line if chance is None else f"{line}; a blind guess is right on {chance:.0%}"


def _check_examples(name: str, shown: Sequence[Sample], scored: Sequence[Sample]) -> None:
    """Raise if a few-shot example is a sample of the scored side, whatever its id.

    Raises:
        UserError: Naming the first one.
    """
    questions = {sample.messages for sample in scored}
    leaked = next((example for example in shown if example.messages in questions), None)
    if leaked is not None:
        raise UserError(
            f"{name}: the few-shot example {leaked.id} is also a scored sample. Take it out of"
            f" the file of sources.{name}.train_path, or set prompting.shots to 0."
        )


def ingest_node(name: str) -> Callable[[list[str], int | None, Prompting, Params, int], list[Job]]:
    """Return the node function of one benchmark; see `ingest`."""

    def node_function(
        selected: list[str], limit: int | None, prompting: Prompting, source: Params, seed: int
    ) -> list[Job]:
        return ingest(name, selected, limit, prompting, source, seed)

    node_function.__name__ = f"ingest_{name}"
    # Kedro validates parameters by annotations, and each benchmark has a class of its own.
    node_function.__annotations__["source"] = BENCHMARKS[name].params
    return node_function


def merge(selected: Sequence[str], *jobs: list[Job]) -> list[Job]:
    """Return the jobs of the selected benchmarks as one list, in the order selected."""
    by_name: dict[str, list[Job]] = {name: [] for name in selected}
    for part in jobs:
        for job in part:
            by_name[job.benchmark].append(job)
    return [job for part in by_name.values() for job in part]
