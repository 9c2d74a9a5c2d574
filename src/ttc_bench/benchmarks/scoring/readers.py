"""How the final answers to questions of one's own are read: numbers, letters, JSON, phrases.

Pure text handling, as in `ttc_bench.benchmarks.answers`: each reader returns a canonical value, so
that equal answers are equal and have one vote, and ``None`` where there is no readable answer.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ttc_bench.benchmarks.answers import answer_span, partners, unwrapped, without_wrappers
from ttc_bench.benchmarks.numerals import figure, typed, ungrouped
from ttc_bench.thinking import split_thinking

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_HASHES = re.compile(r"^[ \t]*#{4}[ \t]*(\S.*)$", re.MULTILINE)
_PROSE = re.compile(
    r"\b(?:final|correct|best|right)?\s*answer\s*(?:is|=|would be)\s*:?\s*(\S.*)", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"(?<=[\d\w)\]}$*\"'])(?<![A-Z])\.(?=\s+\S|\s*$)")
_QUOTES = "\"'`*\u201c\u201d\u2018\u2019 \t"
_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"(?<![\w.,^-])(?P<sign>[-+\u2212]?)\s?[$\u20ac\u00a3\u00a5]?\s?(?P<value>{_DIGITS})"
    r"(?P<power>[eE][+-]?\d{1,3}(?!\d))?(?:\s?/\s?(?P<under>\d+))?"
    r"(?![\d/]|[.,]\d|[eE][+-]?\d|\s?[-\u2013]\s?\d)"
)
_SPACED = re.compile(r"(?<![\w.,])[1-9]\d{0,2}(?: \d{3})+(?![\w/]| \d)")
"""A number in groups of three, as French and the SI write it."""

_FIGURE = re.compile(r"[-+\u2212]?\s?[$\u20ac\u00a3\u00a5]?\s?[\d.,]+(?:[eE][-+]?\d{1,3})?\s?%?")
_SOFT = re.compile(
    r"[,;?\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb()\[\]{}\u2026\u3002]|!(?!=)|(?<!\d)[:/]|[:/](?!\d)"
    r"|(?<![\w)])\*|\*(?![\w(])|(?<!\d)\.|\.(?!\d)|-(?!\d)"
)
"""Signs without a meaning of their own where they stand; those of mathematics and money stay."""

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
_EMPHASIS = re.compile(
    r"\*\*|`|(?<!\w)__?(?=\S)|(?<=\S)__?(?!\w)|(?<![\w*])\*(?=\w)|(?<=\w)\*(?![\w*])"
)
_BEFORE_FRACTION = re.compile(r"(?<=\d)\s*(?=\\[dt]?frac)")
_CUBE = "\u221b"
_ROOT = re.compile(r"([\u221a\u221b])\s?(?:\(([^()]*)\)|(\d+(?:\.\d+)?|[A-Za-z]))")
_RAISED_SIGNS = re.compile("[\u2070\u00b9\u00b2\u00b3\u2074-\u207b]+")
_MATHS_SIGNS = {
    "\u221e": "\\infty ", "\u03c0": "\\pi ", "\u00b7": "\\cdot ", "\u22c5": "\\cdot ",
    "\u00d7": "\\times ", "\u00f7": "\\div ", "\u222a": "\\cup ", "\u2229": "\\cap ",
    "\u2205": "\\emptyset ", "\u2208": "\\in ", "\u2264": "\\leq ", "\u2265": "\\geq ",
    "\u2260": "\\neq ", "\u00b1": "\\pm ", "\u00b0": "^\\circ ", "\u211d": "\\mathbb{R}",
}  # fmt: skip
_VULGAR = re.compile(r"[\u00bc-\u00be\u2150-\u215e]")
_MIXED = re.compile(
    r"(?<![\w.,/])(-?)(\d{1,100}) (\d{1,100})/(\d{1,100})(?![\d/.,]|\s*[-+*^:]\s*\d)"
)
_SUPERSCRIPTS = str.maketrans(
    "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u207a", "0123456789-+"
)
_POWER = re.compile(
    r"(?:(?<=\d)\s?(?:[x\u00d7*\u00b7]|\\times|\\cdot)\s?|(?<![\w.,^])(?=10))10"
    r"(?:\s?\^\s?[{(]?([-+]?\d{1,3})[})]?|([\u2070\u00b9\u00b2\u00b3\u2074-\u207b]{1,4}))(?!\d)"
)
_SEVERAL = re.compile(
    r"\d\s*(?:[-+*^:x\u00d7\u00f7\u2013\u00b7]|\*\*|\\(?:times|cdot|div)|[,;](?=\s)|\b(?:or|and|to)\b)\s*\d"
)
_SYMBOLIC = re.compile(
    r"[\u221a\u221b\u03c0\u221e]|(?<![A-Za-z])(?:sqrt|pi|infty)(?![A-Za-z])"
    r"|(?<![A-Za-z])(?:log|ln|sin|cos|tan|exp)\s?[\d({]"
)
"""Roots, the number pi and functions: a numeral beside them is a part of another number."""

_BOUND = re.compile(
    r"[<>\u2264\u2265\u2260]=?\s?[-+]?[\d.$\u20ac]|\\(?:[lg]eq?|neq?|[lg]t)(?![A-Za-z])"
    r"|^(?:not|(?:more|less|fewer|greater) than|at (?:least|most))\b",
    re.IGNORECASE,
)
"""What a number is not, or only beyond."""

_NEARLY = re.compile(r"\u2248|\\approx(?![A-Za-z])")
_ASIDE = re.compile(r"(?<=\w)\s+\([^()]*\)$")
_MINUS = re.compile(r"^(?:(?:minus|negative)\s+|\u2013\s?)(?=[\d.$\u20ac])", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"(?<![\w.,])(0,\d+|\d+,(?:\d{1,2}|\d{4,}))(?![\d,.])")
_FACTOR = re.compile(
    r"\s?(?:(hundred)|(thousand)|(million)|(billion)|(trillion))s?\b|(?:([kK])|(M)|(B|bn))(?!\w)"
)
_FACTORS = (2, 3, 6, 9, 12, 3, 6, 9)
_LONGEST = 1000
"""Digits up to which a number is read; Python reads none of thousands."""

_ARTICLES = ("a", "an", "the")
_LONE = re.compile(
    r"(?:(?:option|choice|answer)\s+)?(?:[(\[]([A-Za-z])[)\]]?|([A-Za-z])[)\]]?)\s*[.!:,;]?",
    re.IGNORECASE,
)
_LETTERED = re.compile(
    r"(?:(?:option|choice|answer)\s+)?(?:[(\[]([A-Za-z])[)\]]|([A-Za-z])(?=[).:,;!]|\s))"
    r"(?P<rest>.*)",
    re.DOTALL | re.IGNORECASE,
)
_REMARK = re.compile(
    r"[\s,;:.\u2013\u2014-]*"
    r"(?:I (?:think|believe|guess)|because|since|is (?:the )?(?:correct|right|best))\b",
    re.IGNORECASE,
)
_NAMED_LAST = re.compile(r"(?P<text>.+?)\s*[(\[](?P<letter>[A-Z])[)\]]", re.DOTALL)
_FENCE = re.compile(r"```(?:json)?[ \t]*\n(.*?)```", re.DOTALL | re.IGNORECASE)


def final_answer(text: str) -> str | None:
    r"""Return the final answer that a response marks, or ``None`` if it marks none.

    Read are a line ``Answer: ...``, CRMArena's ``<respond>`` and ``\boxed{...}`` (see
    `answer_span`); else the last ``#### ...`` of GSM8K (arXiv 2110.14168); else the last "the
    answer is ..." of chain-of-thought prompts (arXiv 2201.11903).
    """
    answer = split_thinking(text).answer
    span = answer_span(answer)
    if span is None and (marks := _HASHES.findall(answer)):
        span = marks[-1]
    if span is None:
        sayings = list(_PROSE.finditer(answer))
        span = sayings[-1][0] if sayings else None
    if span is None:
        return None
    is_sentence = _PROSE.search(span) is not None
    while inner := _PROSE.search(span):
        span = inner[1]
    if is_sentence and (end := _SENTENCE_END.search(span)):
        span = span[: end.start()]
    return span.strip()


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
    text = _RAISED_SIGNS.sub(lambda m: f"^{{{m[0].translate(_SUPERSCRIPTS)}}}", text)
    text = _VULGAR.sub(lambda m: "\\frac{{{}}}{{{}}}".format(*_spelled(m).strip().split("/")), text)
    return "".join(_MATHS_SIGNS.get(sign, sign) for sign in text)


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

    body = _TAG.sub(blank, _RAISED.sub(r"^{\1}", answer))
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


def phrase(answer: str) -> str | None:
    """Return an answer as one of words: case, blanks, punctuation and a first article do not count.

    Signs that make a difference stay ("C++" is not "C", "-5" not "5"), and a number is the same
    however it is written. A comma that parts no thousands parts two: "1,5" is "1, 5".
    """
    body = ungrouped(cleaned(answer))
    if is_figure(body) and "," not in body:
        return figure(body)
    if (quantity := figure(body)) != body:
        # "5 kg" is "5kg", as it is for votes.
        return quantity.casefold()
    words = _SOFT.sub(" ", unicodedata.normalize("NFC", body).casefold()).split()
    return " ".join(words[1:] if words[1:] and words[0] in _ARTICLES else words) or body or None


def vote(answer: str) -> str | None:
    """Return an answer for votes where a reward looks at its very text: a number has its unit."""
    body = ungrouped(cleaned(answer))
    return figure(body) if is_figure(body) and "," not in body else phrase(answer)


def has_decimal_comma(text: str) -> bool:
    """Return whether a text holds a number whose comma is read as a decimal point.

    Of one that parts three digits this cannot be: "1,500" is 1500 and "0,500" is 0.5.
    """
    return _DECIMAL_COMMA.search(ungrouped(typed(text))) is not None


def is_figure(text: str) -> bool:
    """Return whether a text is a number and nothing else, but for currency and percent signs."""
    return _FIGURE.fullmatch(text) is not None and number(text) is not None


def number(answer: str) -> Fraction | None:
    """Return the number that an answer names; ``None`` if it names none, or leaves open which.

    Currency, unit, percent sign and thousands separators are read over. Of several numbers the
    one behind the last ``=`` counts, or the one that the answer begins with; what is written with a
    root or with pi counts by the number that it is nearly. A bound is no number.
    """
    body = ungrouped(cleaned(_VULGAR.sub(_spelled, answer)))
    without = _ASIDE.sub("", body)
    body = without if _NUMERAL.search(without) else body
    values = (_number(part) for part in _NEARLY.split(body.rpartition("=")[2]))
    return next((value for value in values if value is not None), None)


_NUMERAL = re.compile(r"\d")


def _number(text: str) -> Fraction | None:
    """Return the number that a part of an answer names; see `number`."""
    if _SYMBOLIC.search(text) or _BOUND.search(text.strip()):
        return None
    body = _POWER.sub(_exponent, text.strip().rstrip("%").strip())
    body = _MINUS.sub("-", _SPACED.sub(lambda groups: groups[0].replace(" ", ""), body))
    body = _DECIMAL_COMMA.sub(lambda digits: digits[0].replace(",", "."), body)
    if mixed := _MIXED.match(body):
        sign, whole, over, under = mixed[1], *map(int, mixed.groups()[1:])
        return (whole + Fraction(over, under)) * (-1 if sign else 1) if under else None
    matches = list(_NUMBER.finditer(body))
    if not matches or (len(matches) > 1 and matches[0].start() > 0) or _SEVERAL.search(body):
        return None
    return _value(matches[0], body[matches[0].end() :])


def _value(match: re.Match[str], rest: str) -> Fraction | None:
    """Return the value of a number, with the factor that stands behind it."""
    if len(match[0]) > _LONGEST or not (under := int(match["under"] or 1)):
        return None
    value = Fraction(match["value"].replace(",", "") + (match["power"] or "")) / under
    if factor := _FACTOR.match(rest):
        value *= 10 ** _FACTORS[(factor.lastindex or 1) - 1]
    return -value if match["sign"] in ("-", "\u2212") else value


def _spelled(sign: re.Match[str]) -> str:
    return " " + unicodedata.normalize("NFKC", sign[0]).replace("\u2044", "/")


def _exponent(power: re.Match[str]) -> str:
    exponent = power[1] or power[2].translate(_SUPERSCRIPTS)
    return f"{'1' if power[0].startswith('10') else ''}e{exponent}"


def letter(answer: str, choices: Sequence[str]) -> str | None:
    """Return the letter of the choice that an answer names; ``None`` if not exactly one.

    A choice is named by its letter ("C", "(c)", "Option C", "C is correct"), by its text, or by
    both ("C. Paris", "Paris (C)"). A letter with the text of another choice contradicts itself and
    names none, as does a letter that another sentence goes on behind: it may be a word or a
    heading.

    Args:
        answer: The final answer.
        choices: Texts of the choices, A first.
    """
    named = (_letter(cleaned(text), choices) for text in (answer, unmarked(answer)))
    return next((sign for sign in named if sign is not None), None)


def _letter(body: str, choices: Sequence[str]) -> str | None:
    """Return the letter of the choice that a cleaned answer names; see `letter`."""
    lone = _LONE.fullmatch(body)
    if lone and (place := LETTERS.index((lone[1] or lone[2]).upper())) < len(choices):
        return LETTERS[place]
    texts = [phrase(choice) for choice in choices]
    written = [cleaned(choice).casefold() for choice in choices]
    if written.count(body.casefold()) == 1:
        return LETTERS[written.index(body.casefold())]
    if last := _NAMED_LAST.fullmatch(body):
        place = LETTERS.index(last["letter"])
        if phrase(last["text"]) in texts:
            is_own = place < len(texts) and phrase(last["text"]) == texts[place]
            return LETTERS[place] if is_own else None
    if match := _LETTERED.match(body):
        place, rest = LETTERS.index((match[1] or match[2]).upper()), match["rest"]
        is_text = rest[:1] in ").:,;!" or match[1]
        is_named = place < len(texts) and _is_own(rest, place, texts)
        if is_named or (place < len(texts) and _REMARK.match(rest)):
            return LETTERS[place]
        if is_text:
            return None
    return LETTERS[texts.index(phrase(body))] if texts.count(phrase(body)) == 1 else None


_BEFORE_TEXT = re.compile(r"^[).:,;!\s]*(?:[-\u2013\u2014]\s+)?")


def _is_own(rest: str, place: int, texts: Sequence[str | None]) -> bool:
    """Return whether a choice's own text stands behind its letter, however it goes on."""
    said = phrase(_BEFORE_TEXT.sub("", rest))
    begun = [text for text in texts if text and said and f"{said} ".startswith(f"{text} ")]
    is_sentence = rest[:1] in ").:,;!"
    return texts[place] is not None and (
        said == texts[place] or (is_sentence and max(begun, key=len, default=None) == texts[place])
    )


def json_value(answer: str) -> Any:
    """Return the JSON value that an answer is, holds between fences, or has its last object of.

    Raises:
        ValueError: If there is none.
    """
    for text in (answer.strip(), *(f.strip() for f in reversed(_FENCE.findall(answer)))):
        try:
            return json.loads(text)
        except (ValueError, RecursionError):
            continue
    return _last_object(answer)


def _last_object(text: str) -> Any:
    """Return the last object or list in a text that is not part of another one."""
    decoder, values, at, partner = json.JSONDecoder(), list[Any](), 0, partners(text)
    while opening := re.compile(r"[{\[]").search(text, at):
        try:
            value, at = decoder.raw_decode(text, opening.start())
            values.append(value)
        except RecursionError:
            break
        except ValueError:
            # A part of what is broken is no answer in its place.
            if is_broken := re.compile(r'\{\s*"').match(text, opening.start()) is not None:
                values.clear()
            at = partner.get(opening.start(), len(text) if is_broken else opening.start()) + 1
    if not values:
        raise ValueError("no JSON value")
    return values[-1]


def canonical_json(value: Any) -> str:
    """Return a JSON value as text, the same for equal values: sorted keys, 1.0 as 1."""
    return json.dumps(_plain(value), sort_keys=True, ensure_ascii=False)


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    is_whole = isinstance(value, float) and value.is_integer()
    return int(value) if is_whole else value
