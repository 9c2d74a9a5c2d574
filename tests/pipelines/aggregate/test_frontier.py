"""The frontier and the choices are what a brute-force definition says, ties and gaps included."""

from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.reporting.support import (
    Marts,
    as_models,
    marts_of,
    marts_of_each,
    scores,
    shown,
)

from ttc_bench.pipelines.aggregate.nodes import collect_scores
from ttc_bench.reporting.budgets import budget_sheet, pareto_places

COSTS = {"flops": "flops", "latency_s": "latency_s", "total_tokens": "total_tokens"}
COSTS["cost_usd"] = "usd"
POINT = ["model", "benchmark", "level", "cost_metric"]

# Small whole numbers, so that equal qualities and equal costs are frequent.
JOB = st.fixed_dictionaries(
    {
        "reward": st.one_of(st.none(), st.sampled_from([0.0, 0.5, 1.0])),
        "flops": st.integers(1, 3),
        "latency_s": st.one_of(st.none(), st.integers(1, 3)),
        "total_tokens": st.integers(1, 3),
        "usd": st.one_of(st.none(), st.integers(0, 2)),
    }
)
LEVELS = st.sampled_from([None, "easy", "hard"])


@st.composite
def benchmarks(draw: st.DrawFn) -> list[tuple[list[str | None], list[list[dict[str, Any]]]]]:
    """Many benchmarks at once: levels of their jobs, and per variant what each job got."""
    found = []
    for _ in range(60):
        jobs = draw(st.integers(1, 3))
        levels = draw(st.lists(LEVELS, min_size=jobs, max_size=jobs))
        variant = st.lists(JOB, min_size=jobs, max_size=jobs)
        found.append((levels, draw(st.lists(variant, min_size=1, max_size=5))))
    return found


def table_of(drawn: list[tuple[list[str | None], list[list[dict[str, Any]]]]]) -> pd.DataFrame:
    parts = []
    for number, (levels, variants) in enumerate(drawn):
        for place, rows in enumerate(variants):
            name = ("baseline", "greedy") if place == 0 else ("policy", f"v{place}")
            part = scores(*name, [row["reward"] for row in rows])
            part["benchmark"] = f"b{number}"
            part["job_id"] = f"b{number}/" + part.index.astype(str)
            part["difficulty"] = pd.array(levels, dtype="string")
            for column in COSTS.values():
                values = np.array([row[column] for row in rows], dtype=float)
                part[column] = np.where(part["status"] == "ok", values, np.nan)
            parts.append(part)
    return collect_scores(*parts)


def points_of(table: pd.DataFrame) -> dict[tuple[str, ...], dict[str, tuple[float, float]]]:
    """By definition: (quality, cost) of each variant, by model, benchmark, level and cost.

    A failed response has the quality 0 and no known cost. A variant that was timed on some jobs
    has its time of those; one whose bill has a gap has no bill.
    """
    found: dict[tuple[str, ...], dict[str, tuple[float, float]]] = {}
    for (benchmark, policy, variant), own in table.groupby(["benchmark", "policy", "variant"]):
        levels = ["all", *own["difficulty"].dropna().unique()]
        for level in levels:
            of_level = own if level == "all" else own[own["difficulty"] == level]
            for cost, column in COSTS.items():
                known = of_level[of_level[column].notna()]
                has_gap = len(known) < of_level["status"].eq("ok").sum()
                if len(known) and not (has_gap and cost != "latency_s"):
                    key = ("target", benchmark, level, cost)
                    quality = of_level["reward"].fillna(0.0).mean()
                    point = (float(quality), float(known[column].mean()))
                    found.setdefault(key, {})[f"{policy}.{variant}"] = point
    paid = {
        (key[1], key[3]) for key, points in found.items() if any(c > 0 for _, c in points.values())
    }
    return {key: points for key, points in found.items() if (key[1], key[3]) in paid}


def dominators(points: dict[str, tuple[float, float]], name: str) -> list[str]:
    """Who is no worse in either and better in one, the cheapest first."""
    quality, cost = points[name]
    better = [
        (c, -q, other)
        for other, (q, c) in points.items()
        if q >= quality - 1e-9 and c <= cost + 1e-9 and (q > quality + 1e-9 or c < cost - 1e-9)
    ]
    return [other for _, _, other in sorted((round(c, 9), round(q, 9), o) for c, q, o in better)]


@settings(max_examples=2, deadline=None, suppress_health_check=list(HealthCheck), database=None)
@given(benchmarks())
def test_frontier_and_choices_are_those_of_brute_force(drawn: Any) -> None:
    table = table_of(drawn)
    if (table["status"] == "failed").all():
        return
    marts = marts_of(table)
    expected = points_of(table)
    assert set(marts["frontier"][POINT].itertuples(index=False, name=None)) == set(expected)
    for key, rows in marts["frontier"].groupby(POINT):
        points = expected[key]
        assert len(rows) == len(points)
        for row in rows.itertuples():
            name = f"{row.policy}.{row.variant}"
            assert (row.quality, row.cost) == pytest.approx(points[name])
            better = dominators(points, name)
            assert row.on_frontier == (not better)
            assert (None if row.on_frontier else row.dominated_by) == next(iter(better), None)
    check_choices(marts["choices"], expected)


def check_choices(choices: pd.DataFrame, expected: Any) -> None:
    found = dict(list(choices.groupby(POINT)))
    assert set(found) == set(expected)
    for key, rows in found.items():
        points = expected[key]
        frontier = {name for name in points if not dominators(points, name)}
        budgets = sorted({round(points[name][1], 9) for name in frontier})
        assert rows["budget"].tolist() == pytest.approx(budgets)
        for row in rows.itertuples():
            affordable = [q for q, c in points.values() if c <= row.budget + 1e-9]
            assert row.quality == pytest.approx(max(affordable))
            assert row.cost <= row.budget
            assert points[f"{row.policy}.{row.variant}"] == pytest.approx((row.quality, row.cost))


REWARDS = [0.1, 0.2, 0.3, 0.7, 0.9, 0.6]
FREE = scores("baseline", "greedy", [1.0, 0.0], usd=0.0)

TABLES = as_models(
    {
        "equal": collect_scores(
            scores("baseline", "greedy", [1.0, 0.0]),
            *(scores(policy, "a", [1.0, 0.0]) for policy in ("cascade", "best_of_n")),
        ),
        "reordered": collect_scores(
            scores("baseline", "greedy", list(REWARDS)),
            scores("cascade", "a", list(reversed(REWARDS))),
            scores("cascade", "b", sorted(REWARDS)),
        ),
        "small": scores("baseline", "greedy", [1.0, 0.0], flops=1e9),
        "large": scores("baseline", "greedy", [0.0, 0.0], flops=9e9),
        "single": collect_scores(
            scores("baseline", "greedy", [1.0]), scores("cascade", "a", [0.0], flops=1e9)
        ),
        "free": FREE,
        "paid": collect_scores(FREE, scores("cascade", "a", [1.0, 1.0], usd=0.5)),
        "waste": collect_scores(
            scores("baseline", "greedy", [1.0, 0.0]),
            scores("cascade", "waste", [0.0, 0.0], flops=4e9, latency_s=3.0, total_tokens=500.0),
            scores("best_of_n", "buys", [1.0, 1.0], flops=8e9, latency_s=2.0, total_tokens=400.0),
        ),
    }
)


@pytest.fixture(scope="module")
def built() -> dict[str, Marts]:
    return marts_of_each(TABLES)


def test_equal_variants_share_the_frontier_and_the_choice_is_one_of_them(
    built: dict[str, Marts],
) -> None:
    marts = built["equal"]
    assert marts["frontier"]["on_frontier"].all()
    assert marts["choices"].groupby(POINT).size().eq(1).all()
    assert set(marts["choices"]["policy"]) == {"baseline"}


def test_equal_means_summed_in_another_order_do_not_dominate_each_other(
    built: dict[str, Marts],
) -> None:
    assert built["reordered"]["frontier"]["on_frontier"].all()


def test_two_models_are_weighed_apart(built: dict[str, Marts]) -> None:
    marts = {k: pd.concat([built["small"][k], built["large"][k]]) for k in built["small"]}
    assert marts["frontier"]["on_frontier"].all(), "each is the only one of its model"
    text = shown(collect_scores(TABLES["small"], TABLES["large"]), marts)
    assert "model small" in text
    assert "model large" in text


def test_one_sample_is_said_to_decide_nothing(built: dict[str, Marts]) -> None:
    assert "one job" in shown(TABLES["single"], built["single"])
    assert built["single"]["frontier"]["n"].eq(1).all()


def test_a_cost_that_nobody_pays_is_not_weighed(built: dict[str, Marts]) -> None:
    assert "cost_usd" not in set(built["free"]["frontier"]["cost_metric"])
    assert "cost_usd" in set(built["paid"]["frontier"]["cost_metric"])


def test_the_places_name_who_dominates_and_the_budgets_what_they_buy(built: Any) -> None:
    places = {key[2:]: place for key, place in pareto_places(built["waste"]["frontier"]).items()}
    assert places["cascade", "waste"] == "none: baseline.greedy is ahead by its means"
    assert places["best_of_n", "buys"] == "FLOPs, seconds, tokens"
    rows = budget_sheet(built["waste"]["choices"]).rows
    assert [row[2:] for row in rows if row[:2] == ["FLOPs", "all"]] == [
        ["2 GFLOP", "baseline.greedy", "0.500"],
        ["8 GFLOP", "best_of_n.buys", "1.000"],
    ]
    assert any(row[:2] == ["FLOPs", "easy"] for row in rows)
    assert not budget_sheet(built["waste"]["choices"].head(0)).rows


def test_failing_instead_of_answering_wrongly_wins_nothing() -> None:
    base = scores("baseline", "greedy", [1.0] * 21 + [0.0] * 3)
    wrong = scores("cascade", "same", [1.0] * 21 + [0.0] * 3, flops=3e9)
    failing = scores("cascade", "same", [1.0] * 21 + [0.0, 0.0, None], flops=3e9)
    tables = {name: collect_scores(base, own) for name, own in (("a", wrong), ("b", failing))}
    marts = marts_of_each(as_models(tables))
    before, after = (marts[name]["frontier"].reset_index(drop=True) for name in tables)
    columns = ["cost_metric", "policy", "quality", "on_frontier", "dominated_by"]
    pd.testing.assert_frame_equal(before[columns], after[columns])
