"""WorFBench: planning a task as a graph of subtasks (arXiv 2410.07869, MIT).

System and user messages are the authors' own, word for word, whatever the prompting settings:
the plan is the whole answer, so there is no separate reasoning to ask for. The gold plan of
the authors' file is the reference.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from ttc_bench.benchmarks.base import BENCHMARKS, Planning, draw_examples
from ttc_bench.benchmarks.records import Entry, fetch_parquet, read_entries
from ttc_bench.errors import UserError
from ttc_bench.params import Params
from ttc_bench.types import Message, Sample

REPOSITORY = "zjunlp/WorFBench_test"
PATH_KEY = "sources.worfbench.path"
TRAIN_KEY = "sources.worfbench.train_path"

_ROLES = ("system", "user", "assistant")


class WorFBenchParams(Params):
    """Where the prompts come from.

    Attributes:
        path: The authors' file, or a folder of them (``*.json``, read in the order of their
            names); ``None`` downloads the test set from the Hugging Face hub.
        train_path: File or folder of prompts that may be shown as few-shot examples.
        sources: Sources to keep, e.g. ``[os, wikihow]``; empty keeps all.
    """

    path: str | None = None
    train_path: str | None = None
    sources: tuple[str, ...] = ()


class WorFBench(Planning[WorFBenchParams]):
    """WorFBench, scored by WorFEval."""

    name: ClassVar[str] = "worfbench"
    params: ClassVar[type[Params]] = WorFBenchParams
    max_tokens: ClassVar[int] = 1024

    def load(self, params: WorFBenchParams) -> list[Sample]:
        """Return every prompt of the source; see `Benchmark.load`."""
        if params.path is not None:
            entries = read_entries(Path(params.path), PATH_KEY, "id")
        else:
            files = fetch_parquet(REPOSITORY, "", PATH_KEY)
            entries = [e for file in files for e in read_entries(file, PATH_KEY, "id")]
        samples = _samples(entries)
        present = {s.task for s in samples}
        for source in params.sources:
            if source not in present:
                raise UserError(
                    f"sources.worfbench.sources: no prompt comes from {source!r}. "
                    f"Known: {', '.join(sorted(present))}."
                )
        return [s for s in samples if not params.sources or s.task in params.sources]

    def examples(self, sample: Sample, count: int, params: WorFBenchParams) -> list[Sample]:
        """Return examples from the train side, of the same source where there are enough."""
        if params.train_path is None:
            raise UserError(
                "worfbench's test files have only a scored side: set prompting.shots to 0, or "
                f"give the authors' train file: `{TRAIN_KEY}: <path>`."
            )
        return draw_examples(_train_side(params.train_path), sample, count, TRAIN_KEY, "prompts")


@lru_cache(maxsize=2)
def _train_side(path: str) -> tuple[Sample, ...]:
    return tuple(_samples(read_entries(Path(path), TRAIN_KEY, "id")))


def _samples(entries: Sequence[Entry]) -> list[Sample]:
    """Ids repeat across the authors' files: a later one gets a number, none is dropped."""
    samples: list[Sample] = []
    seen: Counter[str] = Counter()
    for entry in entries:
        name = entry.text("id", (str, int))
        seen[name] += 1
        samples.append(_sample(entry, name if seen[name] == 1 else f"{name}#{seen[name]}"))
    return samples


def _sample(entry: Entry, name: str) -> Sample:
    *messages, gold = _turns(entry)
    return Sample(
        id=name,
        benchmark=WorFBench.name,
        task=entry.text("source"),
        messages=tuple(messages),
        references=(gold.content,),
        reward_metric="workflow",
        solution=gold.content,
    )


def _turns(entry: Entry) -> list[Message]:
    turns = entry.get("conversations", list)
    roles = tuple(t.get("role") if isinstance(t, dict) else None for t in turns)
    if roles != _ROLES:
        raise entry.fault("conversations", f"has the roles {list(roles)}, not {list(_ROLES)}")
    for turn in turns:
        content = turn.get("content")
        if not isinstance(content, str) or not content.strip():
            raise entry.fault("conversations", f"has no text in its {turn['role']} turn")
    return [Message(role=t["role"], content=t["content"]) for t in turns]


BENCHMARKS.register(WorFBench.name)(WorFBench())
