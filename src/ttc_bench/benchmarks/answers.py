"""How answers are read out of a response: shared by benchmarks, votes and metrics.

Everything here is pure text handling. Votes need equal answers to be equal objects, so each
parser returns a canonical hashable value, and ``None`` where a text holds no readable answer.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from ttc_bench.benchmarks.numerals import figure, typed, ungrouped
from ttc_bench.thinking import split_thinking

NONE_ANSWER = ("None",)
"""The canonical form of the explicit answer "None": there is no such record."""

_NAME = r"(?:(?:the|my|our)[ \t]+)?(?:(?:final|correct)[ \t]+)?answer(?:s|\(s\))?"
_MARKER = re.compile(
    rf"^[ \t>*_#`-]*(?:\d{{1,2}}[.)][ \t]+[*_`]*)?{_NAME}"
    r"(?:[ \t]+(?:is|are))?[ \t*_`]*[:\uff1a][ \t]*"
    # A heading, or a line of its own
    rf"|^[ \t>]*(?:\#{{1,6}}|\*\*|__)[ \t*_]*{_NAME}[ \t*_#]*$"
    r"|^(?-i:Final[ ]Answers?|FINAL[ ]ANSWERS?|Answers?|ANSWERS?)[ \t]*$",
    re.IGNORECASE | re.MULTILINE,
)
_EMPHASIS = re.compile(r"(?<=\S)\*+|\*++(?![ \t])|_+|`+")
_NOT_BEGUN = re.compile(r"[*_]+(?=\s|$)[ \t]*")
_TAG = re.compile(r"<(/?)(respond|(?:final[_ -]?)?answer)>", re.IGNORECASE)
_FILLED = re.compile(r"\S")
_UNFILLED = re.compile(r"[\s*_`.\u2026\"'-]*")
_SEPARATOR = re.compile(r"\s*(?:[,;\n]\s*(?:(?:and\b|&)\s*)?|\s(?:and|&)\s)\s*", re.IGNORECASE)
_ZEROS = re.compile(r"(?<=\d)\.0+$|(?<=\.\d)0+$")
_DECIMAL = re.compile(r"[+-]?\d+\.\d+$")
_MATHS = re.compile(r"(?<!\\)\\[()\[\],;! ]|\$\$|\$(?!\d)|(?<!\w)\$(?=[\d.,]+\$)")
_WRAPPER = r"\\(?:boxed|fbox|text(?:bf|it|rm|tt)?|math(?:rm|bf|it|tt))\s*"
_IN_BRACES = r"\{((?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*)\}"
"""LaTeX's braces, with others inside."""
_WRAPPED = re.compile(_WRAPPER + _IN_BRACES)
_DEEPEST = 20
"""Rounds that take LaTeX off, each of it three levels."""

_CUT_SHORT = re.compile(_WRAPPER + r"(?:\{|(?=\w))")
"""A wrapper whose end is missing, or that has no braces."""
_FRACTION = re.compile(rf"\\[dt]?frac\s*(?:{_IN_BRACES}\s*{_IN_BRACES}|(\d)(\d))")
_LATEX_SIGNS = re.compile(r"\{(,)\}|\\([%$&#_{}])")
_BOXED = re.compile(r"\\(?:boxed|fbox)\s*\{|[{}]")
_LINE_END = re.compile(r"\r\n?|[\u2028\u2029\x85]")
_BLANKS = re.compile(r"[^\S\n]+")
_BULLET = re.compile(r"^(?:[-*•]|\d{1,2}[.)])\s+")
_GOES_ON = re.compile(r"[,;&:]$|\band$", re.IGNORECASE)
_ITEM = re.compile(
    r"(?:[-*\u2022]\s+|\d{1,2}[.)]\s+)?[\"'`*]*(?P<id>(?=\w*\d)\w{6,})[\"'`*]*[,;.]?$"
)
_NUMBERED_WORD = re.compile(r"[A-Za-z]?[a-z]+\d{1,3}")
"""As Step2 or confidence95: a heading or a remark sooner than an id."""
_QUOTES = "\"'`*\u201c\u201d\u2018\u2019"


def answer_span(text: str) -> str | None:
    r"""Return what stands behind the last ``Answer:`` marker, or ``None`` without a marker.

    The answer is the rest of the marker's line; where that is empty, as behind a heading, the
    paragraph below it. A list goes on over lines: behind a comma, a colon or an "and", with a line
    of one id after another, or from bullet to bullet. ``<answer>...</answer>`` and CRMArena's own
    ``<respond>...</respond>`` count as markers too; the last one wins that has an answer. Without
    any, the last ``\boxed{...}`` does, in which models trained on mathematics answer.

    Args:
        text: A whole response.
    """
    text = _LINE_END.sub("\n", split_thinking(text).answer.removeprefix("\ufeff"))
    inside = _tagged(text)
    marked = _marked(text[inside.stop :] if inside else text)
    if marked:
        return marked
    if inside:
        return _marked(text[inside]) or text[inside].strip()
    boxed = _boxed(text)
    return marked if boxed is None else boxed


def _marked(text: str) -> str | None:
    """Return what stands behind the last marker that is not left empty; if all are, nothing."""
    markers = list(_MARKER.finditer(text))
    end = len(text)
    for marker in reversed(markers):
        answer = _behind(_emphasis_ended(marker[0], text[marker.end() : end]))
        if not _UNFILLED.fullmatch(answer):
            return answer
        end = marker.start()
    return "" if markers else None


def _emphasis_ended(marker: str, rest: str) -> str:
    """Return what stands behind a marker without the ends of emphases that begin before."""
    signs = _EMPHASIS.findall(marker)
    for sign in dict.fromkeys(s for s in signs if signs.count(s) % 2):
        end = rf"(?<=[^\s{sign[0]}]){re.escape(sign)}(?![\w({sign[0]}+-])"
        is_next = rest.startswith(sign)
        rest = rest[len(sign) :].lstrip(" \t") if is_next else re.sub(end, "", rest, count=1)
    begins = _NOT_BEGUN.match(rest)
    return rest[begins.end() :] if begins else rest


def _behind(rest: str) -> str:
    """Return the answer at the beginning of what stands behind a marker."""
    lines = [line.strip() for line in rest.split("\n")]
    return "\n".join(_listed(lines)) if lines[0] else rest.strip().split("\n\n", 1)[0].strip()


def _boxed(text: str) -> str | None:
    """Return what the last complete LaTeX box holds, empty ones apart; of nested ones the outer."""
    inside, opened = None, list[int | None]()
    for sign in _BOXED.finditer(text):
        if sign[0] != "}":
            opened.append(None if sign[0] == "{" else sign.end())
        elif opened and (start := opened.pop()) is not None:
            is_filled = _FILLED.search(text, start, sign.start()) is not None
            inside = slice(start, sign.start()) if is_filled else inside
    return None if inside is None else text[inside]


def _listed(lines: list[str]) -> Iterator[str]:
    """Yield the first line, and the lines behind it that go on with its list."""
    last = lines[0]
    yield last
    for line in filter(None, lines[1:]):
        bullets = _BULLET.match(last) and _BULLET.match(line)
        if not (_GOES_ON.search(last) or bullets or _is_next_item(last, line)):
            break
        yield line
        last = line


def _is_next_item(last: str, line: str) -> bool:
    """Return whether a line is one id, and the line before it ends with one of the same kind."""
    item, before = _ITEM.match(line), _ITEM.match(last.rsplit(None, 1)[-1])
    if item is None or before is None:
        return False
    kinds = ((_NUMBERED_WORD.fullmatch(i) is None, i.isdigit()) for i in (item["id"], before["id"]))
    return len(set(kinds)) == 1


def answer_text(text: str) -> str:
    """Return the answer span of ``text``, or all of it (stripped) if it has no marker."""
    span = answer_span(text)
    return split_thinking(text).answer.strip() if span is None else span


def parse_answer(text: str) -> tuple[str, ...] | None:
    """Return the final answer of a response in canonical form.

    Several answers ("A, B and C", a JSON list, bullets) are split, cleaned of quotes and
    sorted, because CRMArena compares sorted lists. Case is kept: record ids differ by case. A
    number has one form, however it is written.

    Args:
        text: A whole response.

    Returns:
        The sorted answers; ``("None",)`` for an explicit "None"; ``None`` (unreadable) if the
        text has no ``Answer:`` line, or nothing behind it.
    """
    span = answer_span(text)
    return None if span is None else as_vote(split_answers(span))


def as_vote(answers: tuple[str, ...] | None) -> tuple[str, ...] | None:
    """Return answers with every number in its one form, see `figure`, so that equal ones agree."""
    return None if answers is None else tuple(sorted(map(figure, answers)))


def split_answers(span: str) -> tuple[str, ...] | None:
    """Return the sorted, cleaned answers that an answer span lists; ``None`` if it is empty."""
    body = _without_brackets(_BLANKS.sub(" ", ungrouped(typed(unwrapped(span)))).strip())
    parts = (_clean(part) for part in _SEPARATOR.split(body))
    answers = tuple(sorted(part for part in parts if part))
    if not answers:
        return None
    return NONE_ANSWER if all(part.casefold() == "none" for part in answers) else answers


def unwrapped(span: str) -> str:
    """Return an answer span without the LaTeX around its answers, nested ones included."""
    for _ in range(_DEEPEST if "\\" in span else 0):
        span = _WRAPPED.sub(r"\1", _FRACTION.sub(r"\1\3/\2\4", span))
    span = _LATEX_SIGNS.sub(r"\1\2", _CUT_SHORT.sub("", span))
    return _MATHS.sub("", span)


def _without_brackets(body: str) -> str:
    """Return a text without the brackets that enclose all of it or are alone at an end of it."""
    partner = partners(body)
    start, end = 0, len(body)
    while start < end:
        if body[start] in "([{)]}" and partner.get(start, end - 1) == end - 1:
            end -= start in partner
            start += 1
        elif body[end - 1] in "([{)]}" and end - 1 not in partner:
            end -= 1
        elif body[start].isspace() or body[end - 1].isspace():
            start, end = start + body[start].isspace(), end - body[end - 1].isspace()
        else:
            break
    return body[start:end]


def without_wrappers(span: str) -> str:
    """Return an answer in LaTeX as it is, without dollars, boxes and fonts around it."""
    for _ in range(_DEEPEST if "\\" in span else 0):
        span = _WRAPPED.sub(r"\1", span)
    return _MATHS.sub("", _CUT_SHORT.sub("", span))


def partners(text: str) -> dict[int, int]:
    """Return for each opening bracket that is closed where that is, and the other way round."""
    opened: dict[str, list[int]] = {")": [], "]": [], "}": []}
    closing, partner = {"(": ")", "[": "]", "{": "}"}, dict[int, int]()
    for place, sign in enumerate(text):
        if sign in closing:
            opened[closing[sign]].append(place)
        elif opened.get(sign):
            start = opened[sign].pop()
            partner |= {start: place, place: start}
    return partner


def _clean(part: str) -> str:
    part = _BULLET.sub("", part.strip()).strip(_QUOTES + " \t")
    # A full stop ends the sentence, not the answer; "3.5" keeps its point.
    part = part[:-1].strip(_QUOTES + " \t") if part.endswith(".") else part
    part = _without_brackets(part).strip(_QUOTES + " \t")
    # 1000, $1,000 and 1000.0 are one answer.
    number = part.removeprefix("$").removeprefix("+")
    if not number.lstrip("+-")[:1].isdigit():
        return part
    return _ZEROS.sub("", number) if _DECIMAL.match(number) else number


def _tagged(text: str) -> slice | None:
    """Return where the inside of the last complete ``<respond>`` or ``<answer>`` stands.

    Those that hold nothing do not count.
    """
    inside, opened = None, dict[str, int]()
    for tag in _TAG.finditer(text):
        name = tag[2].lower()
        if not tag[1]:
            opened.setdefault(name, tag.end())
        elif name in opened and text[(start := opened.pop(name)) : tag.start()].strip():
            inside = slice(start, tag.start())
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
