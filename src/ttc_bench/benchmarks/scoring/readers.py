"""How the final answers to questions of one's own are read: numbers, letters, JSON, phrases.

Pure text handling, as in `ttc_bench.benchmarks.answers`: each reader returns a canonical value, so
that equal answers are equal and have one vote, and ``None`` where there is no readable answer.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence
from fractions import Fraction
from typing import Any

from ttc_bench.benchmarks.answers import answer_span, unwrapped
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
    rf"(?<![\w.,-])(?P<sign>[-+\u2212]?)\s?[$\u20ac\u00a3\u00a5]?\s?(?P<value>{_DIGITS})"
    r"(?P<power>[eE][+-]?\d{1,3}(?!\d))?(?:\s?/\s?(?P<under>\d+))?"
    r"(?![\d/]|[eE][+-]?\d|\s?[-\u2013]\s?\d)"
)
_SPACED = re.compile(r"(?<![\w.,])[1-9]\d{0,2}(?: \d{3})+(?![\w/]| \d)")
"""A number in groups of three, as French and the SI write it."""

_FIGURE = re.compile(r"[-+\u2212]?\s?[$\u20ac\u00a3\u00a5]?\s?[\d.,]+(?:[eE][-+]?\d{1,3})?\s?%?")
_SOFT = re.compile(r"[^\w\s+#%@&\u00b0.-]|(?<!\d)\.|\.(?!\d)|-(?!\d)")
_ARTICLES = ("a", "an", "the")
_LETTER = re.compile(
    r"(?:(?:option|choice|answer)\s+)?"
    r"(?:[(\[](?P<wrapped>[A-Za-z])[)\]]|(?P<plain>[A-Z])(?=\s*[.):,;]|\s*$|\s+(?:because|since|as)\b"
    r"|\s+[-\u2013\u2014(])|(?P<small>[a-z])(?=[.)]?$|[.)]\s))"
    r"(?P<rest>.*)",
    re.DOTALL | re.IGNORECASE,
)
_SECOND = re.compile(r"\s*(?:,|;|&|/|\band\b|\bor\b)\s*[(\[]?[A-Z][)\]]?(?![\w'])")
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
    """Return an answer without LaTeX, quotes and the full stop around it."""
    body = " ".join(unwrapped(typed(answer)).split()).strip(_QUOTES)
    return body[:-1].strip(_QUOTES) if body.endswith(".") else body


def phrase(answer: str) -> str | None:
    """Return an answer as one of words: case, blanks, punctuation and a first article do not count.

    Signs that make a difference stay ("C++" is not "C", "-5" not "5"), and a number is the same
    however it is written.
    """
    body = ungrouped(cleaned(answer))
    if is_figure(body):
        return str(number(body))
    words = _SOFT.sub(" ", unicodedata.normalize("NFKC", body).casefold()).split()
    return " ".join(words[1:] if words[1:] and words[0] in _ARTICLES else words) or body or None


def vote(answer: str) -> str | None:
    """Return an answer for votes where a reward looks at its very text: a number has its unit."""
    body = ungrouped(cleaned(answer))
    return figure(body) if is_figure(body) else phrase(answer)


def is_figure(text: str) -> bool:
    """Return whether a text is a number and nothing else, but for currency and percent signs."""
    return _FIGURE.fullmatch(text) is not None and number(text) is not None


def number(answer: str) -> Fraction | None:
    """Return the number that an answer names; ``None`` if it names none, or leaves open which.

    Currency, unit, percent sign and thousands separators are read over. Of several numbers the
    one behind the last ``=`` counts, or the one that the answer begins with.
    """
    body = ungrouped(cleaned(answer)).rpartition("=")[2].strip().rstrip("%").strip()
    body = _SPACED.sub(lambda groups: groups[0].replace(" ", ""), body)
    matches = list(_NUMBER.finditer(body))
    if not matches or (len(matches) > 1 and matches[0].start() > 0):
        return None
    first = matches[0]
    digits = first["value"].replace(",", "") + (first["power"] or "")
    under = int(first["under"] or 1)
    value = Fraction(digits) / under if under else None
    return -value if value is not None and first["sign"] in ("-", "\u2212") else value


def letter(answer: str, choices: Sequence[str]) -> str | None:
    """Return the letter of the choice that an answer names; ``None`` if not exactly one.

    A choice is named by its letter ("C", "(c)", "C. Paris", "Option C") or by its text.

    Args:
        answer: The final answer.
        choices: Texts of the choices, A first.
    """
    body = cleaned(answer)
    texts = [phrase(choice) for choice in choices]
    if texts.count(phrase(body)) == 1:
        return LETTERS[texts.index(phrase(body))]
    match = _LETTER.match(body)
    if match is None or _SECOND.match(match["rest"]):
        return None
    place = LETTERS.index((match["wrapped"] or match["plain"] or match["small"]).upper())
    return LETTERS[place] if place < len(choices) else None


def json_value(answer: str) -> Any:
    """Return the JSON value that an answer is, holds between fences, or has its last object of.

    Raises:
        ValueError: If there is none.
    """
    for text in (answer.strip(), *(f.strip() for f in reversed(_FENCE.findall(answer)))):
        try:
            return json.loads(text)
        except ValueError:
            continue
    return _last_object(answer)


def _last_object(text: str) -> Any:
    """Return the last object or list in a text that is not part of another one."""
    decoder, values, at = json.JSONDecoder(), list[Any](), 0
    while opening := re.compile(r"[{\[]").search(text, at):
        try:
            value, at = decoder.raw_decode(text, opening.start())
            values.append(value)
        except ValueError:
            at = opening.end()
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
