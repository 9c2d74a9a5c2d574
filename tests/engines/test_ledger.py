"""A counter is declared once: tables, metrics and their descriptions have it from there."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace

import pytest

from ttc_bench.dbt.describe import document
from ttc_bench.engines.columns import Column, columns, counter, last
from ttc_bench.engines.completion import Timing, Usage
from ttc_bench.engines.ledger import COLUMNS, Call, Ledger
from ttc_bench.metrics.base import all_metrics
from ttc_bench.policies.responses import response_schema

OF_A_CALL_ALONE = {
    "prefill_flops",
    "decode_flops",
    "batch_size",
    "is_estimated",
    "ttft_s",
    "itl_s",
}


def test_every_figure_of_a_call_is_a_column_or_known_not_to_be() -> None:
    declared = {column.spec.name for column in COLUMNS}
    figures = {each.name for record in (Usage, Timing) for each in fields(record)}
    assert figures - declared == OF_A_CALL_ALONE
    assert set(Ledger().totals()) == declared


@pytest.fixture(scope="module")
def descriptions() -> str:
    """What the marts' columns are described by."""
    return document()


@pytest.mark.parametrize("column", COLUMNS, ids=lambda column: column.spec.name)
def test_a_column_is_in_the_table_in_the_metrics_and_where_it_is_summarised(
    column: Column, descriptions: str
) -> None:
    field = response_schema().field(column.spec.name)
    assert str(field.type) == ("int64" if column.is_integer else "double")
    (spec,) = [spec for spec in all_metrics() if spec.name == column.spec.name]
    assert replace(spec, family="") == column.spec
    described = f"name: {column.spec.name}\n"
    if described in descriptions:
        assert f"{spec.definition} Unit: {spec.unit}." in " ".join(descriptions.split())


@dataclass(frozen=True, kw_only=True)
class Routed(Call):
    experts_run: int | None = counter(None, "experts", "Experts run over all passes.")
    expert_share: float | None = counter(None, "1", "Experts used of all.", last, None)


def test_a_new_counter_needs_its_declaration_alone() -> None:
    *known, experts, share = columns(Routed)
    assert known == list(columns(Call))
    assert (experts.spec.name, experts.is_integer, share.is_integer) == ("experts_run", True, False)
    who = {"request": 0, "role": "target", "purpose": "answer", "model": "m"}
    calls = [
        Routed(**who, experts_run=2, expert_share=0.5),
        Routed(**who, experts_run=3),
    ]
    assert experts.total(calls, experts.spec.name) == 5
    assert share.total(calls, share.spec.name) == 0.5
    assert experts.total([*calls, Routed(**who)], experts.spec.name) is None, "a gap has no sum"
