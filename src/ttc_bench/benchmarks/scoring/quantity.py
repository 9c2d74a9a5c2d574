"""Which number an answer names, however it is written; none where it leaves open which.

A wrong reading is worse than none: a figure that is a part of something else (a power, a base, a
bound, a measure in two units, one of two solutions) is not the number.
"""

from __future__ import annotations

import re
from fractions import Fraction

from ttc_bench.benchmarks.numerals import typed, ungrouped
from ttc_bench.benchmarks.scoring.markup import SUPERSCRIPTS, VULGAR, cleaned, spelled

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+(?![\d,])|\d+)(?:\.\d+)?|\.\d+"
_NUMBER = re.compile(
    rf"(?<![\w.,^/-])(?P<sign>[-+\u2212]?)\s?[$\u20ac\u00a3\u00a5]?\s?(?P<value>{_DIGITS})"
    r"(?P<power>[eE][+-]?\d{1,3}(?!\d))?(?:\s?/\s?(?P<under>\d+))?"
    r"(?!\d|/\s?[-\d(]|[.,]\d|[eE][+-]?\d|\s?[-\u2013]\s?\d)"
)
_SPACED = re.compile(r"(?<![\w.,])[1-9]\d{0,2}(?: \d{3})+(?![\w/]| \d)")
"""A number in groups of three, as French and the SI write it."""

_FIGURE = re.compile(r"[-+\u2212]?\s?[$\u20ac\u00a3\u00a5]?\s?[\d.,]+(?:[eE][-+]?\d{1,3})?\s?%?")
_MIXED = re.compile(
    r"(?<![\w.,/])(-?)(\d{1,100}) (\d{1,100})/(\d{1,100})(?![\d/.,]|\s*[-+*^:]\s*\d)"
)
_POWER = re.compile(
    r"(?:(?<=\d)\s?(?:[x\u00d7*\u00b7]|\\times|\\cdot)\s?|(?<![\w.,^])(?=10))10"
    r"(?:\s?\^\s?[{(]?([-+]?\d{1,3})[})]?|([\u2070\u00b9\u00b2\u00b3\u2074-\u207b]{1,4}))(?!\d)"
)
_SEVERAL = re.compile(
    r"\d\s*(?:[-+*^:x\u00d7\u00f7\u2013\u00b7]|\*\*|\\(?:times|cdot|div)|[,;](?=\s)"
    r"|\b(?:or|and|to|times|plus|minus|over|divided by|(?:more|less|fewer) than)\b)\s*\d"
    r"|\d\s+\d|^\d{1,2}[.)]\s+\S*\d"
)
_UNITS = (
    r"h(?:ou)?rs?|h|min(?:ute)?s?|m|s(?:ec(?:ond)?s?)?|days?|weeks?|months?|years?|f(?:ee|oo)?t|in"
    r"|inch(?:es)?|yards?|miles?|lbs?|pounds?|oz|ounces?|dollars?|euros?|cents?|degrees?|k?[gm]"
)
_JOINED = re.compile(
    rf"\d\s?(?:{_UNITS})\.?,?\s(?:and\s)?\d|\d\s+[a-z]+,?\s(?:and|or)\s\d"
    r"|\d(?![eE][-+]?\d)[A-Za-z]+\d|\d\s?['\u2032\u00b0]\s?\d"
    r"|\d\s?(?:[CPRr]|\\?p?mod|choose|remainder|R\.|per)\s\d|\b1\s+in\s+\d|\(\s*or\b",
    re.IGNORECASE,
)
"""Several numbers that make one together, or of which either may be meant: 5 ft 3 in, 7 R 2."""

_TERM = re.compile(
    r"(?<![\d.][eE])(?<=[A-Za-z)])\s?[+*]\s?\d|\d\s?[+*]\s?[A-Za-z\\(]|\d\s-\s(?:[a-zA-HJ-Z](?![A-Za-z])|\()"
    r"|(?<![A-Za-z])[A-Za-z]\s-\s?\d|\d(?![eE][-+]?\d)\s?[abceijnopqruvxyzXYZ](?=\s*(?:$|[-+*/^=)]))"
    r"|\d\((?=[^()]*[-+*^\d])|/\s?[abnxyz](?![A-Za-z])|\|"
)
"""A term with letters, brackets or bars: its figure is a part of it."""

_SYMBOLIC = re.compile(
    r"[\u221a\u221b\u03c0\u221e\u2030\u00b1]|(?<![A-Za-z])(?:sqrt|pi|infty|pm)(?![A-Za-z])"
    r"|(?<![A-Za-z])(?:log|ln|sin|cos|tan|exp)\s?[\d({_]"
    r"|overline|[\u0304\u0305]|\d[\u00b2\u00b3\u00b9\u2070-\u209c]|\.\(\d"
    r"|\d_|\bbase[ -]?\{?\d|\b(?:binary|octal|hexadecimal)\b"
    r"|\b(?:dozens?|half|twice|double|(?:a|one) (?:quarter|third))\b"
)
"""Roots, pi, functions, endless decimals, powers, bases and fractions in words: a numeral beside
them is a part of another number."""

_BASE_TEN = re.compile(r"(?<=\d)_(?:\{10\}|10(?!\d))|\s\(?base[ -]10\)?(?!\d)")
_BOUND = re.compile(
    r"[<>\u2264\u2265\u2260]=?\s?[-+]?[\d.$\u20ac]|\\(?:[lg]eq?|neq?|[lg]t)(?![A-Za-z])|(?<!\d)!=|~="
    r"|^(?:not|(?:more|less|fewer|greater) than|at (?:least|most)|up to|over|under|above|below)\b"
    r"|^no (?:more|less|fewer)\b|\bor (?:more|less|fewer|higher|lower|greater)\b|\d\+(?!\s?[\d(])",
    re.IGNORECASE,
)
"""What a number is not, or only beyond."""

_ARROW = re.compile(
    r"\s(?:is|are|equals|gives|makes)(?=\s+[-$\u20ac]?\d)|[=-]+>|\u2192|\u21d2|\\(?:(?:R|r|Longr|longr)ightarrow|implies|to)(?![A-Za-z])"
)
_EQUATIONS = re.compile(
    r"=[^=]*(?:[,;]\s|\s(?:or|and)\s)\s*(?!so\b|thus\b|hence\b|therefore\b|then\b|giving\b)[^=]*="
)
"""Two equations, which are two solutions or solve for two unknowns."""

_NEARLY = re.compile(r"\u2248|\\approx(?![A-Za-z])")
_ASIDE = re.compile(r"(?<=\w)\s+\((?!or\b|binary|octal|hex|base\b)[^()]*\)$")
_MINUS = re.compile(r"^(?:(?:minus|negative)\s+|\u2013\s?)(?=[\d.$\u20ac])", re.IGNORECASE)
_DECIMAL_COMMA = re.compile(r"(?<![\w.,])(0,\d+|\d+,(?:\d{1,2}|\d{4,}))(?![\d,.])")
_FACTOR = re.compile(
    r"\s?(?:(hundred)|(thousand)|(million)|(billion)|(trillion))s?\b|(?:([kK])|(M)|(B|bn))(?!\w)"
)
_FACTORS = (2, 3, 6, 9, 12, 3, 6, 9)
_NUMERAL = re.compile(r"\d")
_LONGEST = 1000
"""Digits up to which a number is read; Python reads none of thousands."""

_ROUNDED = Fraction(1, 100)
"""Share by which a number and what it is rounded to may differ."""


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

    Currency, unit, percent sign and thousands separators are read over. Of the sides of an equation
    the last one counts, or the only one that is a number ("42 = 6 * 7"); of several numbers the one
    that the answer begins with. What is written with a root or with pi counts by the number that it
    is nearly. A bound is no number, nor are two solutions, or sides that contradict each other.
    """
    body = ungrouped(cleaned(VULGAR.sub(spelled, answer)))
    without = _ASIDE.sub("", body)
    body = without if _NUMERAL.search(without) else body
    body = _ARROW.sub("=", _BASE_TEN.sub("", body))
    if _BOUND.search(body.strip()) or _EQUATIONS.search(body):
        return None
    sides = [side.strip() for side in body.split("=")]
    values = [_nearly(side) for side in sides]
    named = [value for value in values if value is not None]
    if not named or (values[-1] is None and len({*named}) > 1):
        return None
    last = named[-1]
    figures = (v for s, v in zip(sides, values, strict=True) if v is not None and _is_bare(s))
    return None if any(abs(v - last) > _ROUNDED * abs(last) for v in figures) else last


def _is_bare(side: str) -> bool:
    """Return whether a text is written as a number and nothing else."""
    return _FIGURE.fullmatch(side) is not None


def _nearly(side: str) -> Fraction | None:
    """Return the first number in one side of an equation, by which it may only be nearly."""
    values = (_number(part) for part in _NEARLY.split(side))
    return next((value for value in values if value is not None), None)


def _number(text: str) -> Fraction | None:
    """Return the number that a part of an answer names; see `number`."""
    body = _POWER.sub(_exponent, text.strip().rstrip("%").strip())
    if _SYMBOLIC.search(body) or _JOINED.search(body) or _TERM.search(body):
        return None
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


def _exponent(power: re.Match[str]) -> str:
    exponent = power[1] or power[2].translate(SUPERSCRIPTS)
    return f"{'1' if power[0].startswith('10') else ''}e{exponent}"
