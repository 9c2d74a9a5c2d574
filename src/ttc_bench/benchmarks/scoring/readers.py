"""How the final answers to questions of one's own are marked and read: letters and phrases.

Pure text handling, as in `ttc_bench.benchmarks.answers`: each reader returns a canonical value, so
that equal answers are equal and have one vote, and ``None`` where there is no readable answer.
"""

from __future__ import annotations

import json
import re
import unicodedata
from collections.abc import Sequence

from ttc_bench.benchmarks.answers import answer_span
from ttc_bench.benchmarks.numerals import figure, ungrouped
from ttc_bench.benchmarks.scoring.markup import cleaned, unmarked
from ttc_bench.benchmarks.scoring.quantity import is_figure
from ttc_bench.thinking import split_thinking

LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"

_HASHES = re.compile(r"^[ \t]*#{4}[ \t]*(\S.*)$", re.MULTILINE)
_PROSE = re.compile(
    r"(?:\b(?:final|correct|best|right)?\s*answer\s*(?:is|=|(?:would|must|should|has to|will) be)"
    r"|\b(?:the|my|final|correct)\s+answer\s*(?=:)|\b(?:correct|right)\s+(?:option|choice)\s+is"
    r"|\u7b54\u6848\s*(?:\u662f|\u4e3a|\u70ba|(?=[:\uff1a])))\s*[:\uff1a]?\s*(\S.*)",
    re.IGNORECASE,
)
"""The last of them is Chinese for "the answer is"."""

_SAID_LAST = re.compile(
    r"(?<![\w.,$(-])(\(?[A-Z]\)?|-?[$\u20ac]?\d[\d,]*(?:\.\d+)?%?)\s+is\s+(?:therefore\s+)?(?:the|my)"
    r"\s+(?:(?:final|correct|right)\s+)?answer\b(?!\s+(?:to|if|for|when))"
    r"|\bI(?:'d|\u2019d|\s+would|\s+will|'ll)?\s+(?:choose|pick|select|go\s+with)"
    r"\s+(?:(?:option|choice|answer)\s+)?(\(?[A-Z]\)?)(?=\s*(?:[.!;:\n]|,(?!\s*\(?[A-Z]\b)|because\b|since\b|$))"
)
"""What is an answer wherever it stands: a letter or a number, and no other word."""

_KEYED = re.compile(
    r'"(?:final_?|correct_?)?answer"\s*:\s*("(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?)\s*[,}]',
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"(?<=[\d\w)\]}$*\"'])(?<![A-Z])\.(?=\s+\S|\s*$)")
_QUOTES = "\"'`*\u201c\u201d\u2018\u2019 \t"
_SOFT = re.compile(
    r"[,;?\"'`\u201c\u201d\u2018\u2019\u00ab\u00bb()\[\]{}\u2026\u3002]|!(?!=)|(?<!\d)[:/]|[:/](?!\d)"
    r"|(?<![\w)])\*|\*(?![\w(])|(?<!\d)\.|\.(?!\d)|-(?!\d)"
)
"""Signs without a meaning of their own where they stand; those of mathematics and money stay."""

_ARTICLES = ("a", "an", "the")
_NAMES = r"(?:(?:option|choice|answer|letter)\s*:?\s+)?"
_LONE = re.compile(
    rf"{_NAMES}(?:[({{\[]\s?([A-Za-z])\s?[)}}\]]?|([A-Za-z])[)\]]?)\s*[.!:,;?]?",
    re.IGNORECASE,
)
_LETTERED = re.compile(
    rf"{_NAMES}(?:[(\[]\s?([A-Za-z])\s?[)\]]|([A-Za-z])(?=[).:,;!]|\s))(?P<rest>.*)",
    re.DOTALL | re.IGNORECASE,
)
_LEAD = re.compile(
    r"^(?:(?:so|thus|hence|therefore|probably|only|I(?:'d|\u2019d| would| will|'ll)?"
    r" (?:choose|pick|select|go with|think|believe|say)|(?:my|the (?:correct |right |best )?)"
    r"\s*(?:answer|choice|pick|option) (?:is|(?:would|must|should) be)|it(?:'s|\u2019s| is)"
    r"|it (?:must|should) be)(?:\s*[:,]\s*|\s+))+",
    re.IGNORECASE,
)
"""What says that an answer follows, and nothing of it."""

_REMARK = re.compile(
    r"[\s,;:.)\u2013\u2014-]*(?:I (?:think|believe|guess)|because|since"
    r"|is (?:(?:the|my) )?(?:correct|right|best|answer)|only$|\(?not \(?[A-Z]\)?\)?\.?$)(?!\w)",
    re.IGNORECASE,
)
_NAMED_LAST = re.compile(r"(?P<text>.+?)\s*[(\[](?P<letter>[A-Z])[)\]]", re.DOTALL)


def final_answer(text: str) -> str | None:
    r"""Return the final answer that a response marks, or ``None`` if it marks none.

    Read are a line ``Answer: ...``, CRMArena's ``<respond>`` and ``\boxed{...}`` (see
    `answer_span`); else the last ``#### ...`` of GSM8K (arXiv 2110.14168); else the last "the
    answer is ..." of chain-of-thought prompts (arXiv 2201.11903), "I choose (C)", "42 is the
    answer", or the ``answer`` of an object of JSON.
    """
    answer = split_thinking(text).answer
    span = answer_span(answer)
    if span is None:
        span = next((said for read in _MARKED if (said := read(answer)) is not None), None)
    if span is None:
        return None
    is_sentence = _PROSE.search(span) is not None
    while inner := _PROSE.search(span):
        span = inner[1]
    if is_sentence and (end := _SENTENCE_END.search(span)):
        span = span[: end.start()]
    return span.strip()


def _hashed(text: str) -> str | None:
    marks = _HASHES.findall(text)
    return marks[-1] if marks else None


def _in_prose(text: str) -> str | None:
    sayings = list(_PROSE.finditer(text))
    return sayings[-1][0] if sayings else None


def _said_last(text: str) -> str | None:
    sayings = list(_SAID_LAST.finditer(text))
    return sayings[-1][sayings[-1].lastindex or 0] if sayings else None


def _keyed(text: str) -> str | None:
    values = _KEYED.findall(text)
    try:
        return str(json.loads(values[-1])) if values else None
    except ValueError:
        return None


_MARKED = (_hashed, _in_prose, _said_last, _keyed)
"""Further ways to mark an answer; the first that there is counts."""


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
    texts = [cleaned(answer), cleaned(unmarked(answer))]
    texts += [cleaned(text[lead.end() :]) for text in texts if (lead := _LEAD.match(text))]
    named = (_letter(text, choices) for text in texts)
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


_BEFORE_TEXT = re.compile(r"^[).:,;!\s]*(?:(?:[-\u2013\u2014=\u2192]|->)\s+)?")
_DASHED = re.compile(r"\s[-\u2013\u2014]\s")


def _is_own(rest: str, place: int, texts: Sequence[str | None]) -> bool:
    """Return whether a choice's own text stands behind its letter, however it goes on."""
    said = phrase(_BEFORE_TEXT.sub("", rest))
    begun = [text for text in texts if text and said and f"{said} ".startswith(f"{text} ")]
    is_sentence = rest[:1] in ").:,;!" or _DASHED.match(rest) is not None
    return texts[place] is not None and (
        said == texts[place] or (is_sentence and max(begun, key=len, default=None) == texts[place])
    )
