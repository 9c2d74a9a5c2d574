from __future__ import annotations

import itertools
import json
import math
import random
from pathlib import Path
from typing import Any

import networkx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ttc_bench.benchmarks.answers import read_graph
from ttc_bench.benchmarks.scoring.encoder import EMBEDDED, embedded, encoder_path
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


def official_node_f1(pred: str, gold: str, model: Any) -> float:
    """WorFEval's ``t_eval_nodes`` for a chain, transcribed (evaluator/graph_evaluator.py)."""
    from sentence_transformers import util

    plans = [list(graph.nodes) for graph in map(read_graph, (pred, gold)) if graph]
    mine = plans[0][1:-1]
    theirs = plans[1] if len(plans[1]) >= 10 else plans[1][1:-1]
    vectors = [model.encode(nodes, convert_to_tensor=True) for nodes in (mine, theirs)]
    scores = np.maximum(util.cos_sim(*vectors).numpy(), 0).astype(float)
    graph = networkx.Graph()
    for i, j in itertools.product(range(len(mine)), range(len(theirs))):
        if scores[i, j] > 0.6:
            graph.add_edge(i, str(j), weight=scores[i, j])
    matching = networkx.max_weight_matching(graph)
    matched = {a: int(b) for a, b in matching if isinstance(a, int)}
    matched |= {b: int(a) for a, b in matching if isinstance(b, int)}
    runs = np.ones(len(mine))
    for i in range(len(mine)):
        for j in range(i):
            if matched.get(i, -1) > matched.get(j, -1) != -1:
                runs[i] = max(runs[i], runs[j] + 1)
    recall, precision = int(max(runs)) / len(theirs), int(max(runs)) / len(mine)
    return 2 * recall * precision / (recall + precision)


def chain(nodes: list[str]) -> str:
    lines = "\n".join(f"{i}: {node}" for i, node in enumerate(nodes, start=1))
    steps = " ".join(f"({i},{i + 1})" for i in range(1, len(nodes)))
    return f"Node:\n{lines}\nEdges: (START,1) {steps} ({len(nodes)},END)"


def test_ties_between_repeated_nodes_are_decided_as_officially() -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(encoder_path(EMBEDDED))
    draw = random.Random(5)
    pairs = []
    while len(pairs) < 12:
        places = draw.sample(["fridge", "countertop", "microwave", "cabinet"], 2)
        goal = draw.choice(["apple", "mug", "plate"])
        plan = []
        for place in draw.choices(places, k=draw.randint(3, 4)):
            plan += [f"go to {place}", f"open {place}", f"take {goal} from {place}"]
            del plan[len(plan) - draw.randint(0, 2) : len(plan)]
        if len(set(plan)) < len(plan):
            place = draw.randrange(len(plan))
            pairs.append((chain(plan[:place] + plan[place + 1 :]), chain(plan)))
    node_f1 = [scores["node_f1"] for scores in worf_scores_batch(pairs)]
    official = [official_node_f1(pred, gold, model) for pred, gold in pairs]
    assert node_f1 == pytest.approx(official, abs=1e-9)
    assert len({round(f1, 3) for f1 in official}) > 3


def test_a_plan_that_is_known_is_not_encoded_again_and_its_scores_are_ones_own() -> None:
    repeated = "Node:\n1: Count the lines.\n2: Count the lines.\nEdges: (START,1) (1,2) (2,END)"
    scores = worf_scores(repeated, GOLD)
    kept = dict(scores)
    scores.clear()
    passes: list[Any] = []
    with embedded()._model.register_forward_hook(lambda *call: passes.append(call)):
        assert worf_scores(repeated, GOLD) == kept
    assert not passes


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
