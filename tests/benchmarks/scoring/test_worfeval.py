from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_bench.benchmarks.scoring.worfeval import KEYS, worf_scores, worf_scores_batch

GOLD = "Node:\n1: Search the files.\n2: Count the words.\nEdges: (START,1) (1,2) (2,END)"


def test_equal_to_the_official_figures(shared: Path) -> None:
    cases = json.loads((shared / "expected" / "worfeval_cases.json").read_text())
    assert len(cases) == 160
    found = worf_scores_batch([(case["pred"], case["gold"]) for case in cases])
    for case, scores in zip(cases, found, strict=True):
        for side in ("node", "graph"):
            for ours, theirs in (("precision",) * 2, ("recall",) * 2, ("f1", "f1_score")):
                official = case[side][theirs]
                assert scores[f"{side}_{ours}"] == pytest.approx(official, abs=1e-6), case["id"]


def test_one_by_one_equals_batch(shared: Path) -> None:
    cases = json.loads((shared / "expected" / "worfeval_cases.json").read_text())[::20]
    pairs = [(case["pred"], case["gold"]) for case in cases]
    assert [worf_scores(*pair) for pair in pairs] == worf_scores_batch(pairs)


def test_edges_are_compared_by_raw_index() -> None:
    swapped = "Node:\n1: Count the words.\n2: Search the files.\nEdges: (START,1) (1,2) (2,END)"
    scores = worf_scores(swapped, GOLD)
    assert scores["graph_f1"] == 1.0
    assert scores["node_f1"] == 0.5


@pytest.mark.parametrize("text", ["", "prose", "Node:\n1: a", "Nodes (1,2", "\ud800 Node"])
def test_what_the_official_parser_cannot_read_scores_zero(text: str) -> None:
    assert worf_scores(text, GOLD) == dict.fromkeys(KEYS, 0.0)


@pytest.mark.parametrize(
    "gold", ["", "no plan", "Node:\n1: a\nEdges: (1,1)", "Node:\n1: a\nEdges: (START,9)"]
)
def test_a_gold_text_that_is_no_plan_is_not_applicable(gold: str) -> None:
    assert math.isnan(worf_scores(GOLD, gold)["node_f1"])


def test_edges_without_nodes_and_to_nowhere_have_defined_scores() -> None:
    scores = worf_scores("Node:\n(START,7) (7,END) (8,99999999999999999999)", GOLD)
    assert scores["node_f1"] == 0.0
    assert 0.0 < scores["graph_f1"] < 1.0


def test_a_runaway_prediction_is_scored_in_reasonable_time() -> None:
    scores = worf_scores("Node:\n" + "1. Count the words.\n" * 20_000 + "(START,1)", GOLD)
    assert scores["node_recall"] == 0.5


@settings(deadline=None, max_examples=25)
@given(st.lists(st.sampled_from(["search files", "count", "stop", "START"]), max_size=12))
def test_scores_stay_in_range(nodes: list[str]) -> None:
    lines = "\n".join(f"{i}: {node}" for i, node in enumerate(nodes, start=1))
    edges = " ".join(f"({i},{i + 1})" for i in range(len(nodes) + 1))
    scores = worf_scores(f"Node:\n{lines}\nEdges: {edges}", GOLD)
    assert all(0.0 <= scores[key] <= 1.0 for key in KEYS)
