"""What someone sets limits to, and the answer: budgets of a response, and a least mean reward."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ttc_bench.reporting.budgets import COSTS
from ttc_bench.reporting.candidates import candidate, change, paid_cost, times
from ttc_bench.reporting.params import DecideParams
from ttc_bench.reporting.row_dicts import Row, full_name
from ttc_bench.reporting.sheet import counted_as, known
from ttc_bench.reporting.speeds import ENDS
from ttc_bench.reporting.verdicts import SPENT, is_unanswered, weights, word_of
from ttc_bench.statistics.decision import (
    Candidate,
    best,
    best_within,
    cheapest,
    fastest,
    least_for,
)
from ttc_bench.types import BASELINE

BUDGETS = {
    "budget_s": "latency_s",
    "budget_tokens": "total_tokens",
    "budget_flops": "flops",
    "budget_usd": "usd",
}
"""The metric that a budget is of."""

UNSHOWN_WITHIN = "no variant as good is shown to be within"
UNSHOWN_REACHED = "no variant is shown to reach it"
"""Why an aim with limits has no variant."""

LABELS = {metric: "cost_usd" if metric == "usd" else metric for metric in BUDGETS.values()}
"""The name of a metric in `COSTS`."""


@dataclass(frozen=True)
class Limits:
    """What a response may cost on average, and the least that it must be worth.

    Attributes:
        budgets: Most that it may cost, by metric.
        least_reward: Mean reward that must be shown to be reached; ``None`` asks for none.
    """

    budgets: Mapping[str, float]
    least_reward: float | None = None

    @property
    def is_set(self) -> bool:
        """Return whether there is any limit."""
        return bool(self.budgets) or self.least_reward is not None

    def label(self, cost: str) -> str:
        """Return the limits as an aim, in words."""
        reward = "" if self.least_reward is None else f"a reward of {self.least_reward:g} or more"
        if self.budgets:
            return f"best within {self.pays()} a response" + (reward and f", {reward}")
        return f"{reward}, for the least {COSTS[LABELS[cost]].name}" if reward else "best"

    def unshown(self) -> str:
        """Return in words that nothing is shown to keep the limits."""
        return UNSHOWN_WITHIN if self.budgets else UNSHOWN_REACHED

    def pays(self) -> str:
        """Return the budgets in words."""
        return " and ".join(_amount(metric, most) for metric, most in self.budgets.items())

    def choose(
        self, cost: str, candidates: Sequence[Candidate], baseline: Candidate
    ) -> Candidate | None:
        """Return who is named within the limits, if anyone is.

        Args:
            cost: The cost that is the least where there is no budget.
            candidates: The variants.
            baseline: The baseline.
        """
        least = -math.inf if self.least_reward is None else self.least_reward
        if self.budgets:
            return best_within(candidates, baseline, self.budgets, least)
        if self.least_reward is not None:
            return least_for([baseline, *candidates], cost, least)
        return best(candidates) or baseline

    def reason(self, row: Row) -> str:
        """Return why a row of the verdicts is named, in words."""
        parts = [
            f"mean {_spent(metric, row)}" for metric in self.budgets if known(row[f"{metric}_mean"])
        ]
        if self.least_reward is not None:
            parts.append(reward(row))
        return ", ".join([*parts, *([word_of(row)] if known(row["verdict"]) else [])])


def limits_of(params: DecideParams) -> Iterator[Limits]:
    """Yield each budget that is set by itself, and where more is asked for, all of it at once."""
    whole = all_limits(params)
    for metric, most in whole.budgets.items():
        yield Limits({metric: most})
    if whole.least_reward is not None or len(whole.budgets) > 1:
        yield whole


def all_limits(params: DecideParams) -> Limits:
    """Return everything that is asked for at once."""
    set_ = {metric: getattr(params, name) for name, metric in BUDGETS.items()}
    budgets = {metric: most for metric, most in set_.items() if most is not None}
    return Limits(budgets, params.least_reward)


def answer(rows: Sequence[Row], limits: Limits) -> str:
    """Return who is named within the limits, in one sentence with its uncertainty.

    Where nothing is shown to be good enough, the sentence says so, and what its mean puts first.

    Args:
        rows: Verdicts of one model and benchmark, see `ttc_bench.reporting.verdicts`.
        limits: The limits.
    """
    by_name = {full_name(row): row for row in rows}
    baseline = by_name.get(".".join(BASELINE))
    answered = [row for row in rows if known(row["reward_mean"])]
    if not answered or all(map(is_unanswered, rows)):
        return "No response is valid, so nothing can be decided."
    if baseline is None or not known(baseline["reward_mean"]):
        lack = "There is no baseline" if baseline is None else "The baseline has no reward"
        return f"{lack}, so no variant can be called better or worse."
    others = [candidate(row) for row in rows if row is not baseline]
    cost = paid_cost(baseline)
    choice = limits.choose(cost, others, candidate(baseline))
    if choice is not None:
        if choice.name == full_name(baseline) and not limits.is_set:
            equal = _equal(by_name, others, cost)
            return f"Nothing is shown to be better than {_told(baseline, limits)}{equal}."
        return f"{_lead(limits)}{_told(by_name[choice.name], limits)}."
    affordable = [row for row in answered if candidate(row).is_within(limits.budgets)]
    if not affordable:
        return _too_dear(answered, limits)
    top = max(affordable, key=lambda row: float(row["reward_mean"]))
    aim = "be as good as the baseline"
    if limits.least_reward is not None:
        aim = f"reach a reward of {limits.least_reward:g}"
    within = f" within {limits.pays()}" if limits.budgets else ""
    return f"Nothing{within} is shown to {aim}; by its mean the best is {_told(top, limits)}."


def _equal(by_name: Mapping[str, Row], others: Sequence[Candidate], cost: str) -> str:
    """Return who is as good as the baseline and shown to be faster or cheaper, if anyone is."""
    aims = (
        (fastest(others), "speed", "and {} as fast"),
        (cheapest(others, cost), f"{cost}_ratio", f"at {{}} the {SPENT[cost]}"),
    )
    told = [
        f"{choice.name} is as good {words.format(times(by_name[choice.name], ratio))}"
        for choice, ratio, words in aims
        if choice is not None
    ]
    return f"; but {' and '.join(told)}" if told else ""


def _lead(limits: Limits) -> str:
    """Return what the limits ask for, as the beginning of a sentence."""
    least = limits.least_reward
    if limits.budgets:
        more = "" if least is None else f", for a reward of {least:g} or more"
        return f"Within {limits.pays()} a response{more}: "
    return "Best at any price: " if least is None else f"For a reward of {least:g} or more: "


def _told(row: Row, limits: Limits) -> str:
    """Return a variant with its reward, its mean costs and how it is against the baseline."""
    means = [
        _spent(metric, row)
        for metric in (limits.budgets or BUDGETS.values())
        if known(row[f"{metric}_mean"]) and row[f"{metric}_mean"] > 0
    ]
    costs = f", at a mean of {', '.join(means)}" if means else ""
    own = f"{full_name(row)}, {reward(row)}{weights(row)}"
    if not known(row["verdict"]):
        return f"{own}{costs}"
    return f"{own}, {change(row)} against the baseline ({word_of(row)}){costs}"


def _too_dear(rows: Sequence[Row], limits: Limits) -> str:
    """Return that nothing is within the budgets, and what comes nearest by each of them."""
    nearest, untold = [], []
    for metric in limits.budgets:
        paid = [row for row in rows if known(row[f"{metric}_mean"])]
        if paid:
            row = min(paid, key=lambda own: float(own[f"{metric}_mean"]))
            nearest.append(f"{full_name(row)} with {_spent(metric, row)}")
        else:
            untold.append(f"{COSTS[LABELS[metric]].name} are not known")
    told = [f"the least is {', '.join(nearest)}", *untold] if nearest else untold
    is_seen = any(
        all(candidate(row).spend(cost) <= most for cost, most in limits.budgets.items())
        for row in rows
    )
    verb = "is shown to be" if is_seen else "is"
    return f"Nothing {verb} within {limits.pays()} a response; {', '.join(told)}."


def reward(row: Row) -> str:
    """Return the mean reward with its interval, and of how many questions it is."""
    text = f"reward {row['reward_mean']:.3f}"
    if known(row["reward_low"]) and known(row["reward_high"]):
        text += f" [{row['reward_low']:.2f}, {row['reward_high']:.2f}]"
    n = row["n_questions"]
    return f"{text} on {counted_as(int(n), 'question')}" if known(n) else text


def _amount(metric: str, value: float) -> str:
    return COSTS[LABELS[metric]].amount(value)


def _spent(metric: str, row: Row) -> str:
    """Return the mean of a cost with its interval, which holds for all variants at once."""
    mean, low, high = (row[f"{metric}_mean{end}"] for end in ENDS)
    return COSTS[LABELS[metric]].bounded(float(mean), low, high)
