"""Overlap figures at speed: the results of rouge-score and sacrebleu from cached counts.

Both libraries count the n-grams of both texts again for every pair. Here each distinct text
is tokenised (by the libraries' own tokenisers) and counted once, each distinct pair is
scored once in a process, and the longest common subsequence comes from rapidfuzz, which
compiles it. The figures equal those of the libraries to 1e-9.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from functools import cached_property, lru_cache
from hashlib import blake2b
from itertools import pairwise
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

BLEU_ORDER, CHRF_ORDER, CHRF_BETA = 4, 6, 2


class Overlap(NamedTuple):
    """Figures of one (prediction, reference) pair, each in [0, 1]."""

    rouge1: float
    rouge2: float
    rouge_l: float
    bleu: float
    chrf: float


class _Characters:
    """Character n-gram counts of one text.

    N-grams of up to 6 characters are packed into 64-bit integers (3 bits of order, 10 bits a
    character), which NumPy sorts and counts many times faster than Python counts strings. A
    text with characters beyond the `_CODES` that fit is counted the plain way instead.
    """

    def __init__(self, text: str) -> None:
        self.text = text
        self.packed = _pack(text)

    @cached_property
    def plain(self) -> list[Counter[Hashable]]:
        return _all_orders(self.text, CHRF_ORDER)

    def shared(self, other: _Characters) -> list[int]:
        """Return the size of the common multiset of n-grams, for each order."""
        if self.packed is None or other.packed is None:
            return [shared(a, b) for a, b in zip(self.plain, other.plain, strict=True)]
        import numpy as np

        (keys, counts), (their_keys, their_counts) = self.packed, other.packed
        both, i, j = np.intersect1d(keys, their_keys, assume_unique=True, return_indices=True)
        hits = np.minimum(counts[i], their_counts[j])
        sums: list[int] = (
            np.bincount(both >> _ORDER_BITS, weights=hits, minlength=CHRF_ORDER + 1)[1:]
            .astype(int)
            .tolist()
        )
        return sums


_BITS, _ORDER_BITS = 10, 60
_PLAIN = 1000  # code points below stand for themselves
_CODES: dict[int, int] = {}  # typographic characters above, numbered as they turn up


def _pack(text: str) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return the distinct packed n-grams of all orders, sorted, with their counts."""
    import numpy as np

    codes = np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")
    small = codes.astype(np.int64)
    for code in set(codes[codes >= _PLAIN].tolist()):
        if code not in _CODES and len(_CODES) >= (1 << _BITS) - _PLAIN:
            return None
        small[codes == code] = _PLAIN + _CODES.setdefault(code, len(_CODES))
    parts, last = [small | (1 << _ORDER_BITS)], small
    for order in range(2, CHRF_ORDER + 1):
        last = (last[:-1] << _BITS) | small[order - 1 :]
        parts.append(last | (order << _ORDER_BITS))
    keys = np.sort(np.concatenate(parts))
    starts = np.flatnonzero(np.r_[True, keys[1:] != keys[:-1]]) if len(keys) else keys
    return keys[starts], np.diff(np.append(starts, len(keys)))


class Counts:
    """The n-gram counts of one text, made when they are first asked for.

    Args:
        text: Any text.
    """

    def __init__(self, text: str) -> None:
        self._text = text

    @cached_property
    def words(self) -> list[str]:
        """Tokens of rouge-score: lower-case ASCII letters and digits."""
        from rouge_score import tokenize

        tokens: list[str] = tokenize.tokenize(self._text, None)
        return tokens

    @cached_property
    def unigrams(self) -> Counter[Hashable]:
        """Counts of `words`."""
        return Counter(self.words)

    @cached_property
    def bigrams(self) -> Counter[Hashable]:
        """Counts of pairs of `words`."""
        return Counter(pairwise(self.words))

    @cached_property
    def bleu(self) -> tuple[int, list[Counter[Hashable]]]:
        """Number of sacrebleu's "13a" tokens, and counts of their n-grams up to order 4."""
        tokens = _bleu().tokenizer(self._text.rstrip()).split()
        return len(tokens), _all_orders(tokens, BLEU_ORDER)

    @cached_property
    def characters(self) -> _Characters:
        """Counts of the character n-grams up to order 6, blanks left out."""
        return _Characters("".join(self._text.split()))


def _all_orders(tokens: Sequence[str], highest: int) -> list[Counter[Hashable]]:
    return [
        Counter(zip(*(tokens[i:] for i in range(order)), strict=False))
        for order in range(1, highest + 1)
    ]


def overlaps(pairs: Sequence[tuple[str, str]]) -> list[Overlap]:
    """Return the figures of many (prediction, reference) pairs, in order."""
    keys = [
        blake2b("\0".join(p).encode("utf-8", "surrogatepass"), digest_size=16).digest()
        for p in pairs
    ]
    fresh_pairs = {key: pair for key, pair in zip(keys, pairs, strict=True) if key not in _DONE}
    fresh: dict[bytes, Overlap] = {}
    reference, counted = None, Counts("")
    for key, pair in sorted(fresh_pairs.items(), key=lambda item: item[1][1]):
        if pair[1] != reference:
            reference, counted = pair[1], Counts(pair[1])
        fresh[key] = overlap(Counts(pair[0]), counted)
    figures = [fresh[key] if key in fresh else _DONE[key] for key in keys]
    _DONE.update(fresh)
    while len(_DONE) > _KEEP:
        _DONE.pop(next(iter(_DONE)))
    return figures


_KEEP = 65_536
_DONE: dict[bytes, Overlap] = {}  # by digest: the texts themselves may be long


def overlap(prediction: Counts, reference: Counts) -> Overlap:
    """Return all figures of one pair."""
    return Overlap(
        _f1(shared(prediction.unigrams, reference.unigrams), prediction.words, reference.words, 1),
        _f1(shared(prediction.bigrams, reference.bigrams), prediction.words, reference.words, 2),
        _f1(_common(prediction.words, reference.words), prediction.words, reference.words, 1),
        _bleu_score(prediction, reference),
        _chrf_score(prediction.characters, reference.characters),
    )


def shared(left: Counter[Hashable], right: Counter[Hashable]) -> int:
    """Return the size of the intersection of two multisets."""
    keys = left.keys() & right.keys()
    return sum(map(min, map(left.__getitem__, keys), map(right.__getitem__, keys)))


def _f1(hits: int, prediction: list[str], reference: list[str], order: int) -> float:
    predicted = max(len(prediction) - order + 1, 0)
    total = max(len(reference) - order + 1, 0)
    if not hits:
        return 0.0
    precision, recall = hits / predicted, hits / total
    return 2 * precision * recall / (precision + recall)


def _common(left: list[str], right: list[str]) -> int:
    from rapidfuzz.distance import LCSseq

    return LCSseq.similarity(left, right)


@lru_cache(maxsize=1)
def _bleu() -> Any:
    from sacrebleu.metrics import BLEU  # type: ignore[attr-defined]

    return BLEU(effective_order=True)


def _bleu_score(prediction: Counts, reference: Counts) -> float:
    """Return sacrebleu's sentence BLEU: exponential smoothing, effective order."""
    length, ours = prediction.bleu
    reference_length, theirs = reference.bleu
    bleu = _bleu().compute_bleu(
        correct=[shared(a, b) for a, b in zip(ours, theirs, strict=True)],
        total=[max(length - n, 0) for n in range(BLEU_ORDER)],
        sys_len=length,
        ref_len=reference_length,
        smooth_method="exp",
        effective_order=True,
    )
    return float(bleu.score) / 100


def _chrf_score(prediction: _Characters, reference: _Characters) -> float:
    """Return sacrebleu's chrF2: the mean F over the orders that both texts have."""
    precision = recall = 0.0
    orders = min(len(prediction.text), len(reference.text), CHRF_ORDER)
    for order, hits in enumerate(prediction.shared(reference)[:orders]):
        precision += hits / (len(prediction.text) - order) / orders
        recall += hits / (len(reference.text) - order) / orders
    if not precision:
        return 0.0
    weight = CHRF_BETA**2
    return (1 + weight) * precision * recall / (weight * precision + recall)
