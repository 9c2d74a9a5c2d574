"""BERTScore from bert-score's own encoding and matching, without its repeated work.

The library encodes every text of a call in padded batches and forgets the vectors. Here each
distinct text is encoded once and alone (so that its vectors do not depend on what else is
scored), its vectors are kept within a bound, and each distinct pair is matched once in a
process. The figures equal the library's to 1e-5: padding moves them in the last digits.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, lru_cache
from hashlib import blake2b
from typing import Any

from ttc_bench.benchmarks.scoring import encoder
from ttc_bench.benchmarks.scoring.encoder import (
    EMBEDDED,
    embedded,
    encoder_path,
    quietly,
    threads,
)
from ttc_bench.benchmarks.scoring.kept import Kind, Vector, made_once
from ttc_bench.errors import UserError

Score = tuple[float, float, float]
"""Precision, recall and F1."""

_KEEP_BYTES = 96 * 2**20
_KEEP_PAIRS = 65_536
_MANY = 16  # pairs from which a second thread pays

PAIRS = Kind("pairs", _KEEP_PAIRS, (__file__, encoder.__file__))
"""Scores by the embedded model."""


def bert_scores(pairs: Sequence[tuple[str, str]], name: str) -> list[Score]:
    """Return the BERTScore of (prediction, reference) pairs, in order.

    Args:
        pairs: Texts that are not blank. The model's window cuts long ones.
        name: ``embedded``, a Hugging Face name or a folder.

    Raises:
        UserError: If the model cannot be loaded.
    """
    if not pairs:
        return []
    matcher = _matcher(name)
    keys = [blake2b(repr(pair).encode()).digest() for pair in pairs]
    fresh_pairs = {k: p for k, p in zip(keys, pairs, strict=True) if k not in matcher.done}
    made = matcher.made(list(dict.fromkeys(fresh_pairs.values())))
    fresh = {key: made[pair] for key, pair in fresh_pairs.items()}
    scores = [fresh[key] if key in fresh else matcher.done[key] for key in keys]
    matcher.keep(fresh)
    return scores


class _Matcher:
    """A model with its caches, loaded as soon as it is needed."""

    def __init__(self, name: str) -> None:
        import torch

        self._name = name
        self._device = "cuda" if torch.cuda.is_available() else "cpu"
        # Where its vectors are those of the sentence encoder, which has read the same texts.
        self._is_shared = (name, self._device) == (EMBEDDED, "cpu")
        self._weights: defaultdict[int, float] = defaultdict(lambda: 1.0)
        self._vectors: OrderedDict[str, tuple[Any, Any, Any]] = OrderedDict()
        self._bytes = 0
        self.done: OrderedDict[bytes, Score] = OrderedDict()

    @cached_property
    def _tokenizer(self) -> Any:
        from bert_score.utils import get_tokenizer

        tokenizer = get_tokenizer(encoder_path(self._name))
        for token in (tokenizer.sep_token_id, tokenizer.cls_token_id):
            self._weights[token] = 0.0
        return tokenizer

    @cached_property
    def _model(self) -> Any:
        return embedded() if self._is_shared else _model(self._name).to(self._device)

    def made(self, pairs: list[tuple[str, str]]) -> dict[tuple[str, str], Score]:
        """Return the score of each pair; what earlier runs made of it is not made again.

        Raises:
            UserError: If the model cannot be loaded.
        """
        made = made_once(PAIRS if self._is_shared else None, pairs, self._matched)
        return {pair: _score_of(numbers) for pair, numbers in made.items()}

    def _matched(self, pairs: list[tuple[str, str]]) -> list[Vector]:
        import numpy as np

        self._load()
        order = sorted(range(len(pairs)), key=lambda at: (len(pairs[at][1]), pairs[at][1]))
        cut = len(order) // 2 if len(order) >= _MANY else 0
        with ThreadPoolExecutor(1) as pool:
            first = pool.submit(self._match, [pairs[place] for place in order[:cut]])
            second = self._match([pairs[place] for place in order[cut:]])
            scores = dict(zip(order, first.result() + second, strict=True))
        # As torch gave them: nothing is rounded.
        return [np.array(scores[place], np.float32) for place in range(len(pairs))]

    def _load(self) -> None:
        """Load the model before threads ask for it."""
        try:
            self._tokenizer, self._model  # noqa: B018
        except (OSError, ValueError) as error:
            raise UserError(
                f"the BERTScore model {self._name!r} cannot be loaded ({error}). Set "
                f"`score.bert_score_model: {EMBEDDED}` to use the one that is installed."
            ) from error

    def keep(self, scores: dict[bytes, Score]) -> None:
        """Remember scores; the oldest go first."""
        self.done.update(scores)
        while len(self.done) > _KEEP_PAIRS:
            self.done.popitem(last=False)

    def _match(self, pairs: Sequence[tuple[str, str]]) -> list[Score]:
        """Return the scores of the pairs, one after the other."""
        with threads(1):
            return [self._score(prediction, reference) for prediction, reference in pairs]

    def _score(self, prediction: str, reference: str) -> Score:
        from bert_score.utils import greedy_cos_idf

        ours, theirs = self._encode(prediction), self._encode(reference)
        # The library normalises its arguments in place.
        sides = [part.clone() for side in (theirs, ours) for part in side]
        precision, recall, f1 = (float(x) for x in greedy_cos_idf(*sides))
        return precision, recall, f1

    def _encode(self, text: str) -> tuple[Any, Any, Any]:
        from bert_score.utils import bert_encode, collate_idf

        if text in self._vectors:
            return self._vectors[text]
        tokens, weights, _, mask = collate_idf(
            [text], self._tokenizer, self._weights, device=self._device
        )
        if self._is_shared:
            vectors = self._model.states(tokens[0].tolist())
        else:
            vectors = bert_encode(self._model, tokens, attention_mask=mask)
        entry = self._vectors[text] = (vectors, mask, weights)
        self._bytes += vectors.nbytes
        while self._bytes > _KEEP_BYTES and len(self._vectors) > 2:
            self._bytes -= self._vectors.popitem(last=False)[1][0].nbytes
        return entry


def _model(name: str) -> Any:
    from bert_score import model2layers
    from bert_score.utils import get_model
    from transformers import AutoConfig

    # bert-score knows the best layer of the published models; of any other, take the last.
    layers = model2layers.get(name)
    if layers is None:
        layers = AutoConfig.from_pretrained(encoder_path(name)).num_hidden_layers
    return quietly(get_model, encoder_path(name), layers)


def _score_of(numbers: Vector) -> Score:
    precision, recall, f1 = numbers.tolist()
    return precision, recall, f1


@lru_cache(maxsize=1)
def _matcher(name: str) -> _Matcher:
    return _Matcher(name)
