"""WorFEval: node and graph scores of a predicted workflow (arXiv 2410.07869).

The official figures, quirks included. Node score: the predicted order of subtasks against up
to 20 topological orders of the gold graph, matched by sentence similarity above 0.6, counting
the longest increasing run. Graph score: the largest connected piece that both graphs share,
where edges are compared by their raw indices, not through the matching of nodes.

Plans that repeat a node are scored to the bit as the official code scores them on the same
machine with as many threads. On another machine rounding differs, and the official node F1 with
it: on 40 such plans with a node dropped, 1 and 2 threads differed in 3, by 0.17 at most.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from itertools import islice
from typing import TYPE_CHECKING, Any, TypeAlias

from ttc_bench.benchmarks.answers import Graph, parse_workflow, read_graph
from ttc_bench.benchmarks.scoring.base import References, reward_rule, share
from ttc_bench.benchmarks.scoring.encoder import Encoder, cores, get_encoder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

THRESHOLD = 0.6
"""Two subtasks match above this cosine similarity."""

_MANY_NODES = 10  # from here on the official code keeps the gold nodes in their given order
_MOST_ORDERS = 20
_MOST_KEPT = 4096  # predictions with their scores
_MOST_EXACT = 200  # beyond, ties are decided by scipy: networkx would take minutes
_DEFINITIONS = {
    "node_precision": "Longest run of matched subtasks in order, over predicted subtasks.",
    "node_recall": "Longest run of matched subtasks in order, over gold subtasks.",
    "node_f1": "Harmonic mean of the node precision and recall.",
    "graph_precision": "Largest connected shared subgraph over predicted nodes.",
    "graph_recall": "Largest connected shared subgraph over gold nodes.",
    "graph_f1": "Harmonic mean of the two; the reward of workflows.",
}
KEYS = tuple(_DEFINITIONS)

Scores = dict[str, float]
Similarity: TypeAlias = "Callable[[Sequence[str], Sequence[str]], NDArray[np.float32]]"


def worf_scores(prediction: str, gold: str, encoder: str | None = None) -> Scores:
    """Return the official node and graph scores of one prediction.

    Args:
        prediction: Response text. One that the official parser cannot read scores 0, as there.
        gold: Gold text in the same format.
        encoder: Name of the sentence encoder, by default the current one; scores of
            different encoders do not compare.

    Returns:
        ``node_precision``, ``node_recall``, ``node_f1``, ``graph_precision``,
        ``graph_recall``, ``graph_f1``, each in [0, 1]; all NaN if the gold text itself is not
        a workflow, which the official code does not survive.
    """
    return worf_scores_batch([(prediction, gold)], encoder)[0]


def worf_scores_batch(pairs: Sequence[tuple[str, str]], encoder: str | None = None) -> list[Scores]:
    """Return `worf_scores` of many (prediction, gold) pairs.

    Each distinct pair is scored once in a process, whichever variants give the same prediction,
    and each distinct subtask is encoded once.

    Args:
        pairs: Prediction and gold text of each response.
        encoder: Name of the sentence encoder, by default the current one.

    Returns:
        One dict of scores per pair, in order.
    """
    model = get_encoder(encoder)
    done: dict[tuple[str, str], Scores] = {}
    distinct = list(dict.fromkeys(pairs))
    for start in range(0, len(distinct), 1024):
        chunk = distinct[start : start + 1024]
        if len(chunk) > 1:
            _warm(model, [(read_graph(p), read_graph(g)) for p, g in chunk])
        done |= {pair: _scored(*pair, model.name, cores()) for pair in chunk}
    return [dict(done[pair]) for pair in pairs]


def warm(pairs: Iterable[tuple[str, References]]) -> None:
    """Encode the subtasks of many (prediction, golds) pairs in one go, so that batches are full."""
    _warm(get_encoder(), [(read_graph(text), read_graph(str(gold[0]))) for text, gold in pairs])


@reward_rule(
    "workflow",
    reward="graph_f1",
    metrics=[share(*pair, "WorFEval, arXiv 2410.07869") for pair in _DEFINITIONS.items()],
    gold="workflow",
    warm=warm,
    canonical=parse_workflow,
    fault=lambda gold: None if parse_workflow(gold) else "is no workflow that WorFEval can read",
    is_free=True,
)
def _workflow(text: str, references: References, _task: str | None) -> Scores:
    return worf_scores(text, str(references[0]))


def _warm(model: Encoder, graphs: Iterable[tuple[Graph | None, Graph | None]]) -> None:
    ready = [(p, g) for p, g in graphs if p is not None and g is not None]
    model.embed(sorted({node for pair in ready for graph in pair for node in graph.nodes}))


@lru_cache(maxsize=_MOST_KEPT)
def _scored(prediction: str, gold: str, encoder: str, _cores: int) -> Scores:
    """Return the scores of a pair, for reading alone; those of ties hold for so many threads."""
    return _score(read_graph(prediction), read_graph(gold), get_encoder(encoder))


def _score(pred: Graph | None, gold: Graph | None, model: Encoder) -> Scores:
    if gold is None:
        return dict.fromkeys(KEYS, float("nan"))
    if pred is None:
        return dict.fromkeys(KEYS, 0.0)
    tied = len(pred.nodes) <= _MOST_EXACT and (_repeats(model, pred) or _repeats(model, gold))
    similarity = _similarity(model, tied)
    node = _node_score(pred, gold, similarity)
    graph = _graph_score(pred, gold, similarity(pred.nodes, gold.nodes))
    return dict(zip(KEYS, (*node, *graph), strict=True))


def _repeats(model: Encoder, graph: Graph) -> bool:
    vectors = {row.tobytes() for row in model.embed(graph.nodes)}
    return len(vectors) < len(graph.nodes)


def _similarity(model: Encoder, tied: bool) -> Similarity:
    """Return how two lists of nodes are compared.

    Between repeated nodes the official matching is decided by the last bits of similarities
    that should be equal, and those by what was encoded together: then that is done over.
    """
    if tied:
        return model.official_similarity
    return lambda pred, gold: model.embed(pred) @ model.embed(gold).T


def _networkx() -> Any:
    import networkx  # type: ignore[import-untyped]

    return networkx


def _node_score(pred: Graph, gold: Graph, similarity: Similarity) -> tuple[float, float, float]:
    nodes = [text for text in pred.nodes if text not in ("START", "END")]
    orders = _orders(gold)
    if orders is None:
        return (float("nan"),) * 3
    best = (0.0, 0.0, 0.0)
    for order in dict.fromkeys(orders) if nodes else ():
        if not order:
            continue
        hits = _longest_increasing(_match(similarity(nodes, order)))
        precision, recall = hits / len(nodes), hits / len(order)
        f1 = 2 * recall * precision / (recall + precision)
        if f1 > best[2]:
            best = (precision, recall, f1)
    return best


def _orders(gold: Graph) -> list[tuple[str, ...]] | None:
    """Return gold nodes in the orders to compare with; ``None`` if the gold graph is not a DAG."""
    if len(gold.nodes) >= _MANY_NODES:
        return [gold.nodes]  # official: START and END stay in
    nx = _networkx()

    if max(max(edge) for edge in gold.edges) >= len(gold.nodes):
        return None
    graph = nx.DiGraph()
    graph.add_nodes_from(range(len(gold.nodes)))
    graph.add_edges_from(gold.edges)
    try:
        orders = list(islice(nx.all_topological_sorts(graph), _MOST_ORDERS))
    except nx.NetworkXUnfeasible:
        return None
    names = ([gold.nodes[i] for i in order] for order in orders)
    return [tuple(name for name in order if name not in ("START", "END")) for order in names]


def _match(similar: NDArray[np.float32]) -> list[int]:
    """Return the gold column matched to each predicted row, or -1 (maximum-weight matching)."""
    import numpy as np

    rows, columns = np.nonzero(similar > THRESHOLD)
    pairs = list(zip(rows.tolist(), columns.tolist(), strict=True))
    if len(set(rows.tolist())) == len(pairs) == len(set(columns.tolist())):
        best = pairs  # nobody has a choice: the matching is the graph itself
    else:
        best = _max_weight(pairs, similar)
    matched = [-1] * similar.shape[0]
    for row, column in best:
        matched[row] = column
    return matched


def _max_weight(
    pairs: list[tuple[int, int]], similar: NDArray[np.float32]
) -> list[tuple[int, int]]:
    """Match as the authors do: networkx decides ties by the order of insertion."""
    if similar.shape[0] > _MOST_EXACT:
        return _assign(similar)
    nx = _networkx()

    graph = nx.Graph()
    for row, column in pairs:
        graph.add_edge(row, str(column), weight=float(similar[row, column]))
    matching = nx.max_weight_matching(graph)
    return [(a, int(b)) if isinstance(a, int) else (b, int(a)) for a, b in matching]


def _assign(similar: NDArray[np.float32]) -> list[tuple[int, int]]:
    """Return a matching of the same total weight for a runaway prediction, in linear memory."""
    import numpy as np
    from scipy.optimize import linear_sum_assignment

    weights = np.where(similar > THRESHOLD, similar, 0.0)
    rows, columns = linear_sum_assignment(weights, maximize=True)
    pairs = zip(rows.tolist(), columns.tolist(), strict=True)
    return [(row, column) for row, column in pairs if weights[row, column] > 0]


def _longest_increasing(matched: list[int]) -> int:
    """Return the longest increasing run; an unmatched node counts as a run of 1 (official)."""
    ends: list[int] = []  # ends[k]: smallest last column of a run of length k + 1
    for column in matched:
        if column != -1:
            place = bisect_left(ends, column)
            ends[place : place + 1] = [column]
    return max(len(ends), 1)


def _graph_score(
    pred: Graph, gold: Graph, similar: NDArray[np.float32]
) -> tuple[float, float, float]:
    matched = _match(similar)
    pred_nodes = {row for row, column in enumerate(matched) if column != -1}
    gold_nodes = {column for column in matched if column != -1}
    ours = {e for e in pred.edges if pred_nodes.issuperset(e)}
    shared = ours & {e for e in gold.edges if gold_nodes.issuperset(e)}
    precision = _largest_piece(pred_nodes, shared) / len(pred.nodes)
    recall = _largest_piece(gold_nodes, shared) / len(gold.nodes)
    return precision, recall, 2 * precision * recall / (precision + recall)


def _largest_piece(nodes: set[int], edges: set[tuple[int, int]]) -> int:
    parent = {node: node for node in nodes}
    for edge in edges:
        for end in edge:
            parent.setdefault(end, end)

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = node = parent[parent[node]]
        return node

    for a, b in edges:
        parent[root(a)] = root(b)
    sizes: dict[int, int] = {}
    for node in parent:
        sizes[root(node)] = sizes.get(root(node), 0) + 1
    return max(sizes.values())
