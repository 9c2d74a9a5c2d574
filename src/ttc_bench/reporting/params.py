"""How sure a report is to be of what it says."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from ttc_bench.params import Params
from ttc_bench.statistics import Settings

Order = Literal["policy", "best"]
"""What the rows of the printed table are sorted by."""


class AggregateParams(Params):
    """Settings of the aggregate stage.

    Attributes:
        run_id: Name of the run in the history; null takes the start of the session. A run of
            the same name, model and configuration replaces its own rows there.
        confidence: Level of all intervals; of the comparisons of a family, that all hold at once.
        seed: Seed of the subsets that a scaling curve draws where it cannot count all.
        min_clusters: Least task types of a benchmark that are clusters; with fewer, each job is.
        pool_privacy: Whether the rewards of privacy tasks go into one number with all others;
            else they stand apart, as a benchmark of their own.
        equal_within: Share of a metric's scale that is too small to matter.
        power: Chance of showing a difference of ``equal_within``, for the pairs that are needed.
        order: Rows of the printed table by policy, or the best mean reward first.
    """

    run_id: str | None = Field(default=None, min_length=1)
    confidence: float = Field(default=0.95, gt=0.5, lt=1.0)
    seed: int = Field(default=0, ge=0)
    min_clusters: int = Field(default=15, ge=2)
    pool_privacy: bool = False
    equal_within: float = Field(default=0.05, gt=0.0, lt=1.0)
    power: float = Field(default=0.8, gt=0.0, lt=1.0)
    order: Order = "policy"

    def comparing(self) -> Settings:
        """Return what a paired comparison takes of these."""
        return Settings(self.confidence, self.power, self.equal_within)


class DecideParams(Params):
    """What a response may cost on average; each budget adds an aim to the decision.

    Within a budget is what is shown to be: the upper end of the mean's interval, which holds for
    all variants at once; of too few responses for one, each response.

    Attributes:
        budget_s: Seconds from the question to the whole answer.
        budget_tokens: Tokens of prompts and answers of all calls.
        budget_flops: Floating point operations.
        budget_usd: Dollars.
        least_reward: Mean reward that a variant must be shown to reach, by its interval. With
            budgets it narrows what they may buy; alone it asks for the cheapest.
    """

    budget_s: float | None = Field(default=None, gt=0.0)
    budget_tokens: float | None = Field(default=None, gt=0.0)
    budget_flops: float | None = Field(default=None, gt=0.0)
    budget_usd: float | None = Field(default=None, gt=0.0)
    least_reward: float | None = Field(default=None, gt=0.0, le=1.0)
