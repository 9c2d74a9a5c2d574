"""How answers are read out of a response: shared by benchmarks, votes and metrics.

Everything here is pure text handling. Votes need equal answers to be equal objects, so each
parser returns a canonical hashable value, and ``None`` where a text holds no readable answer.
"""

from __future__ import annotations

import re
from collections import deque
from typing import NamedTuple

from ttc_bench.thinking import split_thinking

NONE_ANSWER = ("None",)
"""The canonical form of the explicit answer "None": there is no such record."""

_MARKER = re.compile(
    r"^[ \t>*_#-]*(?:the[ \t]+)?(?:final[ \t]+)?answer(?:[ \t]+is)?[ \t*_]*[:\uff1a][ \t*_]*",
    re.IGNORECASE | re.MULTILINE,
)
_RESPOND = re.compile(r"<(/?)respond>", re.IGNORECASE)
_SEPARATOR = re.compile(r"\s*(?:[,;\n]\s*(?:(?:and\b|&)\s*)?|\s(?:and|&)\s)\s*", re.IGNORECASE)
_THOUSANDS = re.compile(
    r"(?<![\w.,])[1-9]\d{0,2}(?:(?:,\d{3})+(?!\w|,\S)|(?:[_'\u2019]\d{3})+(?!\w|'\w))"
)
_APART = re.compile(r"[,_'\u2019]")
_THIN_SPACE = re.compile(r"(?<=\d)[\u2009\u202f\xa0](?=\d{3}(?!\d))")
_INVISIBLE = re.compile(r"[\u200b-\u200d\u2060\ufeff]")
_TYPED = str.maketrans({"\u2212": "-", **{chr(0xFF10 + digit): str(digit) for digit in range(10)}})
"""Signs that look like those on a keyboard, and stand for them."""
_ZEROS = re.compile(r"(?<=\d)\.0+$|(?<=\.\d)0+$")
_DECIMAL = re.compile(r"[+-]?\d+\.\d+$")
_MATHS = re.compile(r"\\[()\[\]]|\\[,;! ]|\$\$|\$(?!\d)|(?<!\w)\$(?=[\d.,]+\$)")
_WRAPPER = r"\\(?:boxed|fbox|text(?:bf|it|rm|tt)?|math(?:rm|bf|it|tt))\s*"
_IN_BRACES = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
"""LaTeX's braces, with others inside."""
_WRAPPED = re.compile(_WRAPPER + _IN_BRACES)
_CUT_SHORT = re.compile(_WRAPPER + r"(?:\{|(?=\w))")
"""A wrapper whose end is missing, or that has no braces."""
_FRACTION = re.compile(rf"\\[dt]?frac\s*(?:{_IN_BRACES}\s*{_IN_BRACES}|(\d)(\d))")
_LATEX_SIGNS = re.compile(r"\{(,)\}|\\([%$&#_])")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{|[{}]")
_LINE_END = re.compile(r"\r\n?|[\u2028\u2029\x85]")
_BLANKS = re.compile(r"[^\S\n]+")
_BULLET = re.compile(r"^(?:[-*•]|\d{1,2}[.)])\s+")
_GOES_ON = re.compile(r"[,;&:]$|\band$", re.IGNORECASE)
_NEXT_ITEM = re.compile(r"(?:[-*\u2022]\s+|\d{1,2}[.)]\s+)?[\"'`]?(?=\w*\d)\w{6,}[\"'`]?[,;]?$")
_QUOTES = "\"'`*\u201c\u201d\u2018\u2019"


def answer_span(text: str) -> str | None:
    r"""Return what stands behind the last ``Answer:`` marker, or ``None`` without a marker.

    The answer is the rest of the marker's line; where that is empty, the paragraph below it. A
    list goes on over lines: behind a comma, a colon or an "and", with a line of one id, or from
    bullet to bullet.
    CRMArena's own ``<respond>...</respond>`` counts as a marker too; the later one wins. Without
    either, the last ``\boxed{...}`` does, in which models trained on mathematics answer.

    Args:
        text: A whole response.
    """
    text = _LINE_END.sub("\n", split_thinking(text).answer.removeprefix("\ufeff"))
    marker = next(iter(deque(_MARKER.finditer(text), maxlen=1)), None)
    respond = _respond(text)
    if respond and (marker is None or respond.start > marker.start()):
        return text[respond].strip()
    if marker is None:
        return _boxed(text)
    rest = text[marker.end() :]
    lines = [line.strip() for line in rest.split("\n")]
    return _listed(lines) if lines[0] else rest.strip().split("\n\n", 1)[0].strip()


def _boxed(text: str) -> str | None:
    """Return what the last complete LaTeX box holds; of nested ones the outermost."""
    inside, opened = None, list[int | None]()
    for sign in _BOXED.finditer(text):
        if sign[0] != "}":
            opened.append(None if sign[0] == "{" else sign.end())
        elif opened and (start := opened.pop()) is not None:
            inside = text[start : sign.start()]
    return inside


def _listed(lines: list[str]) -> str:
    """Return the first line, with the lines behind it that go on with its list."""
    answer = lines[0]
    for line in lines[1:]:
        bullets = _BULLET.match(answer.rsplit("\n", 1)[-1]) and _BULLET.match(line)
        if line and not (_GOES_ON.search(answer) or _NEXT_ITEM.match(line) or bullets):
            break
        answer = f"{answer}\n{line}" if line else answer
    return answer


def answer_text(text: str) -> str:
    """Return the answer span of ``text``, or all of it (stripped) if it has no marker."""
    span = answer_span(text)
    return split_thinking(text).answer.strip() if span is None else span


def parse_answer(text: str) -> tuple[str, ...] | None:
    """Return the final answer of a response in canonical form.

    Several answers ("A, B and C", a JSON list, bullets) are split, cleaned of quotes and
    sorted, because CRMArena compares sorted lists. Case is kept: record ids differ by case.

    Args:
        text: A whole response.

    Returns:
        The sorted answers; ``("None",)`` for an explicit "None"; ``None`` (unreadable) if the
        text has no ``Answer:`` line, or nothing behind it.
    """
    span = answer_span(text)
    return None if span is None else split_answers(span)


def split_answers(span: str) -> tuple[str, ...] | None:
    """Return the sorted, cleaned answers that an answer span lists; ``None`` if it is empty."""
    typed = _INVISIBLE.sub("", unwrapped(span)).translate(_TYPED)
    body = _without_brackets(_BLANKS.sub(" ", _THIN_SPACE.sub("", typed)).strip())
    body = _THOUSANDS.sub(lambda number: _APART.sub("", number[0]), body)
    parts = (_clean(part) for part in _SEPARATOR.split(body))
    answers = tuple(sorted(part for part in parts if part))
    if not answers:
        return None
    return NONE_ANSWER if all(part.casefold() == "none" for part in answers) else answers


def unwrapped(span: str) -> str:
    """Return an answer span without the LaTeX around its answers, however deep it is nested."""
    while (inner := _WRAPPED.sub(r"\1", _FRACTION.sub(r"\1\3/\2\4", span))) != span:
        span = inner
    span = _LATEX_SIGNS.sub(r"\1\2", _CUT_SHORT.sub("", span))
    return _MATHS.sub("", span)


def _without_brackets(body: str) -> str:
    """Return a list without what encloses it; a bracket that belongs to a part of it stays."""
    inner = body.strip("[](){}")
    return body if _is_balanced(body) and not _is_balanced(inner) else inner


def _is_balanced(text: str) -> bool:
    return all(text.count(pair[0]) == text.count(pair[1]) for pair in ("[]", "()", "{}"))


def _clean(part: str) -> str:
    part = _BULLET.sub("", part.strip()).strip(_QUOTES + " \t")
    # A full stop ends the sentence, not the answer; "3.5" keeps its point.
    part = part[:-1].strip(_QUOTES + " \t") if part.endswith(".") else part
    # 1000, $1,000 and 1000.0 are one answer, and have one vote.
    number = part.removeprefix("$").removeprefix("+")
    if not number.lstrip("+-")[:1].isdigit():
        return part
    return _ZEROS.sub("", number) if _DECIMAL.match(number) else number


def _respond(text: str) -> slice | None:
    """Return where the inside of the last complete ``<respond>`` stands."""
    inside = opened = None
    for tag in _RESPOND.finditer(text):
        if not tag.group(1):
            opened = tag.end() if opened is None else opened
        elif opened is not None:
            inside, opened = slice(opened, tag.start()), None
    return inside


class Graph(NamedTuple):
    """A workflow as WorFEval reads it.

    Attributes:
        nodes: Subtask texts, ``START`` first and ``END`` last.
        edges: Pairs of indices into ``nodes``; a prediction may name indices that do not exist.
    """

    nodes: tuple[str, ...]
    edges: tuple[tuple[int, int], ...]


class Workflow(NamedTuple):
    """The canonical form of a workflow: equal plans are equal, whatever their numbering.

    Attributes:
        nodes: Normalised subtask texts, sorted, repetitions kept.
        edges: Distinct pairs of normalised node texts, sorted.
    """

    nodes: tuple[str, ...]
    edges: tuple[tuple[str, str], ...]


# WorFEval's own patterns: a node needs a blank behind its number, an edge may hold blanks.
# (The look-behind changes no match; it spares a run of digits from being tried at each digit.)
_NODE = re.compile(r"(?<!\d)\d+[:.] (.+)")
_EDGE = re.compile(r"\(\s*(\d+|START)\s*,\s*(\d+|END)\s*\)")


def read_graph(text: str) -> Graph | None:
    """Return the workflow in ``text`` exactly as WorFEval's parser reads it.

    Source: ``workflow_to_graph_list`` of the authors' code (arXiv 2410.07869), quirks
    included: the word "Node" must occur, any "1: " or "1. " anywhere starts a node, node
    numbers are ignored in favour of the order of appearance.

    Args:
        text: A whole response.

    Returns:
        The graph, or ``None`` where the official parser gives up: no "Node", or no edge.
    """
    if "Node" not in text:
        return None
    nodes = ("START", *(m.strip() for m in _NODE.findall(text)), "END")
    last = len(nodes) - 1
    edges = tuple(
        (0 if a == "START" else _index(a), last if b == "END" else _index(b))
        for a, b in _EDGE.findall(text)
    )
    return Graph(nodes, edges) if edges else None


def _index(digits: str) -> int:
    # No graph has 10^9 nodes, and Python refuses to read numbers of thousands of digits.
    return int(digits) if len(digits) < 10 else 10**9


def parse_workflow(text: str) -> Workflow | None:
    """Return the workflow of a response in canonical form, for votes.

    Two responses agree if they name the same subtasks (up to case, blanks and a final full
    stop) joined by the same edges; numbering and the order of lines do not matter. Edges to
    nodes that do not exist are left out.

    Args:
        text: A whole response.

    Returns:
        The canonical workflow; ``None`` if the text holds no readable one.
    """
    graph = read_graph(split_thinking(text).answer)
    if graph is None or len(graph.nodes) == 2:
        return None
    names = [n if n in ("START", "END") else _normalise(n) for n in graph.nodes]
    edges = {(names[a], names[b]) for a, b in graph.edges if max(a, b) < len(names)}
    return Workflow(tuple(sorted(names[1:-1])), tuple(sorted(edges)))


def _normalise(node: str) -> str:
    return " ".join(node.casefold().split()).rstrip(".")
