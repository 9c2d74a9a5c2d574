"""Numbers however they are written: one number in one unit is one answer, and has one vote.

Pure text handling. What differs is never merged: neither 5 and 5%, nor a number and an id that
begins with a zero.
"""

from __future__ import annotations

import re
import unicodedata
from decimal import Decimal

_INVISIBLE = re.compile(r"[\u200b-\u200f\u2060\ufeff]")
_DIGIT = re.compile(r"\d")
_LOOK_ALIKE = str.maketrans(
    # Hyphens and minus signs
    dict.fromkeys((0x2010, 0x2011, 0x2212, 0xFE63), "-")
    # All of ASCII in full width
    | {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}
    # Percent, point, commas and semicolon of Arabic; the comma and the blank of ideographs
    | {0x066A: "%", 0x066B: ".", 0x066C: ",", 0x060C: ",", 0x061B: ";", 0x3001: ",", 0x3000: " "}
)
"""Signs that look like those on a keyboard, and stand for them."""

_THIN_SPACE = re.compile(r"(?<=\d)[\u2009\u202f\xa0](?=\d{3}(?!\d))")
_THOUSANDS = re.compile(
    r"(?<![\w.,])[1-9]\d{0,2}(?:(?:,\d{3})+(?!\w|,\S)|(?:[_'\u2019]\d{3})+(?!\w|'\w))"
)
_APART = re.compile(r"[,_'\u2019]")

_CURRENCY = "[$\u20ac\u00a3\u00a5\u20b9\u20a9]"
_SIGN = r"[-+\u2013]?"
_SUPERSCRIPTS = "\u2070\u00b9\u00b2\u00b3\u2074\u2075\u2076\u2077\u2078\u2079\u207b\u207a"
_TO_DIGITS = str.maketrans(_SUPERSCRIPTS, "0123456789-+")
_RAISED = rf"10\s?(?:\^\s?\{{?([-+]?\d{{1,4}})\}}?|([{_SUPERSCRIPTS}]{{1,5}}))"
"""A power of ten, its exponent as digits or superscripts."""

_UNIT = r"[km]?g|[kcm]?m|[m\u00b5]?s|min|h|[kKMGT]?B|k?W|[kMG]?Hz|m?[lL]|USD|EUR|GBP"
_FIGURE = re.compile(
    rf"({_SIGN})({_CURRENCY}?)\s?({_SIGN})"
    r"(?:((?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)"
    rf"(?:[eE]([-+]?\d{{1,4}})|\s?(?:[x\u00d7*\u00b7]|\\times|\\cdot)\s?{_RAISED})?|{_RAISED})"
    rf"(?:\s?({_CURRENCY})|(\s?)((?i:%|per\s?cent|pct)|\u2030|\u00b0\s?[CF]?|{_UNIT}))?"
)
_PERCENT = re.compile(r"per\s?cent|pct", re.IGNORECASE)
_EXPONENT = re.compile(r"[-+]?\d{1,4}")
_LONGEST = 60
"""Zeros up to which a power of ten is written out."""


def typed(text: str) -> str:
    """Return a text as a keyboard writes it: signs, digits of all scripts, no thin spaces."""
    if text.isascii():
        return text
    plain = _INVISIBLE.sub("", text).translate(_LOOK_ALIKE)
    plain = _DIGIT.sub(lambda digit: str(unicodedata.decimal(digit[0])), plain)
    return _THIN_SPACE.sub("", plain)


def ungrouped(text: str) -> str:
    """Return a text whose numbers have no separators of thousands."""
    return _THOUSANDS.sub(lambda number: _APART.sub("", number[0]), text)


def figure(text: str) -> str:
    r"""Return a number in its one form, with its unit; any other text as it is.

    1000.0, 1e3 and 10^3 are 1000; .50 is 0.5; -0 is 0; "5 %" and "5 percent" are 5%; "1000 €" is
    €1000. Dollars are the unit of what names none, and "12AB" is no number of a unit, but an id.

    Args:
        text: One answer as `typed` and `ungrouped` leave it.
    """
    match = _FIGURE.fullmatch(text)
    if match is None:
        return text
    sign, before, inner_sign, digits, *powers, after, blank, unit = match.groups()
    power = next((p.translate(_TO_DIGITS) for p in powers if p), "0")
    currency = before or after or ""
    is_id = (unit or "").isalpha() and not blank and ("." not in (digits or "") or power != "0")
    is_double = (sign and inner_sign) or (before and after) or (currency and unit)
    if is_double or (is_id and not _PERCENT.fullmatch(unit)) or not _EXPONENT.fullmatch(power):
        return text
    unit = "%" if _PERCENT.fullmatch(unit or "") else re.sub(r"\s", "", unit or "")
    value = _power_of_ten(digits or "1", int(power))
    is_negative = sign + inner_sign not in ("", "+") and value != "0"
    return f"{currency.replace('$', '')}{'-' * is_negative}{value}{unit}"


def _power_of_ten(digits: str, power: int) -> str:
    """Return a number times a power of ten, without idle zeros, to its last digit."""
    _, figures, exponent = Decimal(digits).as_tuple()
    written = "".join(map(str, figures)).strip()
    bare = written.rstrip("0")
    if not bare:
        return "0"
    shift = int(exponent) + power + len(written) - len(bare)
    if shift >= 0:
        return bare + "0" * shift if shift <= _LONGEST else f"{bare}e{shift}"
    whole, part = bare[:shift], bare[shift:]
    zeros = -shift - len(part)
    return f"{whole or '0'}.{'0' * zeros}{part}" if zeros <= _LONGEST else f"{bare}e{shift}"
