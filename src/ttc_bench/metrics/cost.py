"""Dollars."""

from __future__ import annotations

from ttc_bench.engines.ledger import COLUMNS
from ttc_bench.metrics.base import Columns, MetricSpec, Null, ScoringBatch, Value, family

_PRICES = [column.spec for column in COLUMNS if column.spec.unit == "USD"]


@family(
    "cost",
    [
        *_PRICES,
        MetricSpec(
            "usd_per_correct",
            "USD",
            (0.0, None),
            False,
            "Dollars over summed reward of the (model, policy, variant, benchmark); the same in "
            "each of its rows, so that the mean is the group's figure.",
            "ledger and reward",
        ),
    ],
)
def cost(batch: ScoringBatch) -> Columns:
    """Return the prices of each response and the price of a correct answer of its group."""
    prices = {spec.name: batch.column(spec.name) for spec in _PRICES}
    return {**prices, "usd_per_correct": _per_correct(batch)}


def _per_correct(batch: ScoringBatch) -> list[Value]:
    values: list[Value] = [None] * len(batch)
    price, reward = batch.column("usd"), batch.earlier["reward"]
    for rows in batch.groups():
        paid = [price[row] for row in rows]
        gained = sum(reward[row] or 0.0 for row in rows)
        figure: Value = None
        if None not in paid:
            figure = sum(paid) / gained if gained else Null("no answer of the group is correct")
        for row in rows:
            values[row] = figure
    return values
