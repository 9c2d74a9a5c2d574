"""Text normalisation and the figures built on it that more than one family needs."""

from __future__ import annotations

import re
import string
from collections import Counter

_ARTICLES = re.compile(r"\b(a|an|the)\b")
# CRMArena blanks these out besides ASCII punctuation: curly quotes, the acute accent, backtick.
_PUNCTUATION = str.maketrans(dict.fromkeys(string.punctuation + "\u2018\u2019\u00b4`", " "))

_DELETED = str.maketrans(dict.fromkeys(string.punctuation))


def normalise(text: str) -> str:
    """Return lower-case text without punctuation, articles and repeated blanks.

    CRMArena's variant of the SQuAD normalisation: punctuation becomes a blank, so that
    "set-up" is two tokens (arXiv 2411.02305).
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_PUNCTUATION)).split())


def squad_normalise(text: str) -> str:
    """Return lower-case text without punctuation, articles and repeated blanks.

    As ``normalize_answer`` of SQuAD's evaluation script (arXiv 1606.05250): punctuation is
    deleted, so that "set-up" is one token.
    """
    return " ".join(_ARTICLES.sub(" ", text.lower().translate(_DELETED)).split())


def token_f1(prediction: str, reference: str) -> float:
    """Return the F1 of CRMArena's normalised tokens, in [0, 1]; 0 if nothing is shared."""
    return f1_of_tokens(normalise(prediction).split(), normalise(reference).split())


def f1_of_tokens(prediction: list[str], reference: list[str]) -> float:
    """Return the F1 of two token multisets; 0 if they share nothing."""
    shared = sum((Counter(prediction) & Counter(reference)).values())
    if not shared:
        return 0.0
    precision, recall = shared / len(prediction), shared / len(reference)
    return 2 * precision * recall / (precision + recall)
