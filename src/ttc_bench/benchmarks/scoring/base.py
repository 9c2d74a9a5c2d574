"""The contract of reward rules: what scores an answer, and which figures it leaves.

A rule is a function of an answer and its gold answers, registered where it is defined by
``@reward_rule(name, reward=..., metrics=[...])``, in this package or in a benchmark's own file.
A sample names its rule; the metrics of the family ``benchmark`` are the figures of all rules.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from ttc_bench.benchmarks.answers import answer_text
from ttc_bench.params import Params
from ttc_bench.registry import Registry
from ttc_bench.types import MetricSpec

References = Sequence[str | None]
Figures = Mapping[str, float | None]
Compute = Callable[..., Figures]
"""Computes figures from an answer, its gold answers and the task type; options go by name."""


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
        canonical: Reads an answer for votes, so that equal answers are equal, ``None`` if it holds
            none. A rule without it belongs to benchmarks that read answers themselves, and is not
            offered for questions of one's own.
        fault: Says what is wrong with a gold answer, ``None`` if nothing is.
        is_free: Whether the whole response is the answer, unless a question asks otherwise.
        options: Settings of the rule; they reach ``compute``, ``canonical`` and ``fault`` by name.
        by_judge: Whether the reward is what a judge model says of correctness, for which
            ``compute`` has no figure.
    """

    name: str
    compute: Compute
    metrics: tuple[MetricSpec, ...]
    reward: str
    gold: Literal["text", "refusal", "workflow"] = "text"
    warm: Callable[[Iterable[tuple[str, References]]], None] | None = None
    canonical: Callable[..., Hashable] | None = None
    fault: Callable[..., str | None] | None = None
    is_free: bool = False
    options: type[Params] = Params
    by_judge: bool = False

    @property
    def figure(self) -> str:
        """What the reward is: the figure of that name, or the rule where it has no other."""
        return self.reward if self.metrics else self.name

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
        return self.grade(self.answer(text), references, task)

    def grade(
        self, answer: str, references: References, task: str | None = None, **options: Any
    ) -> Figures:
        """Return the figures of one answer, and ``reward``; see `score`."""
        figures = self.compute(answer, references, task, **options)
        return {"reward": figures[self.reward], **figures}


class RewardRules(Registry[RewardRule]):
    """The rules by name; a dotted path is the rule of a function that lies there."""

    def __getitem__(self, name: str) -> RewardRule:
        """Return a rule.

        Raises:
            UserError: If there is none of this name, or no function at the dotted path.
        """
        if "." in name:
            from ttc_bench.benchmarks.scoring.functions import rule_of_function

            return rule_of_function(name)
        return super().__getitem__(name)


REWARD_RULES: Registry[RewardRule] = RewardRules(
    "reward rule", "ttc_bench.benchmarks.scoring", "ttc_bench.benchmarks"
)


def reward_rule(
    name: str,
    *,
    reward: str,
    metrics: Iterable[MetricSpec],
    gold: Literal["text", "refusal", "workflow"] = "text",
    warm: Callable[[Iterable[tuple[str, References]]], None] | None = None,
    canonical: Callable[..., Hashable] | None = None,
    fault: Callable[..., str | None] | None = None,
    is_free: bool = False,
    options: type[Params] = Params,
    by_judge: bool = False,
) -> Callable[[Compute], Compute]:
    """Return a decorator that registers a function as the rule ``name``; see `RewardRule`."""

    def decorate(compute: Compute) -> Compute:
        read = (canonical, fault, is_free, options, by_judge)
        rule = RewardRule(name, compute, tuple(metrics), reward, gold, warm, *read)
        REWARD_RULES.register(name)(rule)
        return compute

    return decorate


def share(name: str, definition: str, source: str) -> MetricSpec:
    """Return what a figure in [0, 1] means of which more is better."""
    return MetricSpec(name, "1", (0.0, 1.0), True, definition, source)
