"""The contract of reward rules: what scores an answer, and which figures it leaves.

A rule is a function of an answer and its gold answers, registered where it is defined by
``@reward_rule(name, reward=..., metrics=[...])``, in this package or in a benchmark's own file.
A sample names its rule; the metrics of the family ``benchmark`` are the figures of all rules.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from ttc_bench.benchmarks.answers import answer_text
from ttc_bench.registry import Registry
from ttc_bench.types import MetricSpec

References = Sequence[str | None]
Figures = Mapping[str, float | None]
Compute = Callable[[str, References, str | None], Figures]


@dataclass(frozen=True)
class RewardRule:
    """An official scoring rule.

    Attributes:
        name: Registered name, by which a sample asks for it.
        compute: Computes ``metrics`` from an answer, its gold answers and the task type; a
            figure may be ``None``.
        metrics: What its figures mean, in the order of their columns.
        reward: Name of the figure in [0, 1] that policies are compared by.
        gold: What the gold answer is: a text, a refusal (which has no text), or a workflow, for
            which the whole response is the answer.
        warm: Prepares the scoring of many (answer, gold answers) pairs, for speed alone.
    """

    name: str
    compute: Compute
    metrics: tuple[MetricSpec, ...]
    reward: str
    gold: Literal["text", "refusal", "workflow"] = "text"
    warm: Callable[[Iterable[tuple[str, References]]], None] | None = None

    def answer(self, text: str) -> str:
        """Return the part of a response that is scored: its final answer, or the workflow."""
        return text if self.gold == "workflow" else answer_text(text)

    def score(self, text: str, references: References, task: str | None = None) -> Figures:
        """Return the figures of one response, and ``reward``.

        Args:
            text: The whole response.
            references: Gold answers; ``None`` is the explicit "no such record".
            task: Task type, for a rule that reads the answers of tasks differently.
        """
        figures = self.compute(self.answer(text), references, task)
        return {"reward": figures[self.reward], **figures}


REWARD_RULES: Registry[RewardRule] = Registry(
    "reward rule", "ttc_bench.benchmarks.scoring", "ttc_bench.benchmarks"
)


def reward_rule(
    name: str,
    *,
    reward: str,
    metrics: Iterable[MetricSpec],
    gold: Literal["text", "refusal", "workflow"] = "text",
    warm: Callable[[Iterable[tuple[str, References]]], None] | None = None,
) -> Callable[[Compute], Compute]:
    """Return a decorator that registers a function as the rule ``name``; see `RewardRule`."""

    def decorate(compute: Compute) -> Compute:
        rule = RewardRule(name, compute, tuple(metrics), reward, gold, warm)
        REWARD_RULES.register(name)(rule)
        return compute

    return decorate


def share(name: str, definition: str, source: str) -> MetricSpec:
    """Return what a figure in [0, 1] means of which more is better."""
    return MetricSpec(name, "1", (0.0, 1.0), True, definition, source)
