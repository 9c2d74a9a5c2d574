"""Answers without what is around them: tags of HTML, emphasis, LaTeX, quotes, a full stop.

Pure text handling. What is left is the answer as its author meant it, never another one.
"""

from __future__ import annotations

import html
import re
import unicodedata

from ttc_bench.benchmarks.answers import unwrapped, without_wrappers
from ttc_bench.benchmarks.numerals import typed

_QUOTES = "\"'`*\u201c\u201d\u2018\u2019 \t"
_COPIED = re.compile(r"(\(?)<([^<>]+)>(\)?)")
"""The brackets that stand for the answer where it is asked for."""

_UNDERLINED = re.compile(r"^(__?)(?!_)(.*[^_])\1$", re.DOTALL)
_ENCLOSED = re.compile(
    r"\(([^()]*)\)|<([^<>]*)>|\*\*([^*]*)\*\*|\*([^*]*)\*|__([^_]*)__|_([^_]*)_|`([^`]*)`"
)
_TAG = re.compile(
    r"</?(?P<name>br|p|li|ol|ul|tr|td|th|div|h[1-6]|(?P<inline>a|b|i|u|em|sub|code|font|mark|span"
    r"|strong))"
    r"(?:\s+[\w-]+\s?=\s?(?:\"[^\"]*\"|'[^']*'|[^\s\"'<>]+))*\s*/?>",
    re.IGNORECASE,
)
"""A tag of HTML as models write it; "a<b and c>d" holds none."""

_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z]\w{1,30});")
_CLOSED = re.compile(r"</(\w+)\s*>")
_RAISED = re.compile(r"<sup>\s*([^<>]*?)\s*</sup>", re.IGNORECASE)
_LOWERED = re.compile(r"(?<=\d)<sub>\s*(\d{1,3})\s*</sub>", re.IGNORECASE)
"""The base of a number; "H<sub>2</sub>O" has none."""

_EMPHASIS = re.compile(
    r"\*\*|`|(?<!\w)__?(?=\S)|(?<=\S)__?(?!\w)|(?<![\w*])\*(?=\w)|(?<=\w)\*(?![\w*])"
)
_BEFORE_FRACTION = re.compile(r"(?<=\d)\s*(?=\\[dt]?frac)")
_CUBE = "\u221b"
_ROOT = re.compile(r"([\u221a\u221b])\s?(?:\(([^()]*)\)|(\d+(?:\.\d+)?|[A-Za-z]))")
_RAISED_SIGNS = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u207b]+")
_LOWERED_SIGNS = re.compile("(?<=\\d)[\u2080-\u2089]+")
_MATHS_SIGNS = {
    "\u221e": "\\infty ", "\u03c0": "\\pi ", "\u00b7": "\\cdot ", "\u22c5": "\\cdot ",
    "\u00d7": "\\times ", "\u00f7": "\\div ", "\u222a": "\\cup ", "\u2229": "\\cap ",
    "\u2205": "\\emptyset ", "\u2208": "\\in ", "\u2264": "\\leq ", "\u2265": "\\geq ",
    "\u2260": "\\neq ", "\u00b1": "\\pm ", "\u00b0": "^\\circ ", "\u211d": "\\mathbb{R}",
}  # fmt: skip
_BASE = re.compile(r"(?<=\d)_(?:(\d)|\{\s*(?:\\text\w*\s*\{)?\s*(\w+)[\s}]*)")
_NAMED_BASES = {"two": "2", "three": "3", "four": "4", "five": "5", "six": "6", "seven": "7",
    "eight": "8", "nine": "9", "ten": "10", "twelve": "12", "sixteen": "16"}  # fmt: skip
VULGAR = re.compile(r"[\u00bc-\u00be\u2150-\u215e]")
SUPERSCRIPTS = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u207a", "0123456789-+"
)


def cleaned(answer: str) -> str:
    """Return an answer without tags, LaTeX, quotes and the full stop around it."""
    body = unwrapped(_BEFORE_FRACTION.sub(" ", typed(_untagged(answer))))
    return _unquoted(" ".join(body.split()))


def expression(answer: str) -> str:
    """Return an answer's LaTeX, without what encloses all of it; signs of Unicode as LaTeX's."""
    body = _unquoted(" ".join(without_wrappers(typed(answer)).split()))
    return body if body.isascii() else _in_latex(body)


def _in_latex(text: str) -> str:
    text = _ROOT.sub(lambda m: f"\\sqrt{'[3]' * (m[1] == _CUBE)}{{{m[2] or m[3]}}}", text)
    text = _RAISED_SIGNS.sub(lambda m: f"^{{{m[0].translate(SUPERSCRIPTS)}}}", text)
    text = _LOWERED_SIGNS.sub(lambda m: f"_{{{unicodedata.normalize('NFKC', m[0])}}}", text)
    text = VULGAR.sub(lambda m: "\\frac{{{}}}{{{}}}".format(*spelled(m).strip().split("/")), text)
    return "".join(_MATHS_SIGNS.get(sign, sign) for sign in text)


def bases(answer: str) -> tuple[str, ...]:
    """Return the bases of the numerals behind an answer's last ``=`` in order, ten aside."""
    last = expression(answer).rpartition("=")[2]
    named = (match[1] or match[2].lower() for match in _BASE.finditer(last))
    numbers = (_NAMED_BASES.get(base, base) for base in named)
    return tuple(base for base in numbers if base != "10")


def is_worded(answer: str) -> bool:
    r"""Return whether an answer is made of words, of which LaTeX makes products of letters.

    A word of two or three letters may be a product, unless it stands in ``\text{...}``.
    """
    least = 2 if "\\text" in answer or "\\mathrm" in answer else 4
    words = re.split(r"[\s.,'-]+", expression(answer))
    is_all_letters = all(word.isalpha() for word in words if word)
    return is_all_letters and max(map(len, words)) >= least


def unmarked(answer: str) -> str:
    """Return an answer without what emphasises any of its words: tags of HTML, stars, lines."""
    return _EMPHASIS.sub("", _untagged(answer))


def _untagged(answer: str) -> str:
    answer = _ENTITY.sub(lambda sign: html.unescape(sign[0]), answer)
    if "<" not in answer:
        return answer
    closed = {name.lower() for name in _CLOSED.findall(answer)} | {"br"}

    def blank(tag: re.Match[str]) -> str:
        # "<B>" alone is the letter, in the brackets that it was asked for in.
        is_tag = tag["name"].lower() in closed
        return ("" if tag["inline"] else " ") if is_tag else tag[0]

    body = _TAG.sub(blank, _LOWERED.sub(r"_{\1}", _RAISED.sub(r"^{\1}", answer)))
    # An answer that is nothing but tags is about them.
    return body if body.strip() else answer


def bare(answer: str) -> str:
    """Return an answer without the emphasis, or the brackets asked for, that enclose all of it."""
    body = answer.strip()
    while (match := _ENCLOSED.fullmatch(body)) and (inner := match[match.lastindex or 0].strip()):
        body = inner
    return body


def _unquoted(text: str) -> str:
    body = text.strip(_QUOTES)
    body = body[:-1].strip(_QUOTES) if body.endswith(".") else body
    body = _UNDERLINED.sub(r"\2", body)
    copied = _COPIED.fullmatch(body)
    return "".join(copied.groups()).strip(_QUOTES) if copied else body


def spelled(sign: re.Match[str]) -> str:
    """Return a fraction of one sign as figures with a stroke, behind a blank."""
    return " " + unicodedata.normalize("NFKC", sign[0]).replace("\u2044", "/")
